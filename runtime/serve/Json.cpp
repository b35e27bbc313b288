//===- Json.cpp - JSON of requests and responses --------------------------===//

#include "runtime/serve/Json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace llama4::serve {

namespace {

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

} // namespace

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
  auto refusal = [](const std::string &found, const char *expected) {
    return ApiError{
        400, "the body: found " + found + ", expected " + expected + ".", {}, "invalid_json"};
  };
  if (std::string wrong = parseBounded(body, out); !wrong.empty())
    return refusal(wrong, "a JSON object within the limits");
  if (!out.is_object())
    return refusal("JSON that is no object", "one");
  return std::nullopt;
}

const Json *Fields::find(const char *name, FieldNote note) {
  note.name = name;
  notes_.push_back(note);
  auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void Fields::ignore(const char *name) { find(name, {FieldNote::Kind::Ignored}); }

void Fields::refuseUnknown() {
  for (const auto &[key, value] : object_.items()) {
    auto isKey = [&key = key](const FieldNote &note) { return key == note.name; };
    if (!error_ && std::none_of(notes_.begin(), notes_.end(), isKey))
      fail(key.substr(0, 64).c_str(), "is no field of this request.");
  }
}

void Fields::fail(const char *name, const std::string &message) {
  if (!error_)
    error_ = ApiError{400, prefix_ + name + ": " + message, prefix_ + name, {}};
}

std::optional<double> Fields::number(const char *name, double low, double high) {
  const Json *value =
      find(name, {FieldNote::Kind::Number, static_cast<double>(low), static_cast<double>(high)});
  if (!value || error_)
    return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (number >= low && number <= high)
    return number;
  fail(name, "expected a number from " + rangeText(low, high) + ".");
  return std::nullopt;
}

std::optional<int64_t> Fields::integer(const char *name, int64_t low, int64_t high) {
  const Json *value =
      find(name, {FieldNote::Kind::Integer, static_cast<double>(low), static_cast<double>(high)});
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
  const Json *value = find(name, {FieldNote::Kind::Boolean});
  if (!value || error_)
    return std::nullopt;
  if (value->is_boolean())
    return value->get<bool>();
  fail(name, "expected true or false.");
  return std::nullopt;
}

std::optional<std::string> Fields::string(const char *name) {
  const Json *value = find(name, {FieldNote::Kind::String});
  if (!value || error_)
    return std::nullopt;
  if (value->is_string())
    return value->get<std::string>();
  fail(name, "expected a string.");
  return std::nullopt;
}

} // namespace llama4::serve
