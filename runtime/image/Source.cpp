//===- Source.cpp - where a picture comes from: a path or a URL -----------===//

#include "runtime/image/Source.h"

#include "runtime/base/File.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <optional>

namespace llama4::image {

namespace {

/// True when `text` begins with `prefix`, which is in small letters, in any case.
bool startsWith(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char small, char any) {
           return small == (any >= 'A' && any <= 'Z' ? any + ('a' - 'A') : any);
         });
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// `text` with %XX as bytes; a % that no two hexadecimal digits follow stands for itself.
std::string unescape(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() ? hexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hexDigit(text[i + 2]) : -1;
    if (text[i] == '%' && high >= 0 && low >= 0) {
      bytes += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      bytes += text[i];
    }
  }
  return bytes;
}

int base64Digit(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// The bytes of base64 text, or nothing where it is broken.
std::optional<std::string> fromBase64(std::string_view text) {
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding)
    text.remove_suffix(1);
  if (text.size() % 4 == 1)
    return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  unsigned held = 0;
  for (char c : text) {
    const int digit = base64Digit(c);
    if (digit < 0)
      return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xff);
    }
  }
  return bytes;
}

} // namespace

Result<std::string> decodeDataUrl(std::string_view url, uint64_t maxBytes) {
  const size_t comma = url.find(',');
  if (!startsWith(url, "data:") || comma == std::string_view::npos)
    return Status::invalidInput("found no data URL, expected data:image/png;base64,... with the "
                                "picture after the comma.");
  const std::string_view type = url.substr(5, comma - 5), content = url.substr(comma + 1);
  // Every byte takes at least one letter, or 4/3 of one; what is longer need not be decoded.
  const bool base64 = type.size() >= 7 && startsWith(type.substr(type.size() - 7), ";base64");
  const uint64_t least = base64 && content.find('%') == std::string_view::npos
                             ? content.size() / 4 * 3
                             : content.size() / 3;
  std::optional<std::string> bytes;
  if (least <= maxBytes + 2)
    bytes = base64 ? fromBase64(unescape(content)) : unescape(content);
  if (least > maxBytes + 2 || (bytes && bytes->size() > maxBytes))
    return Status::invalidInput("found a data URL with more than " + std::to_string(maxBytes) +
                                " bytes of picture, expected at most that; scale it down.");
  if (!bytes)
    return Status::invalidInput("found a data URL with broken base64, expected letters, digits, + "
                                "and / after the comma; encode it again.");
  return std::move(*bytes);
}

Result<std::string> readImageSource(const std::string &source, const ImageLimits &limits,
                                    const FetchRules *fetch) {
  if (startsWith(source, "data:"))
    return decodeDataUrl(source, limits.maxBytes);
  if (fetch && isHttpUrl(source))
    return fetchUrl(source, *fetch, limits.maxBytes);
  if (source.find("://") != std::string::npos)
    return Status::invalidInput("found the URL " + quoteName(source) +
                                ", expected a path or a data: URL; fetch the picture first.");
  return readTextFile(source, limits.maxBytes);
}

Result<RgbImage> loadImage(const std::string &source, const DecodeOptions &options,
                           const FetchRules *fetch) {
  LLAMA4_ASSIGN_OR_RETURN(std::string bytes, readImageSource(source, options.limits, fetch));
  auto image = decodeImage(std::as_bytes(std::span(bytes)), options);
  if (!image.ok())
    return image.status().in(startsWith(source, "data:") ? "the data URL" : source);
  return image;
}

} // namespace llama4::image
