//===- Service.h - the routes and what they do -------------------*- C++ -*-===//
//
// What a request costs before the scheduler has it (JSON, template, tokenizer) is done on threads
// of the service's own, so that neither the network nor the engine waits for it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_SERVICE_H
#define LLAMA4_RUNTIME_SERVE_SERVICE_H

#include "runtime/serve/Answer.h"
#include "runtime/serve/ApiKeys.h"
#include "runtime/serve/HttpServer.h"

#include <atomic>
#include <boost/asio/thread_pool.hpp>

namespace llama4::serve {

struct ServiceOptions {
  std::vector<std::string> apiKeys = {}; ///< none: everybody may ask
  bool logRequests = true;               ///< a line of JSON on stderr for each; no texts of users
};

class Service : public ServerOwner {
public:
  Service(ServedModel model, std::unique_ptr<Scheduler> scheduler, const ServiceOptions &options);
  ~Service() override { stop(); }

  /// Ends all requests and threads, while the server that carries the exchanges is still there.
  void stop();

  std::optional<HttpResponse> checkHead(const HttpRequest &head) override;
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) override;
  HttpResponse refuse(int status, const std::string &message) override;
  void beginDrain() override;
  bool isIdle() const override { return atWork_ == 0 && scheduler_->idle(); }
  Status health() const override;

private:
  struct Context {
    HttpRequest request;
    std::shared_ptr<Exchange> exchange;
    std::string requestId;
    Json body; ///< of POST requests
  };
  struct Route {
    const char *method;
    const char *path; ///< a pattern that ends with "/" takes the rest of a path
    bool isOpen;      ///< needs no key
    bool isWork;      ///< refused while draining
    void (Service::*act)(Context &);
  };
  static const Route routes[];

  const Route *find(const HttpRequest &request, bool &knownPath) const;
  void act(const Route &route, Context &context);
  void account(const Route *route, const std::string &id, int status, double seconds);
  bool isReady() const { return !draining_ && !scheduler_->failed(); }

  void chat(Context &context);
  void complete(Context &context);
  void listModels(Context &context);
  void showModel(Context &context);
  void tokenize(Context &context);
  void detokenize(Context &context);
  void live(Context &context);
  void ready(Context &context);
  void version(Context &context);
  void metrics(Context &context);

  bool checkModel(Fields &fields, std::string &name) const;
  Json modelJson(const std::string &name) const;
  Answer::Call callOf(const Context &context, const GenerationFields &fields,
                      std::string model) const;

  ServedModel model_;
  Metrics metrics_;
  ServiceOptions options_;
  ApiKeys keys_;
  AnswerHost answerHost_;
  std::unique_ptr<Scheduler> scheduler_;
  std::atomic<bool> draining_ = false;
  std::atomic<size_t> atWork_ = 0; ///< requests on the way to the scheduler
  boost::asio::thread_pool workers_{2};
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_SERVICE_H
