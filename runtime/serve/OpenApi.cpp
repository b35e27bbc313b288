//===- OpenApi.cpp - the API described for programs -----------------------===//

#include "runtime/serve/OpenApi.h"

#include <cmath>
#include <string_view>

namespace llama4::serve {

namespace {

/// Fields whose values are neither numbers, truth values nor strings.
constexpr struct {
  const char *name;
  const char *schema;
} structured[] = {
    {"messages", R"({"type":"array","minItems":1,"maxItems":4096,
                     "items":{"$ref":"#/components/schemas/Message"}})"},
    {"prompt", R"({"oneOf":[{"type":"string"},{"$ref":"#/components/schemas/TokenIds"},
                   {"type":"array","minItems":1,"maxItems":64,"items":{"type":"string"}},
                   {"type":"array","minItems":1,"maxItems":64,
                    "items":{"$ref":"#/components/schemas/TokenIds"}}]})"},
    {"stop", R"({"oneOf":[{"type":"string","minLength":1},{"type":"null"},
                 {"type":"array","maxItems":16,"items":{"type":"string","minLength":1}}]})"},
    {"stop_token_ids", R"({"type":["array","null"],"maxItems":16,
                           "items":{"type":"integer","minimum":0}})"},
    {"logit_bias", R"({"type":["object","null"],"maxProperties":1024,
                       "additionalProperties":{"type":"number","minimum":-100,"maximum":100}})"},
    {"stream_options", R"({"type":["object","null"],
                           "properties":{"include_usage":{"type":["boolean","null"]}}})"},
    {"response_format", R"({"type":["object","null"],"properties":{"type":{"const":"text"}},
                            "required":["type"]})"},
    {"tokens", R"({"$ref":"#/components/schemas/TokenIds"})"},
};

constexpr const char *components = R"({
 "Error":{"type":"object","required":["error"],"properties":{"error":{"type":"object",
  "required":["message","type","param","code"],"properties":{"message":{"type":"string"},
  "type":{"type":"string"},"param":{"type":["string","null"]},"code":{"type":["string","null"]}}}}},
 "TokenIds":{"type":"array","maxItems":1048576,"items":{"type":"integer","minimum":0}},
 "Message":{"type":"object","required":["role"],"properties":{
  "role":{"enum":["system","developer","user","assistant","tool","function"]},
  "content":{"oneOf":[{"type":"string"},{"type":"null"},
   {"type":"array","items":{"$ref":"#/components/schemas/Part"}}]}}},
 "Part":{"type":"object","required":["type"],"properties":{
  "type":{"enum":["text","image_url","input_image","image"]},"text":{"type":"string"},
  "image_url":{"oneOf":[{"type":"string"},{"type":"object","required":["url"],
   "properties":{"url":{"type":"string"}}}]},"image":{"type":"string"},"url":{"type":"string"}}},
 "Usage":{"type":"object","required":["prompt_tokens","completion_tokens","total_tokens"],
  "properties":{"prompt_tokens":{"type":"integer"},"completion_tokens":{"type":"integer"},
  "total_tokens":{"type":"integer"},"prompt_tokens_details":{"type":"object",
  "properties":{"cached_tokens":{"type":"integer"}}},"avg_prompt_tok_per_sec":{"type":"number"},
  "avg_compl_tok_per_sec":{"type":"number"}}},
 "FinishReason":{"enum":["stop","length",null]},
 "ChatCompletion":{"type":"object","required":["id","object","created","model","choices"],
  "properties":{"id":{"type":"string"},"object":{"const":"chat.completion"},
  "created":{"type":"integer"},"model":{"type":"string"},
  "choices":{"type":"array","items":{"type":"object",
   "required":["index","message","logprobs","finish_reason"],"properties":{
   "index":{"type":"integer"},"message":{"type":"object","required":["role","content"],
    "properties":{"role":{"const":"assistant"},"content":{"type":["string","null"]},
    "refusal":{"type":["string","null"]}}},"logprobs":{"type":["object","null"]},
   "finish_reason":{"$ref":"#/components/schemas/FinishReason"}}}},
  "usage":{"$ref":"#/components/schemas/Usage"}}},
 "Completion":{"type":"object","required":["id","object","created","model","choices"],
  "properties":{"id":{"type":"string"},"object":{"const":"text_completion"},
  "created":{"type":"integer"},"model":{"type":"string"},
  "choices":{"type":"array","items":{"type":"object",
   "required":["index","text","logprobs","finish_reason"],"properties":{
   "index":{"type":"integer"},"text":{"type":"string"},"logprobs":{"type":["object","null"]},
   "finish_reason":{"$ref":"#/components/schemas/FinishReason"}}}},
  "usage":{"$ref":"#/components/schemas/Usage"}}},
 "Model":{"type":"object","required":["id","object","created","owned_by"],"properties":{
  "id":{"type":"string"},"object":{"const":"model"},"created":{"type":"integer"},
  "owned_by":{"type":"string"},"max_model_len":{"type":"integer"}}},
 "ModelList":{"type":"object","required":["object","data"],"properties":{"object":{"const":"list"},
  "data":{"type":"array","items":{"$ref":"#/components/schemas/Model"}}}},
 "Tokens":{"type":"object","required":["count","max_model_len","tokens"],"properties":{
  "count":{"type":"integer"},"max_model_len":{"type":"integer"},
  "tokens":{"type":"array","items":{"type":"integer"}}}},
 "Text":{"type":"object","required":["prompt","content"],"properties":{
  "prompt":{"type":"string"},"content":{"type":"string"}}},
 "State":{"type":"object","required":["status"],"properties":{"status":{"const":"ok"}}},
 "Version":{"type":"object","required":["version"],"properties":{"version":{"type":"string"},
  "format":{"type":"string"},"model_content_id":{"type":"string"}}},
 "Description":{"type":"object"}
})";

Json boundOf(double value) {
  return value == std::floor(value) ? Json(static_cast<int64_t>(value)) : Json(value);
}

/// Null is like absence everywhere. Bounds that a number of JSON need not hold are those of 64
/// bits.
Json numberSchema(const char *type, const FieldNote &note) {
  constexpr double exact = 9e15;
  Json schema = {{"type", {type, "null"}}};
  if (std::abs(note.low) > exact || std::abs(note.high) > exact)
    schema["format"] = "int64";
  else
    schema.update({{"minimum", boundOf(note.low)}, {"maximum", boundOf(note.high)}});
  return schema;
}

Json fieldSchema(const FieldNote &note) {
  switch (note.kind) {
  case FieldNote::Kind::Integer:
    return numberSchema("integer", note);
  case FieldNote::Kind::Number:
    return numberSchema("number", note);
  case FieldNote::Kind::Boolean:
    return {{"type", {"boolean", "null"}}};
  case FieldNote::Kind::String:
    return {{"type", {"string", "null"}}};
  case FieldNote::Kind::Any:
  case FieldNote::Kind::Ignored:
  case FieldNote::Kind::Unsupported:
    break;
  }
  for (const auto &field : structured)
    if (note.name == std::string_view(field.name))
      return Json::parse(field.schema);
  return Json::object();
}

} // namespace

Json schemaOf(std::span<const FieldNote> notes) {
  Json properties = Json::object();
  for (const FieldNote &note : notes)
    if (note.kind != FieldNote::Kind::Unsupported && !properties.contains(note.name)) {
      properties[note.name] = fieldSchema(note);
      if (note.kind == FieldNote::Kind::Ignored)
        properties[note.name]["description"] = "Taken, without effect.";
    }
  return {{"type", "object"}, {"properties", std::move(properties)}};
}

Json answerSchemas() { return Json::parse(components); }

Json responseOf(const std::string &description, const std::string &name) {
  const char *type = name.empty() ? "text/plain" : "application/json";
  Json schema = {{"type", "string"}};
  if (!name.empty())
    schema = {{"$ref", "#/components/schemas/" + name}};
  return {{"description", description}, {"content", {{type, {{"schema", std::move(schema)}}}}}};
}

} // namespace llama4::serve
