//===- HttpText.cpp - heads of responses ----------------------------------===//

#include "runtime/serve/Http.h"

#include <strings.h>

namespace llama4::serve {

const char *reasonOf(int status) {
  switch (status) {
  case 200:
    return "OK";
  case 204:
    return "No Content";
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

bool HttpRequest::asksToClose() const {
  const std::string_view value = field("connection");
  return value.size() == 5 && ::strncasecmp(value.data(), "close", 5) == 0;
}

HttpResponse noAnswer() {
  return {500,
          "application/json",
          {},
          R"({"error":{"message":"no answer was made.","type":"server_error","param":null,)"
          R"("code":null}})"};
}

std::string headText(const HttpResponse &response, const Framing &framing) {
  std::string text =
      "HTTP/1.1 " + std::to_string(response.status) + " " + reasonOf(response.status) + "\r\n";
  if (!response.contentType.empty())
    text += "Content-Type: " + response.contentType + "\r\n";
  for (const auto &[name, value] : response.fields)
    text += name + ": " + value + "\r\n";
  if (framing.length && response.status != 204)
    text += "Content-Length: " + std::to_string(*framing.length) + "\r\n";
  else if (framing.chunked)
    text += "Transfer-Encoding: chunked\r\n";
  if (framing.last)
    text += "Connection: close\r\n";
  return text + "\r\n";
}

} // namespace llama4::serve
