//===- Http.h - requests and responses, whoever carries them -----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_HTTP_H
#define LLAMA4_RUNTIME_SERVE_HTTP_H

#include "runtime/serve/ByteBudget.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llama4::serve {

/// What one connection and one request may cost.
struct HttpLimits {
  size_t headerBytes = 16u << 10; ///< 431 above
  size_t headerCount = 100;       ///< 431 above
  size_t urlBytes = 8u << 10;     ///< 414 above
  size_t bodyBytes = 32u << 20;   ///< 413 above
  size_t streamBytes = 1u << 20;  ///< unread by a client that is too slow: it is cut off
  size_t connections = 4096;
  size_t sharedBytes = 256u << 20; ///< bodies and unread output of all connections together
  std::chrono::milliseconds header{10'000}, body{30'000}; ///< 408 after
  std::chrono::milliseconds keepAlive{75'000}, write{60'000};
  std::chrono::milliseconds ping{15'000}; ///< a comment in a silent event stream
};

using HeaderFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;    ///< without the query, as sent
  HeaderFields fields; ///< names in lower case
  bool isVersion10 = false;
  bool chunked = false;                  ///< Transfer-Encoding: chunked
  std::optional<uint64_t> contentLength; ///< where it is given
  std::string body;
  ByteLease lease; ///< the body's part of what all bodies may have; let go of both together

  bool hasBody() const { return chunked || contentLength.value_or(0) != 0; }
  /// "Connection: close"
  bool asksToClose() const;
  /// The first field of that name in lower case; empty where there is none.
  std::string_view field(std::string_view name) const {
    for (const auto &[key, value] : fields)
      if (key == name)
        return value;
    return {};
  }
};

struct HttpResponse {
  int status = 200;
  std::string contentType = "application/json";
  HeaderFields fields; ///< further ones
  std::string body;
};

/// One request on its way to an answer. Any thread may call it; what comes after the client has
/// gone, or after the end, is ignored.
class Exchange {
public:
  virtual ~Exchange() = default;
  /// The whole response.
  virtual void respond(HttpResponse response) = 0;
  /// The head of a response whose body comes in pieces, then the pieces, then the end.
  virtual void begin(HttpResponse head) = 0;
  /// The head of an event stream, for the case that a sign of life is due before begin(), which
  /// does nothing then; respond() ends such a stream with its body as the last event.
  virtual void prepare(HttpResponse head) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  /// `act` is called once if the client goes before the end, at once if it has gone already.
  virtual void onGone(std::function<void()> act) = 0;
};

/// Answers requests. Called on the thread that does all input and output: must not block.
class HttpHandler {
public:
  virtual ~HttpHandler() = default;
  /// A response that needs no body of the request: what is wrong with its head, or nothing.
  virtual std::optional<HttpResponse> checkHead(const HttpRequest &head) = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) = 0;
  /// The response for bytes that are no request: `status` and one sentence.
  virtual HttpResponse refuse(int status, const std::string &message) = 0;
};

/// "Not Found"
const char *reasonOf(int status);

/// The response where a handler let go of a request without one.
HttpResponse noAnswer();

/// How a response's body is carried.
struct Framing {
  std::optional<size_t> length; ///< of a whole body
  bool chunked = false;         ///< where there is no length; else up to the connection's end
  bool last = false;            ///< of the connection
};
/// The status line and the fields, with the empty line that ends them.
std::string headText(const HttpResponse &response, const Framing &framing);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_HTTP_H
