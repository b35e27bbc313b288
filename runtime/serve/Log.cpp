//===- Log.cpp - what the server tells its operator -----------------------===//

#include "runtime/serve/Log.h"

#include "runtime/format/Quoted.h"
#include "runtime/serve/Json.h"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace llama4::serve {

namespace {

constexpr size_t waitingLines = 8192;

/// "2026-11-21T19:39:18.042Z"
std::string timeText() {
  std::timespec now = {};
  std::timespec_get(&now, TIME_UTC);
  std::tm parts = {};
  char seconds[32], text[48];
  std::strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", ::gmtime_r(&now.tv_sec, &parts));
  std::snprintf(text, sizeof(text), "%s.%03ldZ", seconds, now.tv_nsec / 1'000'000);
  return text;
}

double milliseconds(double seconds) { return std::round(seconds * 1e4) / 10; }

const char *nameOf(Log::Level level) {
  return level == Log::Level::Info ? "info" : level == Log::Level::Warning ? "warning" : "error";
}

Json accessJson(const AccessLine &line) {
  Json json = {{"time", timeText()},  {"level", "info"},       {"event", "request"},
               {"id", line.id},       {"key", Json()},         {"method", line.method},
               {"route", line.route}, {"status", line.status}, {"ms", milliseconds(line.seconds)}};
  if (!line.key.empty())
    json["key"] = line.key;
  if (!line.numbers || !line.numbers->generates)
    return json;
  const RequestNumbers &numbers = *line.numbers;
  json["stream"] = numbers.streams.load();
  json["prompt_tokens"] = numbers.promptTokens.load();
  json["cached_tokens"] = numbers.cachedTokens.load();
  json["completion_tokens"] = numbers.completionTokens.load();
  const double first = numbers.firstTokenSeconds;
  json["first_token_ms"] = first < 0 ? Json() : Json(milliseconds(first));
  return json;
}

/// The values of the JSON in its order, as words; objects are flat.
std::string wordsOf(const Json &json) {
  std::string text;
  for (const auto &[name, value] : json.items()) {
    if (value.is_null() || name == "event")
      continue;
    text += text.empty() ? "" : " ";
    if (name != "time" && name != "level")
      text += name + "=";
    text += value.is_string() ? value.get<std::string>() : jsonText(value);
  }
  return text;
}

} // namespace

struct Log::Writer {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

Log::Log(const LogOptions &options) : options_(options), writer_(std::make_unique<Writer>()) {
  spdlog::sink_ptr sink;
  if (options.file.empty())
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  else
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
  writer_->pool = std::make_shared<spdlog::details::thread_pool>(waitingLines, 1);
  writer_->logger = std::make_shared<spdlog::async_logger>(
      "llama4", std::move(sink), writer_->pool, spdlog::async_overflow_policy::overrun_oldest);
  writer_->logger->set_pattern("%v");
  writer_->logger->flush_on(spdlog::level::info);
}

Result<std::shared_ptr<Log>> Log::create(const LogOptions &options) {
  try {
    return std::shared_ptr<Log>(new Log(options));
  } catch (const spdlog::spdlog_ex &) {
    return Status::error(StatusKind::Io, options.file.empty()
                                             ? std::string("the log: cannot be begun.")
                                             : quoteName(options.file) +
                                                   ": cannot be written to; choose another "
                                                   "--log-file.");
  } catch (const std::system_error &) {
    return Status::error(StatusKind::OutOfMemory, "threads: found that the system starts no more, "
                                                  "expected one for the log.");
  }
}

Log::~Log() { close(); }

void Log::close() { writer_.reset(); } // its thread writes what there is, then ends

void Log::write(const std::string &line) {
  writer_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void Log::note(Level level, const std::string &text) {
  if (!writer_)
    return;
  const Json json = {{"time", timeText()}, {"level", nameOf(level)}, {"message", text}};
  write(options_.json ? jsonText(json) : timeText() + " " + nameOf(level) + " " + text);
}

void Log::access(const AccessLine &line) {
  if (!writer_ || !options_.requests)
    return;
  const Json json = accessJson(line);
  write(options_.json ? jsonText(json) : wordsOf(json));
}

} // namespace llama4::serve
