//===- HttpServer.cpp - listens, accepts, drains --------------------------===//

#include "runtime/serve/HttpServer.h"

#include "runtime/base/TimeSlice.h"
#include "runtime/format/Quoted.h"
#include "runtime/serve/Connection.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <netinet/in.h>
#include <new>
#include <sys/stat.h>
#include <unistd.h>

namespace llama4::serve {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using Local = asio::local::stream_protocol;
using boost::system::error_code;

class AsioServer : public HttpServer {
public:
  AsioServer(const HttpServerOptions &options, ServerOwner &owner)
      : options_(options), owner_(owner), acceptor_(io_), retry_(io_), watch_(io_), signals_(io_) {
    host_.limits = options.limits;
    host_.buffers = std::make_shared<ByteBudget>(options.limits.sharedBytes);
    owner.watchBuffers(host_.buffers);
    host_.handler = &owner;
  }
  ~AsioServer() override {
    host_.handler = nullptr;
    if (ownsPath_)
      ::unlink(options_.unixSocket.c_str());
  }

  Status listen();
  uint16_t port() const override { return port_; }
  Status run() override;

private:
  Status listenAtPort();
  Status listenAtPath();
  error_code open(const asio::generic::stream_protocol::endpoint &endpoint);
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
  Acceptor acceptor_;
  uint16_t port_ = 0;
  bool ownsPath_ = false; ///< there is a socket of ours at options_.unixSocket
  asio::steady_timer retry_, watch_;
  asio::signal_set signals_;
  asio::steady_timer::time_point drainEnd_;
  Status result_;
};

error_code AsioServer::open(const asio::generic::stream_protocol::endpoint &endpoint) {
  error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error && options_.unixSocket.empty())
    acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error)
    acceptor_.bind(endpoint, error);
  ownsPath_ = !error && !options_.unixSocket.empty();
  if (!error)
    acceptor_.listen(1024, error);
  return error;
}

Status AsioServer::listenAtPort() {
  error_code error;
  tcp::resolver resolver(io_);
  auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty())
    return Status::error(StatusKind::Usage, "--host: found " + quoteName(options_.host) +
                                                ", expected an address of this machine.");
  error = open(found.begin()->endpoint());
  if (error)
    return Status::error(StatusKind::Unavailable, quoteName(options_.host) + " port " +
                                                      std::to_string(options_.port) +
                                                      ": cannot listen there (" + error.message() +
                                                      "); choose another --port, or 0 for any.");
  tcp::endpoint bound;
  const asio::generic::stream_protocol::endpoint endpoint = acceptor_.local_endpoint(error);
  if (error || endpoint.size() > bound.capacity())
    return Status::internal("the server: found no address of its socket, expected one.");
  std::copy_n(reinterpret_cast<const char *>(endpoint.data()), endpoint.size(),
              reinterpret_cast<char *>(bound.data()));
  port_ = bound.port();
  return {};
}

/// A socket that a server has left behind is replaced; one that somebody listens at is not, nor is
/// anything else.
Status AsioServer::listenAtPath() {
  const std::string &path = options_.unixSocket;
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return Status::error(StatusKind::Usage,
                         "--unix-socket: found a path of " + std::to_string(path.size()) +
                             " bytes, expected at most " +
                             std::to_string(sizeof(sockaddr_un::sun_path) - 1) + ".");
  struct stat found = {};
  if (::lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) {
    Local::socket other(io_);
    error_code error;
    other.connect(Local::endpoint(path), error);
    if (error == asio::error::connection_refused)
      ::unlink(path.c_str());
  }
  if (error_code error = open(Local::endpoint(path)))
    return Status::error(StatusKind::Unavailable,
                         quoteName(path) + ": cannot listen there (" + error.message() +
                             "); choose another --unix-socket, or remove what is there.");
  return {};
}

Status AsioServer::listen() {
  LLAMA4_RETURN_IF_ERROR(options_.unixSocket.empty() ? listenAtPort() : listenAtPath());
  error_code error;
  signals_.add(SIGTERM, error);
  signals_.add(SIGINT, error);
  return {};
}

void AsioServer::accept() {
  acceptor_.async_accept([this](error_code error, Socket socket) {
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
  // Shorter than those of the threads that compute, which hold the processors most of the time: a
  // token is on its way when it is known.
  askForTimeSlice(std::chrono::microseconds(100));
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
