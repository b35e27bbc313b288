//===- BatchCommand.cpp - llama4-run batch --------------------------------===//
//
// Answers a file of requests by the same routes as the server, without a network. Each answer is
// written as soon as it is there; a run that was stopped goes on where it was.
//
//===----------------------------------------------------------------------===//

#include "runtime/base/ProgressBar.h"
#include "tools/llama4-run/BatchFile.h"
#include "tools/llama4-run/ServedEngine.h"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>

namespace llama4::run {

namespace {

struct BatchOptions {
  ServedEngineOptions engine;
  std::string input, output;
};

/// Where answers go, from whatever thread.
class BatchWriter {
public:
  BatchWriter(std::FILE *file, size_t total, size_t done)
      : file_(file), progress_("", total), done_(done) {}

  void write(const std::string &line, bool isError) {
    std::lock_guard lock(mutex_);
    failed_ = failed_ || std::fwrite(line.data(), 1, line.size(), file_) != line.size() ||
              std::fflush(file_) != 0;
    --underWay_;
    errors_ += isError;
    progress_.show(++done_);
    changed_.notify_all();
  }
  /// Waits until fewer than `most` are under way, and adds one; false where nothing can be written.
  bool begin(size_t most) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || underWay_ < most; });
    underWay_ += failed_ ? 0 : 1;
    return !failed_;
  }
  void waitForAll() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return underWay_ == 0; });
  }
  bool failed() const { return failed_; }
  size_t errors() const { return errors_; }

private:
  std::FILE *file_;
  std::mutex mutex_;
  std::condition_variable changed_;
  ProgressBar progress_;
  size_t done_, underWay_ = 0, errors_ = 0;
  bool failed_ = false;
};

/// A request whose answer becomes a line.
class BatchExchange : public serve::Exchange {
public:
  BatchExchange(std::string id, BatchWriter &writer) : id_(std::move(id)), writer_(writer) {}
  void respond(serve::HttpResponse response) override {
    std::string requestId;
    for (const auto &[name, value] : response.fields)
      if (name == "x-request-id")
        requestId = value;
    writer_.write(batchLine(id_, requestId, response), response.status != 200);
  }
  // Streams are refused before.
  void begin(serve::HttpResponse) override {}
  void prepare(serve::HttpResponse) override {}
  void write(std::string) override {}
  void end() override {}
  void onGone(std::function<void()>) override {} // there is nobody to go

private:
  std::string id_;
  BatchWriter &writer_;
};

struct CloseFile {
  void operator()(std::FILE *file) const { std::fclose(file); }
};

/// Hands the requests that are not `done` to the service, a bounded number at a time.
Status answerAll(const std::string &input, const std::unordered_set<std::string> &done,
                 serve::Service &service, size_t atOnce, BatchWriter &writer) {
  BatchReader reader(input);
  BatchRequest next;
  while (true) {
    LLAMA4_ASSIGN_OR_RETURN(const bool more, reader.next(next));
    if (!more)
      return {};
    if (done.contains(next.id))
      continue;
    if (!writer.begin(atOnce))
      return {};
    auto exchange = std::make_shared<BatchExchange>(next.id, writer);
    serve::HttpRequest request;
    request.method = "POST";
    request.path = next.url;
    request.body = std::move(next.body);
    if (std::optional<serve::HttpResponse> refusal = service.checkHead(request))
      exchange->respond(std::move(*refusal));
    else
      service.handle(std::move(request), exchange);
  }
}

Status run(BatchOptions options) {
  std::error_code ignored;
  if (std::filesystem::equivalent(options.input, options.output, ignored))
    return Status::error(StatusKind::Usage,
                         "-o: found the file of the requests, expected another.");
  LLAMA4_ASSIGN_OR_RETURN(auto asked, checkBatch(options.input));
  LLAMA4_ASSIGN_OR_RETURN(auto done, resumeBatch(options.output, asked));
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(options.output.c_str(), "ab"));
  if (!file)
    return Status::error(StatusKind::Io, options.output + ": cannot be written to.");
  if (!done.empty())
    note(format("%s: %zu of %zu answers are there already", options.output.c_str(), done.size(),
                asked.size()));
  BatchWriter writer(file.get(), asked.size(), done.size());
  if (done.size() != asked.size()) {
    options.engine.maxWaiting = UINT32_MAX; // how many wait is decided here
    options.engine.maxWaitingTokens = UINT64_MAX;
    LLAMA4_ASSIGN_OR_RETURN(ServedEngine engine, openServedEngine(options.engine));
    serve::ServiceOptions plain;
    plain.streams = false;
    serve::Service service(std::move(*engine.model), std::move(engine.scheduler), plain);
    Status status =
        answerAll(options.input, done, service, 2 * size_t{engine.maxSequences}, writer);
    writer.waitForAll();
    LLAMA4_RETURN_IF_ERROR(status);
    LLAMA4_RETURN_IF_ERROR(service.health());
    note(format("%llu tokens generated in %.1f s",
                static_cast<unsigned long long>(service.stats().generatedTokens),
                secondsSinceStart()));
  }
  if (writer.failed())
    return Status::error(StatusKind::Io, options.output + ": cannot be written to.");
  note(format("%zu requests are answered, %zu of them just now with an error", asked.size(),
              writer.errors()));
  return {};
}

} // namespace

void addBatch(CLI::App &app, Action &action) {
  auto options = std::make_shared<BatchOptions>();
  CLI::App *command = app.add_subcommand(
      "batch", "answer a file of requests in OpenAI's batch format; again to go on");
  addServedEngineOptions(*command, options->engine);
  command
      ->add_option("REQUESTS,--input", options->input,
                   "a file with {\"custom_id\", \"method\", \"url\", \"body\"} on each line")
      ->required()
      ->group("Batch");
  command
      ->add_option("-o,--output", options->output,
                   "where answers are added, one a line, in the order they come")
      ->required()
      ->group("Batch");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
