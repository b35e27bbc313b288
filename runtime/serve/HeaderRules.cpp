//===- HeaderRules.cpp - which bytes are the head of a request ------------===//

#include "runtime/serve/HeaderRules.h"

#include <algorithm>
#include <charconv>

namespace llama4::serve {

namespace {

using Refusal = std::optional<HttpRefusal>;

bool isTokenCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool isToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), isTokenCharacter);
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char &c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

Refusal readRequestLine(std::string_view line, const HttpLimits &limits, HttpRequest &request) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return HttpRefusal{400, "the request line is not METHOD TARGET HTTP/1.1."};
  const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  std::string_view target = line.substr(first + 1, last - first - 1);
  if (!isToken(method) || target.empty() || target.find(' ') != std::string_view::npos)
    return HttpRefusal{400, "the request line is not METHOD TARGET HTTP/1.1."};
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return HttpRefusal{400, "the version is not HTTP/1.1 or HTTP/1.0."};
  if (target.size() > limits.urlBytes)
    return HttpRefusal{414,
                       "the target is longer than " + std::to_string(limits.urlBytes) + " bytes."};
  if (target.substr(0, 7) == "http://") { // the absolute form
    target.remove_prefix(7);
    const size_t slash = target.find('/');
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  if (target.front() != '/')
    return HttpRefusal{400, "the target is no path."};
  request.method = method;
  request.path = target.substr(0, target.find_first_of("?#"));
  request.isVersion10 = version == "HTTP/1.0";
  return std::nullopt;
}

Refusal readField(std::string_view line, HttpRequest &request) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !isToken(line.substr(0, colon)))
    return HttpRefusal{400, "a header line is not NAME: VALUE."};
  request.fields.emplace_back(lowered(line.substr(0, colon)),
                              std::string(trimmed(line.substr(colon + 1))));
  return std::nullopt;
}

Refusal readFraming(const HttpLimits &limits, HttpRequest &request) {
  size_t hosts = 0;
  for (const auto &[name, value] : request.fields) {
    hosts += name == "host";
    if (name == "transfer-encoding") {
      if (request.chunked || lowered(value) != "chunked" || request.isVersion10)
        return HttpRefusal{400, "the transfer encoding is not one \"chunked\" in HTTP/1.1."};
      request.chunked = true;
    } else if (name == "content-length") {
      uint64_t length = 0;
      auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), length);
      if (request.contentLength || error != std::errc() || rest != value.data() + value.size())
        return HttpRefusal{400, "the content length is not one decimal number."};
      request.contentLength = length;
    } else if (name == "content-encoding" && lowered(value) != "identity") {
      return HttpRefusal{415, "the body has a content encoding; send it without one."};
    }
  }
  if (hosts > 1 || (hosts == 0 && !request.isVersion10))
    return HttpRefusal{400, "there is not exactly one Host header."};
  if (request.chunked && request.contentLength)
    return HttpRefusal{400, "there is a content length beside a transfer encoding."};
  if (request.contentLength.value_or(0) > limits.bodyBytes)
    return HttpRefusal{413,
                       "the body is larger than " + std::to_string(limits.bodyBytes) + " bytes."};
  return std::nullopt;
}

} // namespace

std::optional<HttpRefusal> checkHeadBytes(std::string_view head, const HttpLimits &limits) {
  if (head.size() > limits.headerBytes)
    return HttpRefusal{431,
                       "the head is larger than " + std::to_string(limits.headerBytes) + " bytes."};
  for (size_t i = 0; i < head.size(); ++i) {
    const auto byte = static_cast<unsigned char>(head[i]);
    const bool isLast = i + 1 == head.size();
    if (byte == '\r'   ? !isLast && head[i + 1] != '\n'
        : byte == '\n' ? i == 0 || head[i - 1] != '\r'
                       : (byte < 0x20 && byte != '\t') || byte == 0x7f)
      return HttpRefusal{400, "the head has a control character in a line."};
    if (byte == '\n' && !isLast && (head[i + 1] == ' ' || head[i + 1] == '\t'))
      return HttpRefusal{400, "the head has a folded line."};
  }
  return std::nullopt;
}

std::optional<HttpRefusal> readHead(std::string_view head, const HttpLimits &limits,
                                    HttpRequest &request) {
  bool isFirst = true;
  size_t count = 0;
  while (true) {
    const size_t end = head.find("\r\n");
    if (end == std::string_view::npos)
      return HttpRefusal{400, "the head does not end."};
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (line.empty())
      break;
    if (!isFirst && ++count > limits.headerCount)
      return HttpRefusal{431, "there are more than " + std::to_string(limits.headerCount) +
                                  " header lines."};
    if (Refusal wrong = isFirst ? readRequestLine(line, limits, request) : readField(line, request))
      return wrong;
    isFirst = false;
  }
  if (isFirst)
    return HttpRefusal{400, "the request line is empty."};
  return readFraming(limits, request);
}

} // namespace llama4::serve
