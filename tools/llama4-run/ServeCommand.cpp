//===- ServeCommand.cpp - llama4-run serve --------------------------------===//

#include "runtime/base/File.h"
#include "runtime/engine/SystemMemory.h"
#include "tools/llama4-run/ServedEngine.h"

#include <algorithm>

namespace llama4::run {

namespace {

struct ServeOptions {
  ServedEngineOptions engine;
  serve::HttpServerOptions http;
  serve::ServiceOptions service;
  serve::LogOptions log;
  std::vector<std::string> origins;
  std::string keyFile, logFormat = "json", httpMemory;
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

/// Where the server listens, as curl takes it.
std::string addressOf(const serve::HttpServerOptions &http, uint16_t port) {
  if (!http.unixSocket.empty())
    return "unix:" + http.unixSocket;
  const bool isIpv6 = http.host.find(':') != std::string::npos;
  return "http://" + (isIpv6 ? "[" + http.host + "]" : http.host) + ":" + std::to_string(port);
}

void warnOfOpenDoor(const ServeOptions &options, serve::Log &log) {
  const std::string &host = options.http.host;
  if (!options.service.apiKeys.empty() || !options.http.unixSocket.empty() || host == "127.0.0.1" ||
      host == "localhost" || host == "::1")
    return;
  log.note(serve::Log::Level::Warning, "everybody who reaches " + host +
                                           " may use this server; give --api-key, or --host "
                                           "127.0.0.1");
}

/// Listens, says where on stdout, and answers until a signal comes.
Status runServer(const ServeOptions &options, serve::Service &service) {
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<serve::HttpServer> server,
                          serve::HttpServer::create(options.http, service));
  std::printf("listening on %s\n", addressOf(options.http, server->port()).c_str());
  std::fflush(stdout);
  Status status = server->run();
  service.stop(); // its requests use the server's connections
  return status;
}

Status run(ServeOptions options) {
  LLAMA4_RETURN_IF_ERROR(readKeys(options));
  LLAMA4_ASSIGN_OR_RETURN(options.service.cors, serve::Cors::create(options.origins));
  if (!options.httpMemory.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(options.http.limits.sharedBytes, parseMemorySize(options.httpMemory));
  }
  options.log.json = options.logFormat == "json";
  options.log.requests = !options.quiet;
  LLAMA4_ASSIGN_OR_RETURN(options.service.log, serve::Log::create(options.log));
  serve::Log &log = *options.service.log;
  LLAMA4_ASSIGN_OR_RETURN(ServedEngine engine, openServedEngine(options.engine));
  log.note(serve::Log::Level::Info, engine.summary);
  log.note(serve::Log::Level::Info,
           format("connections share at most %s for bodies and unread output",
                  humanBytes(options.http.limits.sharedBytes).c_str()));
  warnOfOpenDoor(options, log);
  options.http.drain = std::chrono::seconds(options.drainSeconds);
  serve::Service service(std::move(*engine.model), std::move(engine.scheduler), options.service);
  Status status = runServer(options, service);
  log.note(status.ok() ? serve::Log::Level::Info : serve::Log::Level::Error,
           status.ok() ? "stopped" : status.message());
  log.close();
  return status;
}

void addLimits(CLI::App &command, ServeOptions &options) {
  command
      .add_option("--max-num-queued-reqs", options.engine.maxWaiting,
                  "answers that wait at most; 503 for what comes then (default: 256)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--drain-seconds", options.drainSeconds,
                  "time for running requests after SIGTERM (default: 30)")
      ->check(CLI::Range(0u, 86400u))
      ->group("Limits");
  command
      .add_option("--http-memory", options.httpMemory,
                  "memory for bodies and unread output of all connections together; 503 for what "
                  "comes then (default: 256MiB)")
      ->group("Limits");
  command
      .add_option("--max-connections", options.http.limits.connections,
                  "open connections at most (default: 4096)")
      ->check(CLI::PositiveNumber)
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
  milliseconds("--ping-ms", http.ping, "of silence before a comment in a stream (default: 15000)");
}

void addListening(CLI::App &command, ServeOptions &options) {
  command.add_option("--host", options.http.host, "address to listen on (default: 127.0.0.1)")
      ->group("Server");
  CLI::Option *port = command
                          .add_option("--port", options.http.port,
                                      "port to listen on; 0: any, printed on stdout (default: "
                                      "8080)")
                          ->group("Server");
  command
      .add_option("--unix-socket,--uds", options.http.unixSocket,
                  "path of a socket to listen at, instead of a port")
      ->excludes(port)
      ->group("Server");
  command
      .add_option("--api-key", options.service.apiKeys,
                  "a key that requests must bring; again for more")
      ->allow_extra_args(false)
      ->group("Server");
  command.add_option("--api-key-file", options.keyFile, "a file with such keys, one a line")
      ->group("Server");
  command
      .add_option("--cors-origin", options.origins,
                  "an origin whose web pages may ask, like https://page.example; again for more; "
                  "\"*\": all")
      ->allow_extra_args(false)
      ->group("Server");
  command
      .add_flag("--strict-fields", options.service.strictFields,
                "refuse requests with fields that are not known")
      ->group("Server");
}

void addLogging(CLI::App &command, ServeOptions &options) {
  command.add_flag("--no-request-log", options.quiet, "no line for each request")->group("Log");
  command
      .add_option("--log-format", options.logFormat,
                  "json: an object a line; text: for people (default: json)")
      ->check(CLI::IsMember({"json", "text"}))
      ->group("Log");
  command.add_option("--log-file", options.log.file, "a file to append to (default: stderr)")
      ->group("Log");
}

} // namespace

void addServe(CLI::App &app, Action &action) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App *command =
      app.add_subcommand("serve", "answer requests over HTTP, as OpenAI's API does");
  addServedEngineOptions(*command, options->engine);
  addListening(*command, *options);
  addLogging(*command, *options);
  addLimits(*command, *options);
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
