//===- Cors.h - which web pages may ask --------------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_CORS_H
#define LLAMA4_RUNTIME_SERVE_CORS_H

#include "runtime/base/Status.h"
#include "runtime/serve/Http.h"

#include <string>
#include <vector>

namespace llama4::serve {

/// The origins whose pages may read answers. Without any, browsers keep to their default: none.
class Cors {
public:
  /// `origins`: "https://page.example", "http://localhost:3000", or "*" for all. Errors: Usage,
  /// naming the flag.
  static Result<Cors> create(std::vector<std::string> origins);
  Cors() = default;

  /// What every response to `request` has to say.
  HeaderFields fieldsFor(const HttpRequest &request) const;
  /// The response to a browser's question before the request itself; nothing for other requests,
  /// and where there are no origins. The same for every route, known or not, and without a key:
  /// browsers send none.
  std::optional<HttpResponse> preflight(const HttpRequest &request) const;

private:
  bool allows(std::string_view origin) const;

  std::vector<std::string> origins_;
  bool any_ = false;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_CORS_H
