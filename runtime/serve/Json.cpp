//===- Json.cpp - JSON of requests and responses --------------------------===//

#include "runtime/serve/Json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <unordered_set>

namespace llama4::serve {

namespace {

constexpr size_t maxDepth = 64;
constexpr size_t maxKeys = 1024;

std::string typeOf(int status) {
  switch (status) {
  case 401:
    return "authentication_error";
  case 404:
    return "not_found_error";
  case 503:
    return "overloaded_error";
  default:
    return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string rangeText(double low, double high) {
  char text[80];
  std::snprintf(text, sizeof(text), "%.15g to %.15g", low, high);
  return text;
}

/// Builds a value from a parser's events, within bounds. (The library's own way to watch a parse
/// takes time in the square of a list's length.)
class Builder {
public:
  using Number = Json::number_integer_t;
  explicit Builder(Json &root) : root_(root) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Number value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(double value, const std::string &) { return add(value); }
  bool string(std::string &value) { return add(std::move(value)); }
  bool binary(Json::binary_t &) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string &name) {
    Json &object = *open_.back().value;
    if (object.size() == maxKeys)
      wrong_ = "an object with more than " + std::to_string(maxKeys) + " keys";
    else if (!open_.back().keys.insert(name).second)
      wrong_ = "an object with the same key twice";
    key_ = name;
    return wrong_.empty();
  }
  bool parse_error(size_t, const std::string &, const nlohmann::detail::exception &) {
    return false;
  }
  const std::string &wrong() const { return wrong_; }

private:
  struct Open {
    Json *value; ///< nothing is added to what holds it before it is closed
    std::unordered_set<std::string> keys;
  };

  Json *place(Json value) {
    if (open_.empty())
      root_ = std::move(value);
    if (open_.empty())
      return &root_;
    Json &parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto &entries = parent.get_ref<Json::object_t &>();
    entries.push_back({key_, std::move(value)}); // the key is new: key() has looked
    return &entries.back().second;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == maxDepth) {
      wrong_ = "JSON nested deeper than " + std::to_string(maxDepth);
      return false;
    }
    open_.push_back({place(std::move(value)), {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json &root_;
  std::vector<Open> open_;
  std::string key_;
  std::string wrong_;
};

} // namespace

const char *reasonOf(int status) {
  switch (status) {
  case 200:
    return "OK";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 413:
    return "Content Too Large";
  case 414:
    return "URI Too Long";
  case 415:
    return "Unsupported Media Type";
  case 431:
    return "Request Header Fields Too Large";
  case 503:
    return "Service Unavailable";
  default:
    return "Internal Server Error";
  }
}

std::string jsonText(const Json &value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json errorJson(const ApiError &error) {
  auto textOrNull = [](const std::string &text) { return text.empty() ? Json() : Json(text); };
  return {{"error",
           {{"message", error.message},
            {"type", typeOf(error.status)},
            {"param", textOrNull(error.param)},
            {"code", textOrNull(error.code)}}}};
}

HttpResponse errorResponse(const ApiError &error) {
  HttpResponse response;
  response.status = error.status;
  response.body = jsonText(errorJson(error));
  if (error.status == 503)
    response.fields.emplace_back("Retry-After", "1");
  if (error.status == 401)
    response.fields.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse jsonResponse(const Json &body) {
  HttpResponse response;
  response.body = jsonText(body);
  return response;
}

std::optional<ApiError> parseBody(std::string_view body, Json &out) {
  Builder builder(out);
  const bool good = Json::sax_parse(body, &builder);
  if (!builder.wrong().empty())
    return ApiError{
        400, "the body: found " + builder.wrong() + ", expected less.", {}, "invalid_json"};
  if (!good)
    return ApiError{
        400, "the body: found text that is no JSON, expected a JSON object.", {}, "invalid_json"};
  if (!out.is_object())
    return ApiError{
        400, "the body: found JSON that is no object, expected one.", {}, "invalid_json"};
  return std::nullopt;
}

const Json *Fields::any(const char *name) const {
  auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void Fields::fail(const char *name, const std::string &message) {
  if (!error_)
    error_ = ApiError{400, prefix_ + name + ": " + message, prefix_ + name, {}};
}

std::optional<double> Fields::number(const char *name, double low, double high) {
  const Json *value = any(name);
  if (!value || error_)
    return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (number >= low && number <= high)
    return number;
  fail(name, "expected a number from " + rangeText(low, high) + ".");
  return std::nullopt;
}

std::optional<int64_t> Fields::integer(const char *name, int64_t low, int64_t high) {
  const Json *value = any(name);
  if (!value || error_)
    return std::nullopt;
  const bool tooLarge = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX};
  if (value->is_number_integer() && !tooLarge) {
    const auto number = value->get<int64_t>();
    if (number >= low && number <= high)
      return number;
  }
  fail(name,
       "expected a whole number from " + std::to_string(low) + " to " + std::to_string(high) + ".");
  return std::nullopt;
}

std::optional<bool> Fields::boolean(const char *name) {
  const Json *value = any(name);
  if (!value || error_)
    return std::nullopt;
  if (value->is_boolean())
    return value->get<bool>();
  fail(name, "expected true or false.");
  return std::nullopt;
}

std::optional<std::string> Fields::string(const char *name) {
  const Json *value = any(name);
  if (!value || error_)
    return std::nullopt;
  if (value->is_string())
    return value->get<std::string>();
  fail(name, "expected a string.");
  return std::nullopt;
}

} // namespace llama4::serve
