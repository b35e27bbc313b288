//===- HttpServer.cpp - listens, accepts, drains --------------------------===//

#include "runtime/serve/HttpServer.h"

#include "runtime/format/Quoted.h"
#include "runtime/serve/Connection.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <new>

namespace llama4::serve {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class AsioServer : public HttpServer {
public:
  AsioServer(const HttpServerOptions &options, ServerOwner &owner)
      : options_(options), owner_(owner), acceptor_(io_), retry_(io_), watch_(io_), signals_(io_) {
    host_.limits = options.limits;
    host_.handler = &owner;
  }
  ~AsioServer() override { host_.handler = nullptr; }

  Status listen();
  uint16_t port() const override {
    error_code ignored;
    return acceptor_.local_endpoint(ignored).port();
  }
  Status run() override;

private:
  void accept();
  void awaitSignal();
  void watch();
  void stop(Status status) {
    result_ = std::move(status);
    io_.stop();
  }
  Status cutOff(const char *why) const {
    return Status::error(StatusKind::Unavailable, std::string(why) + ": " +
                                                      std::to_string(host_.busy) +
                                                      " requests were cut off.");
  }

  HttpServerOptions options_;
  ServerOwner &owner_;
  ConnectionHost host_; // before io_: connections die with it
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer retry_, watch_;
  asio::signal_set signals_;
  asio::steady_timer::time_point drainEnd_;
  Status result_;
};

Status AsioServer::listen() {
  error_code error;
  tcp::resolver resolver(io_);
  auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty())
    return Status::error(StatusKind::Usage, "--host: found " + quoteName(options_.host) +
                                                ", expected an address of this machine.");
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (!error)
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error)
    acceptor_.bind(endpoint, error);
  if (!error)
    acceptor_.listen(1024, error);
  if (error)
    return Status::error(StatusKind::Unavailable, quoteName(options_.host) + " port " +
                                                      std::to_string(options_.port) +
                                                      ": cannot listen there (" + error.message() +
                                                      "); choose another --port, or 0 for any.");
  signals_.add(SIGTERM, error);
  signals_.add(SIGINT, error);
  return {};
}

void AsioServer::accept() {
  acceptor_.async_accept([this](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted)
      return;
    if (error) { // no descriptors are left: wait for some instead of spinning
      retry_.expires_after(std::chrono::milliseconds(100));
      return retry_.async_wait([this](error_code) { accept(); });
    }
    if (host_.connections < host_.limits.connections)
      startConnection(std::move(socket), host_);
    accept();
  });
}

void AsioServer::awaitSignal() {
  signals_.async_wait([this](error_code error, int) {
    if (error)
      return;
    if (host_.closing)
      return stop(cutOff("stopped by a second signal"));
    host_.closing = true;
    owner_.beginDrain();
    drainEnd_ = asio::steady_timer::clock_type::now() + options_.drain;
    awaitSignal();
  });
}

/// Looks now and then whether the drain is done and the engine alive.
void AsioServer::watch() {
  watch_.expires_after(std::chrono::milliseconds(50));
  watch_.async_wait([this](error_code error) {
    if (error)
      return;
    if (Status status = owner_.health(); !status.ok() && host_.busy == 0)
      return stop(status);
    if (host_.closing && host_.busy == 0 && owner_.isIdle())
      return stop({});
    if (host_.closing && asio::steady_timer::clock_type::now() > drainEnd_)
      return stop(cutOff("the time to finish was over"));
    watch();
  });
}

Status AsioServer::run() {
  std::signal(SIGPIPE, SIG_IGN);
  accept();
  awaitSignal();
  watch();
  while (!io_.stopped()) {
    try {
      io_.run();
    } catch (const std::bad_alloc &) {
      // What could not be had belonged to one connection, which is gone now.
    } catch (const std::exception &error) {
      return Status::internal(std::string("the server: ") + error.what());
    }
  }
  return result_;
}

} // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(const HttpServerOptions &options,
                                                       ServerOwner &owner) {
  auto server = std::make_unique<AsioServer>(options, owner);
  LLAMA4_RETURN_IF_ERROR(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

} // namespace llama4::serve
