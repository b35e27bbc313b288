//===- Json.h - JSON from a checkpoint, without exceptions ------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_JSON_H
#define LLAMA4_RUNTIME_TEXT_BUILD_JSON_H

#include "runtime/base/Status.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace llama4::text {

/// Parses `text`; `what` names it in the error. Nesting deeper than 64 is refused.
inline Result<nlohmann::json> parseJson(std::string_view text, const std::string &what) {
  constexpr int kMaxDepth = 64;
  bool tooDeep = false;
  auto guard = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json &) {
    tooDeep |= depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  auto json = nlohmann::json::parse(text.begin(), text.end(), guard, /*allow_exceptions=*/false);
  if (json.is_discarded() || tooDeep)
    return Status::invalidInput(
        what + (tooDeep ? " is nested deeper than 64 levels" : " is not valid JSON"));
  return json;
}

/// The member `key`, or a null where `object` is no object or has none. Never throws.
inline const nlohmann::json &member(const nlohmann::json &object, const char *key) {
  static const nlohmann::json null;
  if (!object.is_object())
    return null;
  auto it = object.find(key);
  return it == object.end() ? null : *it;
}

/// The member as a string; empty when it is not one.
inline std::string stringMember(const nlohmann::json &object, const char *key) {
  const nlohmann::json &value = member(object, key);
  return value.is_string() ? value.get_ref<const std::string &>() : std::string();
}

/// The member as a flag; `fallback` when it is not one.
inline bool flagMember(const nlohmann::json &object, const char *key, bool fallback) {
  const nlohmann::json &value = member(object, key);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

/// A non-negative integer below 2^32, or nothing.
inline std::optional<uint32_t> idValue(const nlohmann::json &value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > 0xffffffffull)
    return std::nullopt;
  return static_cast<uint32_t>(value.get<uint64_t>());
}

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_JSON_H
