//===- ServiceDescription.cpp - /openapi.json -----------------------------===//

#include "runtime/format/FileHeader.h"
#include "runtime/serve/OpenApi.h"
#include "runtime/serve/Service.h"

namespace llama4::serve {

/// What a route does, takes and answers.
Json Service::describeRoute(const Route &route, const ServedModel &model) {
  const std::string path = route.path;
  Json responses = {{"200", responseOf("The answer.", route.answer)}};
  Json operation = {{"summary", route.summary}};
  if (path.back() == '/')
    operation["parameters"] = Json::array(
        {{{"name", "name"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  if (route.describe) {
    const Json empty = Json::object();
    Fields fields = Fields::describing(empty);
    route.describe(fields, model);
    Json schema = schemaOf(fields.notes());
    if (schema["properties"].contains("stream")) // then the answer comes as events
      responses["200"]["content"]["text/event-stream"] = {{"schema", {{"type", "string"}}}};
    operation["requestBody"] = {
        {"required", true}, {"content", {{"application/json", {{"schema", std::move(schema)}}}}}};
    responses["400"] = responseOf("The request is wrong.", "Error");
  }
  if (!route.isOpen)
    responses["401"] = responseOf("A key is asked for.", "Error");
  if (route.isWork || route.act == &Service::ready)
    responses["503"] = responseOf("Not now; see Retry-After.", "Error");
  if (route.isWork || path.back() == '/')
    responses["404"] = responseOf("There is no such model.", "Error");
  operation["security"] = Json::array({Json::object()});
  if (!route.isOpen)
    operation["security"].push_back({{"key", Json::array()}});
  operation["responses"] = std::move(responses);
  return operation;
}

Json Service::openApi() const {
  Json paths = Json::object();
  for (const Route &route : allRoutes()) {
    std::string path = route.path;
    if (path.back() == '/')
      path += "{name}";
    const char *method = route.method == std::string_view("GET") ? "get" : "post";
    paths[path][method] = describeRoute(route, model_);
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "llama4-run serve"},
            {"version", std::to_string(formatMajor) + "." + std::to_string(formatMinor)}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", answerSchemas()},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

} // namespace llama4::serve
