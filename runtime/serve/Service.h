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
#include "runtime/serve/Cors.h"
#include "runtime/serve/HttpServer.h"
#include "runtime/serve/Log.h"
#include "runtime/serve/Requests.h"

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <span>

namespace llama4::serve {

struct ServiceOptions {
  std::vector<std::string> apiKeys = {}; ///< none: everybody may ask
  Cors cors = {};
  bool strictFields = false;     ///< fields that are not known are refused
  bool streams = true;           ///< else requests for streams are refused
  std::shared_ptr<Log> log = {}; ///< null: nothing is told
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
  void watchBuffers(std::shared_ptr<const ByteBudget> buffers) override {
    buffers_ = std::move(buffers);
  }
  SchedulerStats stats() const { return scheduler_->stats(); }
  /// The description of the API, as OpenAPI 3.1: of the routes there are and of what they read.
  Json openApi() const;

private:
  struct Context {
    HttpRequest request;
    std::shared_ptr<Exchange> exchange;
    std::string requestId, key;
    std::optional<ContentKey> salt; ///< texts of different keys share no memory
    std::shared_ptr<RequestNumbers> numbers = std::make_shared<RequestNumbers>();
    Answer::Clock::time_point start = Answer::Clock::now();
    Json body; ///< of POST requests
    ~Context() { release(body); }
  };
  struct Route {
    const char *method;
    const char *path; ///< a pattern that ends with "/" takes the rest of a path
    bool isOpen;      ///< needs no key
    bool isWork;      ///< refused while draining
    void (Service::*act)(Context &);
    const char *summary;
    const char *answer; ///< the name of its schema; empty: text
    void (*describe)(Fields &,
                     const ServedModel &) = nullptr; ///< reads a body; null: there is none
  };
  static const Route routes[];
  static std::span<const Route> allRoutes();

  const Route *find(const HttpRequest &request, bool &knownPath) const;
  void act(const Route &route, Context &context);
  HeaderFields fieldsFor(const HttpRequest &request, const std::string &id) const;
  void account(const Route *route, AccessLine line);
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
  void describe(Context &context);

  template <typename Request> bool read(Context &context, Request &request) const;
  bool isKnownModel(Context &context, const std::string &name) const;
  Json modelJson(const std::string &name) const;
  void setOwner(const Context &context, ScheduledRequest &request) const;
  Answer::Call callOf(const Context &context, const GenerationFields &fields,
                      std::string model) const;
  static Json describeRoute(const Route &route, const ServedModel &model);

  ServedModel model_;
  Metrics metrics_;
  ServiceOptions options_;
  ApiKeys keys_;
  AnswerHost answerHost_;
  std::unique_ptr<Scheduler> scheduler_;
  std::shared_ptr<const ByteBudget> buffers_;
  std::atomic<bool> draining_ = false;
  std::atomic<size_t> atWork_ = 0; ///< requests on the way to the scheduler
  boost::asio::thread_pool workers_{2};
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_SERVICE_H
