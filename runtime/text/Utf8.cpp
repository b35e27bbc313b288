//===- Utf8.cpp - reading UTF-8 that may be broken --------------*- C++ -*-===//

#include "runtime/text/Utf8.h"

namespace llama4::text {

namespace {

/// Length, and allowed range of the second byte, by lead byte (Unicode table 3-7).
struct Lead {
  uint32_t length = 0; ///< 0: never a lead byte
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
};

Lead classifyLead(unsigned char byte) {
  if (byte < 0x80)
    return {1};
  if (byte < 0xc2)
    return {0};
  if (byte < 0xe0)
    return {2};
  if (byte < 0xf0)
    return {3, static_cast<unsigned char>(byte == 0xe0 ? 0xa0 : 0x80),
            static_cast<unsigned char>(byte == 0xed ? 0x9f : 0xbf)};
  if (byte < 0xf5)
    return {4, static_cast<unsigned char>(byte == 0xf0 ? 0x90 : 0x80),
            static_cast<unsigned char>(byte == 0xf4 ? 0x8f : 0xbf)};
  return {0};
}

bool isEncodedSurrogate(std::string_view text) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  return text.size() >= 3 && at(0) == 0xed && at(1) >= 0xa0 && at(1) <= 0xbf &&
         (at(2) & 0xc0u) == 0x80u;
}

} // namespace

Utf8Step decodeUtf8(std::string_view text, bool joinSurrogates) {
  auto first = static_cast<unsigned char>(text[0]);
  Lead lead = classifyLead(first);
  if (lead.length == 1)
    return {first, 1, true, false};
  if (lead.length == 0)
    return {};
  if (joinSurrogates && isEncodedSurrogate(text))
    return {kReplacement, 3, false, false};
  char32_t code = first & (0x7fu >> lead.length);
  for (uint32_t i = 1; i < lead.length; ++i) {
    if (i == text.size())
      return {kReplacement, i, false, true};
    auto byte = static_cast<unsigned char>(text[i]);
    bool inRange = i == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xc0u) == 0x80u;
    if (!inRange)
      return {kReplacement, i, false, false};
    code = (code << 6) | (byte & 0x3fu);
  }
  return {code, lead.length, true, false};
}

void appendUtf8(std::string &out, char32_t code) {
  auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    if (code >= 0xd800 && code <= 0xdfff) {
      out += kReplacementBytes;
      return;
    }
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else if (code <= 0x10ffff) {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    out += kReplacementBytes;
  }
}

bool isValidUtf8(std::string_view text) {
  while (!text.empty()) {
    if (static_cast<unsigned char>(text[0]) < 0x80) {
      text.remove_prefix(1);
      continue;
    }
    Utf8Step step = decodeUtf8(text);
    if (!step.valid)
      return false;
    text.remove_prefix(step.bytes);
  }
  return true;
}

std::string replaceInvalidUtf8(std::string_view text, bool joinSurrogates) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Utf8Step step = decodeUtf8(text, joinSurrogates);
    if (step.valid)
      out += text.substr(0, step.bytes);
    else
      out += kReplacementBytes;
    text.remove_prefix(step.bytes);
  }
  return out;
}

} // namespace llama4::text
