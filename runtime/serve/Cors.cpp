//===- Cors.cpp - which web pages may ask ---------------------------------===//

#include "runtime/serve/Cors.h"

#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4::serve {

namespace {

bool isOrigin(std::string_view text) {
  const size_t scheme = text.find("://");
  if (scheme == 0 || scheme == std::string_view::npos)
    return false;
  const std::string_view host = text.substr(scheme + 3);
  auto isPart = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view(".-:[]").find(c) != std::string_view::npos;
  };
  return !host.empty() && std::all_of(host.begin(), host.end(), isPart);
}

/// Names of fields, separated by commas.
bool isNameList(std::string_view text) {
  auto isPart = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_, ").find(c) != std::string_view::npos;
  };
  return text.size() <= 1024 && std::all_of(text.begin(), text.end(), isPart);
}

} // namespace

Result<Cors> Cors::create(std::vector<std::string> origins) {
  Cors cors;
  cors.any_ = std::erase(origins, "*") != 0;
  for (const std::string &origin : origins)
    if (!isOrigin(origin))
      return Status::error(StatusKind::Usage, "--cors-origin: found " + quoteName(origin) +
                                                  ", expected \"*\" or an origin like "
                                                  "https://page.example, without a path.");
  cors.origins_ = std::move(origins);
  return cors;
}

bool Cors::allows(std::string_view origin) const {
  return any_ || std::find(origins_.begin(), origins_.end(), origin) != origins_.end();
}

HeaderFields Cors::fieldsFor(const HttpRequest &request) const {
  HeaderFields fields;
  if (!any_ && origins_.empty())
    return fields;
  if (!any_)
    fields.emplace_back("Vary", "Origin");
  const std::string_view origin = request.field("origin");
  if (origin.empty() || !allows(origin))
    return fields;
  fields.emplace_back("Access-Control-Allow-Origin", any_ ? "*" : std::string(origin));
  fields.emplace_back("Access-Control-Expose-Headers", "x-request-id, Retry-After");
  return fields;
}

std::optional<HttpResponse> Cors::preflight(const HttpRequest &request) const {
  const std::string_view origin = request.field("origin");
  if ((!any_ && origins_.empty()) || request.method != "OPTIONS" || origin.empty() ||
      request.field("access-control-request-method").empty())
    return std::nullopt;
  HttpResponse response;
  response.status = 204;
  response.contentType.clear();
  if (!allows(origin))
    return response; // without a permission
  response.fields.emplace_back("Access-Control-Allow-Methods", "GET, POST");
  const std::string_view names = request.field("access-control-request-headers");
  if (!names.empty() && isNameList(names))
    response.fields.emplace_back("Access-Control-Allow-Headers", std::string(names));
  response.fields.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

} // namespace llama4::serve
