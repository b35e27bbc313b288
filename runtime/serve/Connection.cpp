//===- Connection.cpp - one client's connection ---------------------------===//

#include "runtime/serve/Connection.h"

#include "runtime/serve/HeaderRules.h"
#include "runtime/serve/LeasedBody.h"

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

namespace llama4::serve {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t keptBytes = 64u << 10; ///< of a buffer that has been written

class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(Socket socket, ConnectionHost &host)
      : socket_(std::move(socket)), host_(host), readTimer_(socket_.get_executor()),
        writeTimer_(socket_.get_executor()), outputLease_(host.buffers) {
    ++host_.connections;
  }
  ~Connection() {
    setBusy(false);
    --host_.connections;
  }

  void start() {
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    awaitRequest(host_.limits.header);
  }

  // What an exchange asks for, on the connection's thread.
  void sendWhole(uint64_t exchange, HttpResponse response);
  void sendHead(uint64_t exchange, HttpResponse head);
  void keepHead(uint64_t exchange, HttpResponse head);
  void sendPiece(uint64_t exchange, std::string piece);
  void sendEnd(uint64_t exchange);
  void setGone(uint64_t exchange, std::function<void()> act);
  auto executor() { return socket_.get_executor(); }
  /// Closes soon: there was no memory for an answer. Any thread.
  void abandon() { abandoned_ = true; }

private:
  /// Idle: between requests. Closing: the last response is written, what comes is thrown away.
  enum class Phase { Idle, Head, Body, Busy, Closing };

  void awaitRequest(std::chrono::milliseconds most);
  void deadline(std::chrono::milliseconds most);
  void read();
  void setEof();
  void advance();
  bool advanceHead();
  bool startBody();
  bool advanceBody();
  void startExchange();
  void refuse(int status, const std::string &message);
  void answerAndClose(HttpResponse response);
  void onReadDeadline();
  void push(std::string_view bytes);
  void flush();
  void written();
  void schedulePing();
  void linger();
  void close();
  void setBusy(bool busy) {
    host_.busy += busy == isBusy_ ? 0 : busy ? size_t{1} : ~size_t{0};
    isBusy_ = busy;
  }
  bool isCurrent(uint64_t exchange) const { return exchange == exchange_ && !ended_ && !closed_; }

  Socket socket_;
  ConnectionHost &host_;
  asio::steady_timer readTimer_, writeTimer_;
  Phase phase_ = Phase::Idle;
  std::array<char, 16384> chunk_;
  std::string input_; ///< read and not yet used
  std::atomic<bool> abandoned_ = false;
  bool reading_ = false, eof_ = false, closed_ = false, isBusy_ = false;
  HttpRequest request_;
  std::optional<http::request_parser<LeasedBody>> parser_;
  uint64_t exchange_ = 0; ///< number of the request
  bool ended_ = true;     ///< its response is complete
  bool streams_ = false, chunks_ = false, last_ = false, wrote_ = false;
  std::function<void()> gone_;
  std::optional<HttpResponse> early_; ///< the head of a stream that has not begun

  std::string output_, writing_; ///< waiting to be written; being written
  ByteLease outputLease_;        ///< for both
};

/// The link from a handler to a connection; the connection may be closed long before it.
class ConnectionExchange : public Exchange {
public:
  ConnectionExchange(std::shared_ptr<Connection> connection, uint64_t number)
      : connection_(std::move(connection)), number_(number) {}
  ~ConnectionExchange() override {
    try {
      if (!done_)
        respond(noAnswer());
      // A handler may end on any thread, a connection on its own only.
      const auto executor = connection_->executor();
      asio::post(executor, [connection = std::move(connection_)] {});
    } catch (const std::bad_alloc &) {
      if (connection_)
        connection_->abandon();
    }
  }

  void respond(HttpResponse response) override {
    done_ = true;
    post([response = std::move(response)](Connection &connection, uint64_t number) mutable {
      connection.sendWhole(number, std::move(response));
    });
  }
  void begin(HttpResponse head) override {
    post([head = std::move(head)](Connection &connection, uint64_t number) mutable {
      connection.sendHead(number, std::move(head));
    });
  }
  void prepare(HttpResponse head) override {
    post([head = std::move(head)](Connection &connection, uint64_t number) mutable {
      connection.keepHead(number, std::move(head));
    });
  }
  void write(std::string piece) override {
    post([piece = std::move(piece)](Connection &connection, uint64_t number) mutable {
      connection.sendPiece(number, std::move(piece));
    });
  }
  void end() override {
    done_ = true;
    post([](Connection &connection, uint64_t number) { connection.sendEnd(number); });
  }
  void onGone(std::function<void()> act) override {
    post([act = std::move(act)](Connection &connection, uint64_t number) mutable {
      connection.setGone(number, std::move(act));
    });
  }

private:
  template <typename Act> void post(Act act) {
    asio::post(connection_->executor(),
               [connection = connection_, number = number_, act = std::move(act)]() mutable {
                 act(*connection, number);
               });
  }
  std::shared_ptr<Connection> connection_;
  uint64_t number_;
  std::atomic<bool> done_ = false;
};

void Connection::deadline(std::chrono::milliseconds most) {
  if (closed_)
    return; // the timer would keep the connection
  readTimer_.expires_after(most);
  readTimer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error)
      self->onReadDeadline();
  });
}

void Connection::onReadDeadline() {
  if (readTimer_.expiry() > asio::steady_timer::clock_type::now())
    return; // it was moved while this call was on its way
  switch (phase_) {
  case Phase::Head:
  case Phase::Body:
    return refuse(408, "the request took too long to arrive.");
  case Phase::Busy:
    return abandoned_ ? close() : schedulePing();
  case Phase::Idle:
  case Phase::Closing:
    return close();
  }
}

void Connection::awaitRequest(std::chrono::milliseconds most) {
  phase_ = Phase::Idle;
  setBusy(false);
  deadline(most);
  advance();
}

void Connection::read() {
  // A client that sends on while it is answered has to wait.
  if (reading_ || closed_ || (phase_ == Phase::Busy && input_.size() > chunk_.size()))
    return;
  reading_ = true;
  socket_.async_read_some(
      asio::buffer(chunk_), [self = shared_from_this()](error_code error, size_t bytes) {
        self->reading_ = false;
        // Who has sent its last request may still be reading the answer to it.
        if (error == asio::error::eof && self->phase_ == Phase::Busy && self->ended_)
          return self->setEof();
        if (error || self->closed_)
          return self->close();
        if (self->phase_ != Phase::Closing)
          self->input_.append(self->chunk_.data(), bytes);
        self->advance();
      });
}

/// The client sends nothing more; another read would never end.
void Connection::setEof() {
  eof_ = true;
  if (writing_.empty())
    close();
}

/// Uses the input as far as it goes, then reads on.
void Connection::advance() {
  while (!closed_) {
    bool more = false;
    switch (phase_) {
    case Phase::Idle:
      while (input_.starts_with("\r\n")) // allowed before a request
        input_.erase(0, 2);
      if (!input_.empty() && input_ != "\r") {
        phase_ = Phase::Head;
        deadline(host_.limits.header);
        more = true;
      }
      break;
    case Phase::Head:
      more = advanceHead();
      break;
    case Phase::Body:
      more = advanceBody();
      break;
    case Phase::Busy:
    case Phase::Closing:
      break;
    }
    if (!more)
      return read();
  }
}

bool Connection::advanceHead() {
  const size_t end = input_.find("\r\n\r\n");
  const size_t bytes = end == std::string::npos ? input_.size() : end + 4;
  const std::string_view head = std::string_view(input_).substr(0, bytes);
  std::optional<HttpRefusal> refusal = checkHeadBytes(head, host_.limits);
  if (!refusal && end == std::string::npos)
    return false;
  request_ = {};
  if (!refusal)
    refusal = readHead(head, host_.limits, request_);
  if (refusal) {
    refuse(refusal->status, refusal->message);
    return false;
  }
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(host_.limits.headerBytes));
  parser_->body_limit(host_.limits.bodyBytes);
  parser_->get().body().lease = ByteLease(host_.buffers);
  error_code error;
  parser_->put(asio::buffer(input_.data(), bytes), error);
  if ((error && error != http::error::need_more) || !parser_->is_header_done()) {
    refuse(400, "the head is no HTTP.");
    return false;
  }
  input_.erase(0, bytes);
  return startBody();
}

bool Connection::startBody() {
  setBusy(true);
  ++exchange_;
  ended_ = false;
  last_ = request_.isVersion10 || request_.asksToClose();
  if (std::optional<HttpResponse> response = host_.handler->checkHead(request_)) {
    if (request_.hasBody()) {
      answerAndClose(std::move(*response));
    } else {
      phase_ = Phase::Busy;
      sendWhole(exchange_, std::move(*response));
    }
    return false;
  }
  if (request_.hasBody() && request_.field("expect") == "100-continue")
    push("HTTP/1.1 100 Continue\r\n\r\n");
  phase_ = Phase::Body;
  deadline(host_.limits.body);
  parser_->eager(true);
  return true;
}

bool Connection::advanceBody() {
  if (request_.hasBody()) {
    while (!parser_->is_done()) {
      if (input_.empty())
        return false;
      error_code error;
      const size_t used = parser_->put(asio::buffer(input_), error);
      input_.erase(0, used);
      if (error == http::error::need_more && used == 0)
        return false;
      if (error == http::error::body_limit) {
        refuse(413,
               "the body is larger than " + std::to_string(host_.limits.bodyBytes) + " bytes.");
        return false;
      }
      if (parser_->get().body().isOver) {
        refuse(503, "there is no memory for this body now; try again later.");
        return false;
      }
      if (error && error != http::error::need_more) {
        refuse(400, "the body is no HTTP.");
        return false;
      }
    }
    request_.body = std::move(parser_->get().body().text);
    request_.lease = std::move(parser_->get().body().lease);
  }
  startExchange();
  return false;
}

void Connection::startExchange() {
  phase_ = Phase::Busy;
  schedulePing();
  parser_.reset();
  host_.handler->handle(std::move(request_),
                        std::make_shared<ConnectionExchange>(shared_from_this(), exchange_));
}

/// A comment where an event stream was silent for long.
void Connection::schedulePing() {
  if (early_ && !streams_ && !ended_)
    sendHead(exchange_, std::move(*early_));
  if (streams_ && !wrote_ && !ended_)
    sendPiece(exchange_, ": ping\n\n");
  wrote_ = false;
  deadline(host_.limits.ping);
}

void Connection::refuse(int status, const std::string &message) {
  answerAndClose(host_.handler->refuse(status, message));
}

void Connection::answerAndClose(HttpResponse response) {
  ++exchange_;
  ended_ = false;
  last_ = true;
  parser_.reset(); // and what it holds
  setBusy(true);
  phase_ = Phase::Busy;
  sendWhole(exchange_, std::move(response));
}

void Connection::sendWhole(uint64_t exchange, HttpResponse response) {
  if (!isCurrent(exchange))
    return;
  if (streams_) { // it began with a sign of life
    sendPiece(exchange, "data: " + response.body + "\n\n");
    return sendEnd(exchange);
  }
  last_ = last_ || host_.closing;
  push(headText(response, {response.body.size(), false, last_}) + response.body);
  sendEnd(exchange);
}

void Connection::sendHead(uint64_t exchange, HttpResponse head) {
  if (!isCurrent(exchange) || streams_)
    return;
  last_ = last_ || host_.closing;
  streams_ = true;
  chunks_ = !(last_ && request_.isVersion10);
  push(headText(head, {std::nullopt, chunks_, last_}));
}

void Connection::keepHead(uint64_t exchange, HttpResponse head) {
  if (isCurrent(exchange) && !streams_)
    early_ = std::move(head);
}

void Connection::sendPiece(uint64_t exchange, std::string piece) {
  if (!isCurrent(exchange) || !streams_ || piece.empty())
    return;
  wrote_ = true;
  if (output_.size() + piece.size() > host_.limits.streamBytes)
    return close(); // it does not read
  if (!chunks_)
    return push(piece);
  char size[24];
  std::snprintf(size, sizeof(size), "%zx\r\n", piece.size());
  push(size + piece + "\r\n");
}

void Connection::sendEnd(uint64_t exchange) {
  if (!isCurrent(exchange))
    return;
  if (streams_ && chunks_)
    push("0\r\n\r\n");
  ended_ = true;
  streams_ = chunks_ = false;
  gone_ = nullptr;
  early_.reset();
  if (writing_.empty())
    written();
}

void Connection::setGone(uint64_t exchange, std::function<void()> act) {
  if (isCurrent(exchange))
    gone_ = std::move(act);
  else if (exchange != exchange_ || closed_)
    act();
}

void Connection::push(std::string_view bytes) {
  if (closed_)
    return;
  if (!outputLease_.grow(bytes.size()))
    return close(); // too many read too slowly
  output_ += bytes;
  if (writing_.empty())
    flush();
}

void Connection::flush() {
  writing_.swap(output_);
  writeTimer_.expires_after(host_.limits.write);
  writeTimer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->writeTimer_.expiry() <= asio::steady_timer::clock_type::now())
      self->close();
  });
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](error_code error, size_t) {
                      self->outputLease_.shrink(self->writing_.size());
                      if (self->writing_.capacity() > keptBytes)
                        self->writing_ = {};
                      self->writing_.clear();
                      if (error)
                        return self->close();
                      if (!self->output_.empty())
                        return self->flush();
                      self->writeTimer_.cancel();
                      self->written();
                    });
}

/// All output is with the client; the next request, or the end.
void Connection::written() {
  if (!ended_ || phase_ != Phase::Busy || closed_ || !output_.empty())
    return;
  if (eof_)
    return close();
  if (last_)
    return linger();
  asio::post(executor(), [self = shared_from_this()] {
    if (!self->closed_ && self->phase_ == Phase::Busy && self->ended_)
      self->awaitRequest(self->host_.limits.keepAlive);
  });
}

/// Closes so that the client reads the response first: a socket closed with unread input is reset.
void Connection::linger() {
  phase_ = Phase::Closing;
  setBusy(false);
  error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  deadline(std::chrono::seconds(1));
  input_.clear();
  read();
}

void Connection::close() {
  if (closed_)
    return;
  closed_ = true;
  setBusy(false);
  outputLease_.shrink(output_.size()); // exchanges may keep the connection
  output_ = input_ = {};
  error_code ignored;
  socket_.close(ignored);
  readTimer_.cancel();
  writeTimer_.cancel();
  if (gone_)
    std::exchange(gone_, nullptr)();
}

} // namespace

void startConnection(Socket socket, ConnectionHost &host) {
  std::make_shared<Connection>(std::move(socket), host)->start();
}

} // namespace llama4::serve
