//===- TemplateJson.cpp - values as text: str, repr, JSON -------*- C++ -*-===//

#include "runtime/text/TemplateValue.h"
#include "runtime/text/UnicodeClasses.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace llama4::text {

std::string floatText(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer;
  // Shortest digits that read back the same; Python writes exponents from 1e16 and below 1e-4.
  double size = std::fabs(value);
  bool exponent = size != 0 && (size >= 1e16 || size < 1e-4);
  auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                           exponent ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer.data(), end.ptr);
  if (!exponent && text.find('.') == std::string::npos)
    text += ".0";
  return text;
}

namespace {

/// Writes one value in the style of repr or of json.dumps.
class Writer {
public:
  Writer(TemplateBudget &budget, const JsonStyle *json) : budget_(budget), json_(json) {
    bool pretty = json != nullptr && json->indent >= 0;
    itemSeparator_ = json == nullptr || json->itemSeparator.empty() ? (pretty ? "," : ", ")
                                                                    : json->itemSeparator;
    keySeparator_ = json == nullptr || json->keySeparator.empty() ? ": " : json->keySeparator;
  }

  void write(const Value &value) {
    if (out.size() > kMaxTemplateOutput)
      budget_.fail("a value's text is larger than " + std::to_string(kMaxTemplateOutput) +
                   " bytes");
    if (!budget_.spend(1))
      return;
    if (const auto *flag = std::get_if<bool>(&value))
      put(json_ != nullptr ? (*flag ? "true" : "false") : (*flag ? "True" : "False"));
    else if (holds<NoneValue>(value))
      put(json_ != nullptr ? "null" : "None");
    else if (const auto *number = std::get_if<int64_t>(&value))
      put(std::to_string(*number));
    else if (const auto *real = std::get_if<double>(&value))
      writeFloat(*real);
    else if (const auto *text = std::get_if<StringRef>(&value))
      json_ != nullptr ? writeJsonString(**text) : writeReprString(**text);
    else if (const auto *list = std::get_if<ListRef>(&value))
      writeList(**list);
    else if (const auto *dict = std::get_if<DictRef>(&value))
      writeDict(**dict);
    else if (json_ != nullptr)
      budget_.fail(std::string("tojson cannot write a value of type '") + typeName(value) + "'");
    else
      put(holds<Undefined>(value) ? "Undefined" : std::string("<") + typeName(value) + ">");
  }

  Marked out;

private:
  void put(std::string_view text) { out.append(text, false); }

  void writeFloat(double value) {
    if (json_ != nullptr && !std::isfinite(value))
      put(std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
    else
      put(floatText(value));
  }

  void writeEscape(const char *format, unsigned code, bool content) {
    std::array<char, 16> buffer;
    std::snprintf(buffer.data(), buffer.size(), format, code);
    out.append(buffer.data(), content);
  }

  void writeJsonString(const Marked &text) {
    if (!budget_.spendBytes(text.size()))
      return;
    put("\"");
    const std::string &bytes = text.bytes();
    for (size_t at = 0; at < bytes.size();) {
      Utf8Step step = decodeUtf8(std::string_view(bytes).substr(at));
      bool content = text.isContent(at);
      constexpr std::string_view kPlain = "\"\\\n\r\t\f\b";
      constexpr std::string_view kEscaped = "\"\\nrtfb";
      size_t simple = step.code < 0x80 ? kPlain.find(bytes[at]) : std::string_view::npos;
      if (simple != std::string_view::npos)
        out.append(std::string{'\\', kEscaped[simple]}, content);
      else if (step.code < 0x20 || (json_->ensureAscii && step.code > 0x7e && step.code < 0x10000))
        writeEscape("\\u%04x", static_cast<unsigned>(step.code), content);
      else if (json_->ensureAscii && step.code >= 0x10000) {
        auto offset = static_cast<unsigned>(step.code) - 0x10000u;
        writeEscape("\\u%04x", 0xd800u + (offset >> 10), content);
        writeEscape("\\u%04x", 0xdc00u + (offset & 0x3ffu), content);
      } else
        out += text.slice(at, at + step.bytes);
      at += step.bytes;
    }
    put("\"");
  }

  void writeReprString(const Marked &text) {
    if (!budget_.spendBytes(text.size()))
      return;
    const std::string &bytes = text.bytes();
    bool single = bytes.find('\'') == std::string::npos || bytes.find('"') != std::string::npos;
    char quote = single ? '\'' : '"';
    out.append(std::string(1, quote), false);
    for (size_t at = 0; at < bytes.size();) {
      Utf8Step step = decodeUtf8(std::string_view(bytes).substr(at));
      bool content = text.isContent(at);
      auto code = static_cast<unsigned>(step.code);
      constexpr std::string_view kPlain = "\\\n\r\t";
      constexpr std::string_view kEscaped = "\\nrt";
      size_t simple = code < 0x80 ? kPlain.find(bytes[at]) : std::string_view::npos;
      if (simple != std::string_view::npos)
        out.append(std::string{'\\', kEscaped[simple]}, content);
      else if (bytes[at] == quote)
        out.append(std::string{'\\', quote}, content);
      else if (code < 0x20 || (code >= 0x7f && code <= 0xa0) || code == 0xad)
        writeEscape("\\x%02x", code, content);
      else if (code > 0x7f && isPythonSpace(step.code))
        writeEscape("\\u%04x", code, content);
      else
        out += text.slice(at, at + step.bytes);
      at += step.bytes;
    }
    out.append(std::string(1, quote), false);
  }

  void newline(int level) {
    if (json_ != nullptr && json_->indent >= 0)
      put("\n" + std::string(static_cast<size_t>(level) * static_cast<size_t>(json_->indent), ' '));
  }

  void writeList(const TemplateList &list) {
    bool tuple = list.tuple && json_ == nullptr;
    put(tuple ? "(" : "[");
    ++level_;
    for (size_t i = 0; i < list.items.size() && !budget_.failed(); ++i) {
      if (i > 0)
        put(itemSeparator_);
      newline(level_);
      write(list.items[i]);
    }
    --level_;
    if (!list.items.empty())
      newline(level_);
    put(tuple ? (list.items.size() == 1 ? ",)" : ")") : "]");
  }

  void writeKey(const Value &key) {
    if (json_ == nullptr || holds<StringRef>(key)) {
      write(key);
      return;
    }
    put("\""); // JSON keys are strings
    write(key);
    put("\"");
  }

  void writeDict(const TemplateDict &dict) {
    std::vector<const std::pair<Value, Value> *> entries;
    for (const auto &entry : dict.entries)
      entries.push_back(&entry);
    if (json_ != nullptr && json_->sortKeys)
      stableSort(entries,
                 [&](const auto *a, const auto *b) { return isLess(a->first, b->first, budget_); });
    put("{");
    ++level_;
    for (size_t i = 0; i < entries.size() && !budget_.failed(); ++i) {
      if (i > 0)
        put(itemSeparator_);
      newline(level_);
      writeKey(entries[i]->first);
      put(keySeparator_);
      write(entries[i]->second);
    }
    --level_;
    if (!entries.empty())
      newline(level_);
    put("}");
  }

  TemplateBudget &budget_;
  const JsonStyle *json_;
  std::string itemSeparator_;
  std::string keySeparator_;
  int level_ = 0;
};

} // namespace

Marked toRepr(const Value &value, TemplateBudget &budget) {
  Writer writer(budget, nullptr);
  writer.write(value);
  return std::move(writer.out);
}

Marked toText(const Value &value, TemplateBudget &budget) {
  if (const auto *text = std::get_if<StringRef>(&value))
    return **text;
  if (holds<Undefined>(value))
    return {};
  return toRepr(value, budget);
}

Marked toJsonText(const Value &value, const JsonStyle &style, TemplateBudget &budget) {
  Writer writer(budget, &style);
  writer.write(value);
  return std::move(writer.out);
}

} // namespace llama4::text
