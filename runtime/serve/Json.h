//===- Json.h - JSON of requests and responses -------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_JSON_H
#define LLAMA4_RUNTIME_SERVE_JSON_H

#include "runtime/serve/BoundedJson.h"
#include "runtime/serve/Http.h"

namespace llama4::serve {

/// An error as the API shows it.
struct ApiError {
  int status = 400;
  std::string message;
  std::string param = {}; ///< the field; empty: null
  std::string code = {};  ///< for programs; empty: null
};

HttpResponse errorResponse(const ApiError &error);
/// The object that errors are: {"error": {message, type, param, code}}.
Json errorJson(const ApiError &error);
HttpResponse jsonResponse(const Json &body);
/// On one line, whatever bytes the strings hold.
std::string jsonText(const Json &value);

/// Parses the body of a request, an object within the bounds of JsonBounds.
std::optional<ApiError> parseBody(std::string_view body, Json &out);

/// What was asked of a field: the description of a request is made of these.
struct FieldNote {
  enum class Kind { Any, Integer, Number, Boolean, String, Ignored, Unsupported };
  Kind kind = Kind::Any;
  double low = 0, high = 0; ///< of numbers
  const char *name = "";
};

/// Reads the fields of an object, each with its type and its range; null counts as absent. The
/// first error is kept, later reads give nothing. Names are literals.
class Fields {
public:
  explicit Fields(const Json &object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  std::optional<int64_t> integer(const char *name, int64_t low, int64_t high);
  std::optional<double> number(const char *name, double low, double high);
  std::optional<bool> boolean(const char *name);
  std::optional<std::string> string(const char *name);
  /// The value itself, or null where it is absent.
  const Json *any(const char *name) { return find(name, {FieldNote::Kind::Any}); }
  /// The same for a field that is known only to be refused.
  const Json *unsupported(const char *name) { return find(name, {FieldNote::Kind::Unsupported}); }
  /// A field that is taken and has no effect.
  void ignore(const char *name);
  /// Fails where the object has a field that was not asked for until now.
  void refuseUnknown();

  /// Nothing is asked but which fields there are: none of them need be there.
  static Fields describing(const Json &empty) {
    Fields fields(empty);
    fields.describes_ = true;
    return fields;
  }
  bool describes() const { return describes_; }
  void fail(const char *name, const std::string &message);
  const std::optional<ApiError> &error() const { return error_; }
  /// All that was asked for, in that order.
  const std::vector<FieldNote> &notes() const { return notes_; }

private:
  const Json *find(const char *name, FieldNote note);

  const Json &object_;
  std::string prefix_;
  std::optional<ApiError> error_;
  std::vector<FieldNote> notes_;
  bool describes_ = false;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_JSON_H
