//===- GenerationFields.cpp - what requests say about answers -------------===//

#include "runtime/serve/GenerationFields.h"

#include "runtime/format/Quoted.h"
#include "runtime/serve/Json.h"

#include <charconv>
#include <cmath>
#include <random>

namespace llama4::serve {

namespace {

constexpr int64_t mostTokens = INT32_MAX;
constexpr size_t mostStops = 16, mostStopBytes = 4096, mostBiases = 1024;
constexpr int64_t mostChoices = 16;
constexpr size_t mostFound = 40; ///< bytes of what an error says was found

/// A value in an error: numbers as they are, the beginning of a string, of others what they are.
std::string foundText(const Json &value) {
  if (value.is_number())
    return jsonText(value);
  const auto *text = value.get_ptr<const std::string *>();
  return text ? quoteName(*text, mostFound) : value.type_name();
}

uint64_t randomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

void readStop(Fields &fields, ScheduledRequest &request) {
  const Json *stop = fields.any("stop");
  if (!stop)
    return;
  auto add = [&](const Json &one) {
    const auto *text = one.get_ptr<const std::string *>();
    if (!text || text->empty() || text->size() > mostStopBytes)
      return fields.fail("stop",
                         "expected strings of 1 to " + std::to_string(mostStopBytes) + " bytes.");
    request.stopStrings.push_back(*text);
  };
  if (!stop->is_array())
    return add(*stop);
  if (stop->size() > mostStops)
    return fields.fail("stop", "expected at most " + std::to_string(mostStops) + " strings.");
  for (const Json &text : *stop)
    add(text);
}

/// "expected a token id from 0 to 99 of the model's vocabulary."
std::string expectedId(uint32_t vocabSize) {
  return "expected a token id from 0 to " + std::to_string(vocabSize - 1) +
         " of the model's vocabulary.";
}

void readStopIds(Fields &fields, uint32_t vocabSize, ScheduledRequest &request) {
  const Json *ids = fields.any("stop_token_ids");
  if (!ids)
    return;
  if (!ids->is_array() || ids->size() > mostStops)
    return fields.fail("stop_token_ids",
                       "expected a list of at most " + std::to_string(mostStops) + " token ids.");
  for (const Json &id : *ids) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocabSize)
      return fields.fail("stop_token_ids", "found " + foundText(id) + ", " + expectedId(vocabSize));
    request.stopIds.push_back(id.get<int32_t>());
  }
}

void readBias(Fields &fields, uint32_t vocabSize, ScheduledRequest &request) {
  const Json *biases = fields.any("logit_bias");
  if (!biases)
    return;
  if (!biases->is_object() || biases->size() > mostBiases)
    return fields.fail("logit_bias", "expected an object of at most " + std::to_string(mostBiases) +
                                         " token ids, each with a number from -100 to 100.");
  for (const auto &[key, value] : biases->items()) {
    uint32_t id = 0;
    auto [rest, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || std::to_string(id) != key || id >= vocabSize)
      return fields.fail("logit_bias",
                         "found " + quoteName(key, mostFound) + ", " + expectedId(vocabSize));
    const double bias = value.is_number() ? value.get<double>() : std::nan("");
    if (!(bias >= -100 && bias <= 100))
      return fields.fail("logit_bias", "found " + foundText(value) + " for the id " + key +
                                           ", expected a number from -100 to 100.");
    request.sampling.logitBias.push_back({static_cast<int32_t>(id), static_cast<float>(bias)});
  }
}

void readSampling(Fields &fields, const ProgramDesc &program, SamplingParameters &sampling) {
  const GenerationDefaults &model = program.generation; // neutral values where not present
  auto number = [&](const char *name, double low, double high, float otherwise) {
    auto value = fields.number(name, low, high);
    return value ? static_cast<float>(*value) : otherwise;
  };
  const float temperature = !model.present ? 1.0f : model.sample ? model.temperature : 0.0f;
  sampling.temperature = number("temperature", 0, 100, temperature);
  sampling.topP = number("top_p", 0, 1, model.topP);
  sampling.minP = number("min_p", 0, 1, model.minP);
  const int64_t topK = fields.integer("top_k", -1, mostTokens).value_or(model.topK);
  sampling.topK = topK < 0 ? 0 : static_cast<uint32_t>(topK);
  sampling.frequencyPenalty = number("frequency_penalty", -2, 2, 0);
  sampling.presencePenalty = number("presence_penalty", -2, 2, 0);
  sampling.repetitionPenalty = number("repetition_penalty", 0.01, 100, model.repetitionPenalty);
  const std::optional<int64_t> seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  sampling.seed = seed ? static_cast<uint64_t>(*seed) : randomSeed();
}

/// What is not there yet, and would be missed if it were ignored.
void refuseUnsupported(Fields &fields) {
  for (const char *name : {"tools", "functions"})
    if (const Json *value = fields.unsupported(name); value && !value->empty())
      fields.fail(name, "tools are not supported.");
  if (const Json *format = fields.any("response_format")) {
    const bool isText =
        format->is_object() && format->contains("type") && (*format)["type"] == "text";
    if (!isText)
      fields.fail("response_format", "expected {\"type\": \"text\"}; other formats are not "
                                     "supported.");
  }
  for (const char *name : {"guided_json", "guided_regex", "guided_choice", "guided_grammar",
                           "structured_outputs", "grammar", "json_schema", "audio"})
    if (fields.unsupported(name))
      fields.fail(name, "is not supported.");
  // OpenAI's clients send these, and no answer is other for them.
  for (const char *name : {"user", "metadata", "store", "service_tier", "safety_identifier",
                           "prompt_cache_key", "modalities", "tool_choice", "function_call",
                           "parallel_tool_calls", "reasoning_effort", "verbosity", "prediction"})
    fields.ignore(name);
}

} // namespace

void readGenerationFields(Fields &fields, const ServedModel &model, int64_t leastTokens,
                          GenerationFields &out) {
  const ProgramDesc &program = model.program().desc();
  ScheduledRequest &request = out.request;
  readSampling(fields, program, request.sampling);
  readStop(fields, request);
  readStopIds(fields, program.model.vocabSize, request);
  readBias(fields, program.model.vocabSize, request);
  request.choices = static_cast<uint32_t>(fields.integer("n", 1, mostChoices).value_or(1));
  request.ignoreStop = fields.boolean("ignore_eos").value_or(false);
  request.minNewTokens =
      static_cast<uint64_t>(fields.integer("min_tokens", 0, mostTokens).value_or(0));
  std::optional<int64_t> most = fields.integer("max_tokens", leastTokens, mostTokens);
  if (auto newer = fields.integer("max_completion_tokens", leastTokens, mostTokens))
    most = newer;
  out.isZeroTokens = most == 0;
  request.maxNewTokens = static_cast<uint64_t>(most.value_or(0));
  out.stream = fields.boolean("stream").value_or(false);
  if (const Json *options = fields.any("stream_options")) {
    if (!options->is_object() || !out.stream)
      return fields.fail("stream_options", "expected an object, and \"stream\": true.");
    Fields inner(*options, "stream_options.");
    out.includeUsage = inner.boolean("include_usage").value_or(false);
    if (inner.error())
      fields.fail("stream_options", "include_usage: expected true or false.");
  }
  refuseUnsupported(fields);
}

} // namespace llama4::serve
