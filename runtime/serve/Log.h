//===- Log.h - what the server tells its operator ----------------*- C++ -*-===//
//
// One line each, and no text of users in any: not prompts, answers, names of fields, headers, keys.
// Writing is done by a thread of the log's own; when whoever reads is too slow, the oldest lines
// are lost, and no request waits.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_LOG_H
#define LLAMA4_RUNTIME_SERVE_LOG_H

#include "runtime/base/Status.h"

#include <atomic>
#include <memory>
#include <string>

namespace llama4::serve {

/// What one request came to, counted where it happens. Any thread.
struct RequestNumbers {
  std::atomic<bool> generates = false; ///< the rest has a meaning
  std::atomic<bool> streams = false;
  std::atomic<uint64_t> promptTokens = 0, cachedTokens = 0, completionTokens = 0;
  std::atomic<double> firstTokenSeconds = -1; ///< from the request; below 0: none came
};

/// A response, for the log. `method` and `route` are of the table of routes; `id` is the request's,
/// of letters, digits, "-", "_" and "." only.
struct AccessLine {
  std::string id;
  std::string key; ///< a short hash of the key, or empty
  const char *method = "none";
  const char *route = "none";
  int status = 0;
  double seconds = 0;
  const RequestNumbers *numbers = nullptr; ///< may be null
};

struct LogOptions {
  bool json = true;     ///< an object a line; else for people
  std::string file;     ///< appended to; empty: stderr
  bool requests = true; ///< a line for each response
};

class Log {
public:
  enum class Level { Info, Warning, Error };

  /// Errors: Io (the file cannot be written), OutOfMemory (no thread).
  static Result<std::shared_ptr<Log>> create(const LogOptions &options);
  ~Log();
  Log(const Log &) = delete;
  Log &operator=(const Log &) = delete;

  /// A sentence of the server's own.
  void note(Level level, const std::string &text);
  void access(const AccessLine &line);
  /// Waits until all is written.
  void close();

private:
  struct Writer;
  explicit Log(const LogOptions &options);
  void write(const std::string &line);

  LogOptions options_;
  std::unique_ptr<Writer> writer_;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_LOG_H
