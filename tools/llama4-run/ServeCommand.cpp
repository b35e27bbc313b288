//===- ServeCommand.cpp - llama4-run serve --------------------------------===//

#include "runtime/base/File.h"
#include "runtime/serve/Service.h"
#include "tools/llama4-run/Common.h"

#include <algorithm>

namespace llama4::run {

namespace {

struct ServeOptions {
  ModelOptions model;
  serve::HttpServerOptions http;
  serve::ServiceOptions service;
  std::vector<std::string> names;
  std::string keyFile;
  uint64_t maxLength = 0;
  uint32_t maxSequences = 0, maxWaiting = 256, promptTokens = 64;
  uint32_t drainSeconds = 30;
  bool quiet = false;
};

/// The keys of the command line and those of the file, one a line.
Status readKeys(ServeOptions &options) {
  std::vector<std::string> &keys = options.service.apiKeys;
  if (!options.keyFile.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(std::string text, readTextFile(options.keyFile, 1u << 20));
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      std::string line = text.substr(begin, end - begin);
      if (!line.empty() && line.back() == '\r')
        line.pop_back();
      if (!line.empty())
        keys.push_back(std::move(line));
      begin = end + 1;
    }
    if (keys.empty())
      return Status::invalidInput(options.keyFile + ": found no key, expected one a line.");
  }
  if (std::any_of(keys.begin(), keys.end(), [](const std::string &key) { return key.empty(); }))
    return Status::error(StatusKind::Usage, "--api-key: found an empty key, expected text.");
  return {};
}

void noteMemory(const Engine &engine) {
  const Engine::Memory memory = engine.memory();
  note(format("weights %s, transients %s, cache %s; at most %u sequences at once, each of at most "
              "%llu tokens",
              humanBytes(memory.weights).c_str(), humanBytes(memory.arena + memory.step).c_str(),
              humanBytes(memory.cache).c_str(), engine.maxSequences(),
              static_cast<unsigned long long>(engine.maxLength())));
}

/// Listens, says where on stdout, and answers until a signal comes.
Status runServer(const ServeOptions &options, serve::Service &service) {
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<serve::HttpServer> server,
                          serve::HttpServer::create(options.http, service));
  if (options.http.host != "127.0.0.1" && options.http.host != "localhost" &&
      options.http.host != "::1" && options.service.apiKeys.empty())
    note("warning: everybody who reaches " + options.http.host +
         " may use this server; give --api-key, or --host 127.0.0.1");
  const bool isIpv6 = options.http.host.find(':') != std::string::npos;
  std::printf("listening on http://%s%s%s:%u\n", isIpv6 ? "[" : "", options.http.host.c_str(),
              isIpv6 ? "]" : "", server->port());
  std::fflush(stdout);
  Status status = server->run();
  service.stop(); // its requests use the server's connections
  return status;
}

Status run(ServeOptions options) {
  LLAMA4_RETURN_IF_ERROR(readKeys(options));
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  limits.maxLength = options.maxLength;
  limits.maxSequences = options.maxSequences;
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  LLAMA4_ASSIGN_OR_RETURN(serve::ServedModel model,
                          serve::ServedModel::create(session.program, options.names));
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  noteMemory(*engine);
  SchedulerOptions scheduling;
  scheduling.batcher.stopIds = model.stopIds();
  scheduling.batcher.prefillChunk = options.model.prefillChunk;
  scheduling.batcher.promptTokensBesideDecode = options.promptTokens;
  const text::Tokenizer tokenizer = model.tokenizer(); // outlives the scheduler
  scheduling.batcher.tokenizer = &tokenizer;
  scheduling.maxWaiting = options.maxWaiting;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Scheduler> scheduler,
                          Scheduler::create(std::move(engine), std::move(scheduling)));
  options.service.logRequests = !options.quiet;
  options.http.drain = std::chrono::seconds(options.drainSeconds);
  serve::Service service(std::move(model), std::move(scheduler), options.service);
  return runServer(options, service);
}

void addLimits(CLI::App &command, ServeOptions &options) {
  command
      .add_option("--max-model-len", options.maxLength,
                  "tokens of prompt and answer together at most (default: as compiled, or what "
                  "memory holds)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--max-num-seqs", options.maxSequences,
                  "answers in the running batch at most (default: as compiled)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--max-num-queued-reqs", options.maxWaiting,
                  "answers that wait at most; 503 for what comes then (default: 256)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--prompt-tokens-beside-decode", options.promptTokens,
                  "prompt tokens in a step in which others generate: more is faster for the "
                  "newcomer, slower for the others (default: 64)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--drain-seconds", options.drainSeconds,
                  "time for running requests after SIGTERM (default: 30)")
      ->check(CLI::Range(0u, 86400u))
      ->group("Limits");
  // What a connection may cost; the defaults are right but for tests.
  auto milliseconds = [&](const char *name, std::chrono::milliseconds &value, const char *help) {
    command
        .add_option_function<uint32_t>(
            name, [&value](uint32_t given) { value = std::chrono::milliseconds(given); }, help)
        ->check(CLI::PositiveNumber)
        ->group("Limits");
  };
  serve::HttpLimits &http = options.http.limits;
  milliseconds("--header-timeout-ms", http.header, "for the head of a request (default: 10000)");
  milliseconds("--body-timeout-ms", http.body, "for its body (default: 30000)");
  milliseconds("--keep-alive-ms", http.keepAlive, "between two requests (default: 75000)");
  milliseconds("--write-timeout-ms", http.write, "for a client to read (default: 60000)");
}

} // namespace

void addServe(CLI::App &app, Action &action) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App *command =
      app.add_subcommand("serve", "answer requests over HTTP, as OpenAI's API does");
  addModelOptions(*command, options->model);
  command->add_option("--host", options->http.host, "address to listen on (default: 127.0.0.1)")
      ->group("Server");
  command
      ->add_option("--port", options->http.port,
                   "port to listen on; 0: any, printed on stdout (default: 8080)")
      ->group("Server");
  command
      ->add_option("--api-key", options->service.apiKeys,
                   "a key that requests must bring; again for more")
      ->allow_extra_args(false)
      ->group("Server");
  command->add_option("--api-key-file", options->keyFile, "a file with such keys, one a line")
      ->group("Server");
  command
      ->add_option("--served-model-name,--alias", options->names,
                   "what clients call the model, again for more; \"*\": anything (default: the "
                   "file's name; \"default\" is always right)")
      ->allow_extra_args(false)
      ->group("Server");
  command->add_flag("--no-request-log", options->quiet, "no line on stderr for each request")
      ->group("Server");
  addLimits(*command, *options);
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
