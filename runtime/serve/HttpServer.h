//===- HttpServer.h - listens, accepts, drains -------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_HTTPSERVER_H
#define LLAMA4_RUNTIME_SERVE_HTTPSERVER_H

#include "runtime/base/Status.h"
#include "runtime/serve/Http.h"

#include <memory>
#include <string>

namespace llama4::serve {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;   ///< 0: any that is free
  std::string unixSocket; ///< where it is not empty: a path to listen at, instead of a port
  HttpLimits limits = {};
  std::chrono::milliseconds drain{30'000}; ///< for what runs when a signal comes
};

/// What a server asks of the one who answers its requests, beside the answers.
class ServerOwner : public HttpHandler {
public:
  /// A signal came: refuse new work.
  virtual void beginDrain() = 0;
  /// Nothing is left to do.
  virtual bool isIdle() const = 0;
  /// Why the server cannot go on; ok while it can.
  virtual Status health() const = 0;
  /// What the connections share, once, before the first request.
  virtual void watchBuffers(std::shared_ptr<const ByteBudget> buffers) = 0;
};

class HttpServer {
public:
  /// Binds and listens. `owner` outlives the server. Errors: Usage (no such address, or a path that
  /// no socket can have), Unavailable (the port or the path is taken or not allowed).
  static Result<std::unique_ptr<HttpServer>> create(const HttpServerOptions &options,
                                                    ServerOwner &owner);
  virtual ~HttpServer() = default;
  /// The port it listens on; 0 at a path.
  virtual uint16_t port() const = 0;
  /// Serves until SIGTERM or SIGINT, then until nothing is left to do. Errors: Unavailable (the
  /// time to drain was over or a second signal came, and requests were cut off), and what health()
  /// says.
  virtual Status run() = 0;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_HTTPSERVER_H
