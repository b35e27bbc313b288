//===- Service.cpp - the routes and what they do --------------------------===//

#include "runtime/serve/Service.h"

#include "runtime/format/FileHeader.h"

#include <boost/asio/post.hpp>
#include <cstdio>
#include <cstring>
#include <new>
#include <random>

namespace llama4::serve {

namespace {

std::string randomId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  char text[40];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(random()),
                static_cast<unsigned long long>(random()));
  return text;
}

/// What the client calls the request, or a name of our own.
std::string requestIdOf(const HttpRequest &request) {
  const std::string_view given = request.field("x-request-id");
  bool good = !given.empty() && given.size() <= 128;
  for (char c : given)
    good = good && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '-' || c == '_' || c == '.');
  return good ? std::string(given) : randomId();
}

/// Adds fields to a response and tells how it went.
class AccountedExchange : public Exchange {
public:
  using Account = std::function<void(int status, double seconds)>;
  AccountedExchange(std::shared_ptr<Exchange> inner, HeaderFields fields, Account account)
      : inner_(std::move(inner)), fields_(std::move(fields)), account_(std::move(account)) {}
  ~AccountedExchange() override { finish(clientGone); }

  void respond(HttpResponse response) override {
    const int status = response.status;
    inner_->respond(completed(std::move(response)));
    finish(status);
  }
  void begin(HttpResponse head) override {
    status_ = head.status;
    inner_->begin(completed(std::move(head)));
  }
  void prepare(HttpResponse head) override { inner_->prepare(completed(std::move(head))); }
  void write(std::string piece) override { inner_->write(std::move(piece)); }
  void end() override {
    inner_->end();
    finish(status_);
  }
  void onGone(std::function<void()> act) override { inner_->onGone(std::move(act)); }

private:
  static constexpr int clientGone = 499;
  HttpResponse completed(HttpResponse response) const {
    response.fields.insert(response.fields.end(), fields_.begin(), fields_.end());
    return response;
  }
  void finish(int status) {
    if (!finished_.exchange(true))
      account_(status, std::chrono::duration<double>(Answer::Clock::now() - start_).count());
  }
  std::shared_ptr<Exchange> inner_;
  const HeaderFields fields_;
  Account account_;
  std::atomic<int> status_ = 200;
  std::atomic<bool> finished_ = false;
  const Answer::Clock::time_point start_ = Answer::Clock::now();
};

template <typename Request> void describeBy(Fields &fields, const ServedModel &model) {
  Request().read(fields, model);
}

} // namespace

const Service::Route Service::routes[] = {
    {"POST", "/v1/chat/completions", false, true, &Service::chat, "Answers a conversation.",
     "ChatCompletion", describeBy<ChatRequest>},
    {"POST", "/v1/completions", false, true, &Service::complete, "Continues texts.", "Completion",
     describeBy<CompletionRequest>},
    {"GET", "/v1/models", false, false, &Service::listModels, "The names of the model.",
     "ModelList"},
    {"GET", "/v1/models/", false, false, &Service::showModel, "A name of the model.", "Model"},
    {"POST", "/tokenize", false, false, &Service::tokenize, "Token ids of a text or conversation.",
     "Tokens", describeBy<TokenizeRequest>},
    {"POST", "/detokenize", false, false, &Service::detokenize, "The text of token ids.", "Text",
     describeBy<DetokenizeRequest>},
    {"GET", "/health", false, false, &Service::ready, "Whether requests are taken.", "State"},
    {"GET", "/livez", true, false, &Service::live, "Whether the server runs.", "State"},
    {"GET", "/readyz", true, false, &Service::ready, "Whether requests are taken.", "State"},
    {"GET", "/version", false, false, &Service::version, "What is served.", "Version"},
    {"GET", "/metrics", false, false, &Service::metrics, "Numbers for Prometheus.", ""},
    {"GET", "/openapi.json", false, false, &Service::describe, "This description.", "Description"},
};

std::span<const Service::Route> Service::allRoutes() { return routes; }

Service::Service(ServedModel model, std::unique_ptr<Scheduler> scheduler,
                 const ServiceOptions &options)
    : model_(std::move(model)), metrics_(model_.name()), options_(options), keys_(options.apiKeys),
      answerHost_{&model_, scheduler.get(), &metrics_}, scheduler_(std::move(scheduler)) {
  options_.apiKeys.clear();
}

void Service::stop() {
  workers_.join();
  scheduler_.reset();
}

const Service::Route *Service::find(const HttpRequest &request, bool &knownPath) const {
  knownPath = false;
  for (const Route &route : routes) {
    const std::string_view pattern = route.path, path = request.path;
    const bool isPrefix = pattern.back() == '/';
    if (isPrefix ? path.size() <= pattern.size() || !path.starts_with(pattern) : path != pattern)
      continue;
    knownPath = true;
    if (request.method == route.method)
      return &route;
  }
  return nullptr;
}

/// What every response to a request has.
HeaderFields Service::fieldsFor(const HttpRequest &request, const std::string &id) const {
  HeaderFields fields = options_.cors.fieldsFor(request);
  fields.emplace_back("x-request-id", id);
  return fields;
}

std::optional<HttpResponse> Service::checkHead(const HttpRequest &head) {
  bool knownPath = false;
  const Route *route = find(head, knownPath);
  std::optional<HttpResponse> response = options_.cors.preflight(head);
  std::optional<ApiError> error;
  if (!(route && route->isOpen) && !keys_.empty() && !keys_.allow(head.field("authorization")))
    error = ApiError{
        401, "no valid API key was given; send Authorization: Bearer KEY.", {}, "invalid_api_key"};
  else if (!route)
    error = knownPath ? ApiError{405, "the route does not take this method.", {}, {}}
                      : ApiError{404, "there is no such route.", {}, "not_found"};
  else if (route->isWork && draining_)
    error = ApiError{503, "the server is stopping.", {}, "draining"};
  else if (route->isWork && scheduler_->failed())
    error = ApiError{503, "the engine has failed.", {}, "failed"};
  if (!response && error)
    response = errorResponse(*error);
  if (!response)
    return std::nullopt;
  AccessLine line;
  line.id = requestIdOf(head);
  line.status = response->status;
  for (auto &field : fieldsFor(head, line.id))
    response->fields.push_back(std::move(field));
  account(route, std::move(line));
  return response;
}

HttpResponse Service::refuse(int status, const std::string &message) {
  HttpResponse response = errorResponse({status, message, {}, {}});
  AccessLine line;
  line.id = randomId();
  line.status = status;
  response.fields.emplace_back("x-request-id", line.id);
  account(nullptr, std::move(line));
  return response;
}

void Service::account(const Route *route, AccessLine line) {
  line.method = route ? route->method : "none";
  line.route = route ? route->path : "none";
  metrics_.countResponse(line.route, line.status);
  if (options_.log)
    options_.log->access(line);
}

void Service::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  bool knownPath = false;
  const Route *route = find(request, knownPath); // checkHead() let it pass
  auto context = std::make_shared<Context>();
  context->requestId = requestIdOf(request);
  context->key = keys_.nameOf(request.field("authorization"));
  if (const ApiKeys::Digest *digest = keys_.digestOf(request.field("authorization"))) {
    context->salt.emplace();
    std::memcpy(&context->salt->low, digest->data() + 8, 8);
    std::memcpy(&context->salt->high, digest->data() + 16, 8);
  }
  context->exchange = std::make_shared<AccountedExchange>(
      std::move(exchange), fieldsFor(request, context->requestId),
      [this, route, id = context->requestId, key = context->key,
       numbers = context->numbers](int status, double seconds) {
        account(
            route,
            {.id = id, .key = key, .status = status, .seconds = seconds, .numbers = numbers.get()});
      });
  context->request = std::move(request);
  if (!route->isWork && context->request.method == std::string_view("GET"))
    return act(*route, *context);
  ++atWork_;
  boost::asio::post(workers_, [this, route, context] {
    try {
      act(*route, *context);
    } catch (const std::exception &) {
      // There is no memory even to say so; the connection is closed.
    }
    --atWork_;
  });
}

void Service::act(const Route &route, Context &context) {
  try {
    if (context.request.method == "POST") {
      if (std::optional<ApiError> error = parseBody(context.request.body, context.body))
        return context.exchange->respond(errorResponse(*error));
      context.request.body = {};
      context.request.lease = {};
    }
    (this->*route.act)(context);
  } catch (const std::bad_alloc &) {
    release(context.body);
    context.request = {};
    context.exchange->respond(
        errorResponse({503, "there is no memory for this request now.", {}, "overloaded"}));
  } catch (const std::exception &) {
    context.exchange->respond(errorResponse({500, "the server failed.", {}, "internal_error"}));
  }
}

void Service::beginDrain() { draining_ = true; }

Status Service::health() const {
  if (scheduler_->failed())
    return Status::internal("the engine failed; its requests were answered with an error.");
  return {};
}

void Service::live(Context &context) {
  context.exchange->respond(jsonResponse({{"status", "ok"}}));
}

void Service::ready(Context &context) {
  if (isReady())
    return live(context);
  context.exchange->respond(errorResponse(
      {503, draining_ ? "the server is stopping." : "the engine has failed.", {}, "not_ready"}));
}

void Service::version(Context &context) {
  const std::string format = std::to_string(formatMajor) + "." + std::to_string(formatMinor);
  context.exchange->respond(jsonResponse({{"version", format},
                                          {"format", format},
                                          {"model_content_id", model_.program().contentId()}}));
}

void Service::metrics(Context &context) {
  HttpResponse response;
  response.contentType = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics_.text(scheduler_->stats(), buffers_ ? buffers_->used() : 0);
  context.exchange->respond(std::move(response));
}

} // namespace llama4::serve
