//===- Status.h - the one error idiom of everything outside MLIR -*- C++ -*-===//
//
// A Status says what went wrong as one sentence for the person at the terminal: what was found,
// what was expected, what to do; with the place (file and tensor). The kind decides the exit code
// of the programs (sysexits). Nothing here throws; nothing here knows MLIR.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_BASE_STATUS_H
#define LLAMA4_RUNTIME_BASE_STATUS_H

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace llama4 {

/// What kind of failure a Status carries. The values are the exit codes of the programs.
enum class StatusKind : int {
  Ok = 0,
  Usage = 2,         ///< the command line is wrong
  InvalidInput = 65, ///< a file's content is not what it must be
  NotFound = 66,     ///< a named file does not exist
  Unavailable = 69,  ///< a device or a feature of this machine is missing
  Internal = 70,     ///< a broken invariant of this program
  OutOfMemory = 71,  ///< a reservation failed
  Io = 74,           ///< reading or writing failed
};

/// Success, or a kind and one sentence. Cheap to move, never ignored silently.
class [[nodiscard]] Status {
public:
  Status() = default;
  static Status error(StatusKind kind, std::string message) {
    assert(kind != StatusKind::Ok && "an error needs a kind");
    Status status;
    status.kind_ = kind;
    status.message_ = std::move(message);
    return status;
  }
  static Status invalidInput(std::string message) {
    return error(StatusKind::InvalidInput, std::move(message));
  }
  static Status internal(std::string message) {
    return error(StatusKind::Internal, std::move(message));
  }

  bool ok() const { return kind_ == StatusKind::Ok; }
  StatusKind kind() const { return kind_; }
  int exitCode() const { return static_cast<int>(kind_); }
  const std::string &message() const { return message_; }
  /// The same error with `where` put before the sentence ("model.safetensors: ...").
  Status in(const std::string &where) const {
    return ok() ? *this : error(kind_, where + ": " + message_);
  }

private:
  StatusKind kind_ = StatusKind::Ok;
  std::string message_;
};

/// A value or a Status that is not ok.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {
    assert(!status_.ok() && "a Result without a value needs an error");
  }

  bool ok() const { return value_.has_value(); }
  const Status &status() const { return status_; }
  T &operator*() {
    assert(ok());
    return *value_;
  }
  const T &operator*() const {
    assert(ok());
    return *value_;
  }
  T *operator->() { return &**this; }
  const T *operator->() const { return &**this; }
  /// Moves the value out; the Result must be ok.
  T take() {
    assert(ok());
    return std::move(*value_);
  }

private:
  std::optional<T> value_;
  Status status_;
};

} // namespace llama4

#define LLAMA4_CONCAT_IMPL(a, b) a##b
#define LLAMA4_CONCAT(a, b) LLAMA4_CONCAT_IMPL(a, b)

/// Returns from the enclosing function when `expr` (a Status) is an error.
#define LLAMA4_RETURN_IF_ERROR(expr)                                                               \
  do {                                                                                             \
    if (::llama4::Status status_ = (expr); !status_.ok())                                          \
      return status_;                                                                              \
  } while (false)

/// `LLAMA4_ASSIGN_OR_RETURN(auto x, f());` declares x from a Result, or returns its error.
#define LLAMA4_ASSIGN_OR_RETURN(decl, expr)                                                        \
  LLAMA4_ASSIGN_OR_RETURN_IMPL(LLAMA4_CONCAT(result_, __LINE__), decl, expr)
#define LLAMA4_ASSIGN_OR_RETURN_IMPL(tmp, decl, expr)                                              \
  auto tmp = (expr);                                                                               \
  if (!tmp.ok())                                                                                   \
    return tmp.status();                                                                           \
  decl = tmp.take()

#endif // LLAMA4_RUNTIME_BASE_STATUS_H
