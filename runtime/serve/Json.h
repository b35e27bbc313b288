//===- Json.h - JSON of requests and responses -------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_JSON_H
#define LLAMA4_RUNTIME_SERVE_JSON_H

#include "runtime/serve/Http.h"

#include <nlohmann/json.hpp>

namespace llama4::serve {

using Json = nlohmann::ordered_json;

/// An error as the API shows it.
struct ApiError {
  int status = 400;
  std::string message;
  std::string param = {}; ///< the field; empty: null
  std::string code = {};  ///< for programs; empty: null
};

HttpResponse errorResponse(const ApiError &error);
/// The object that errors are: {"error": {message, type, param, code}}.
Json errorJson(const ApiError &error);
HttpResponse jsonResponse(const Json &body);
/// On one line, whatever bytes the strings hold.
std::string jsonText(const Json &value);

/// Parses the body of a request, an object. Refused: text that is no JSON, deeper than 64, objects
/// with more than 1024 keys or with one twice.
std::optional<ApiError> parseBody(std::string_view body, Json &out);

/// Reads the fields of an object, each with its type and its range; null counts as absent. The
/// first error is kept, later reads give nothing.
class Fields {
public:
  explicit Fields(const Json &object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  std::optional<int64_t> integer(const char *name, int64_t low, int64_t high);
  std::optional<double> number(const char *name, double low, double high);
  std::optional<bool> boolean(const char *name);
  std::optional<std::string> string(const char *name);
  /// The value itself, or null where it is absent.
  const Json *any(const char *name) const;

  void fail(const char *name, const std::string &message);
  const std::optional<ApiError> &error() const { return error_; }

private:
  const Json &object_;
  std::string prefix_;
  std::optional<ApiError> error_;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_JSON_H
