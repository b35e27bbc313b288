//===- HeaderRules.h - which bytes are the head of a request -----*- C++ -*-===//
//
// Stricter than the library that reads bodies: what two parsers could read differently is refused.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_HEADERRULES_H
#define LLAMA4_RUNTIME_SERVE_HEADERRULES_H

#include "runtime/serve/Http.h"

namespace llama4::serve {

/// Why bytes were refused.
struct HttpRefusal {
  int status = 400;
  std::string message;
};

/// What is wrong with the bytes of a head so far, complete or not: a bare LF or CR, control
/// characters, a folded line, or more bytes than allowed.
std::optional<HttpRefusal> checkHeadBytes(std::string_view head, const HttpLimits &limits);

/// Reads a complete head, which ends with an empty line and passed checkHeadBytes(). Refused: a
/// broken request line, versions other than 1.0 and 1.1, too many or broken fields, no or two Host,
/// two or non-decimal lengths, transfer codings other than one "chunked", both of them, bodies in a
/// content coding (415) or above the limit (413).
std::optional<HttpRefusal> readHead(std::string_view head, const HttpLimits &limits,
                                    HttpRequest &request);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_HEADERRULES_H
