//===- PlanReport.cpp - what a planned program needs ----------------------===//

#include "compiler/report/PlanReport.h"

#include "compiler/report/Names.h"

namespace llama4 {

using nlohmann::ordered_json;

namespace {

ordered_json sumJson(const WeightSum &sum) {
  return {{"tensors", sum.tensors}, {"parameters", sum.parameters}, {"bytes", sum.bytes}};
}

ordered_json sideJson(const SideNeed &side) {
  return {{"weights", sumJson(side.weights)}, {"arena", side.arena}, {"step", side.step}};
}

} // namespace

ordered_json planJson(const ProgramDesc &program, const MemoryPlan &plan) {
  ordered_json encodings = ordered_json::object(), kv = ordered_json::array(),
               entries = ordered_json::array();
  for (const auto &[encoding, sum] : plan.encodings)
    encodings[encoding] = sumJson(sum);
  for (const KvNeed &need : plan.kv)
    kv.push_back({{"name", need.kind->name},
                  {"layers", need.kind->layers},
                  {"kv_heads", need.kind->kvHeads},
                  {"head_dim", need.kind->headDim},
                  {"type", elementTypeName(need.kind->type)},
                  {"chunk_tokens", need.kind->chunkTokens},
                  {"bytes_per_token_and_layer", need.perTokenAndLayer},
                  {"bytes_per_token", need.perToken},
                  {"bytes_per_sequence", need.perSequence},
                  {"bytes", need.bytes}});
  for (const Entry &entry : program.entries)
    entries.push_back({{"name", entry.name},
                       {"bound", entry.bound},
                       {"dispatches", entry.commands.size()},
                       {"arena_bytes", entry.arenaBytes()}});
  ordered_json sides = nullptr; // of a program without images
  if (program.images.present())
    sides = {{"vision", sideJson(plan.vision)}, {"text", sideJson(plan.text)}};
  return {{"family", program.model.family},
          {"layers", program.model.layers},
          {"parameters", plan.weights.parameters},
          {"parameters_left_out", program.model.parametersLeftOut},
          {"compute", program.options.compute},
          {"max_length", program.options.maxLength},
          {"max_batch_size", program.options.maxBatchSize},
          {"max_step_tokens", program.options.maxStepTokens},
          {"weight_source", weightSourceText(program.weightSource)},
          {"weights", sumJson(plan.weights)},
          {"encodings", std::move(encodings)},
          {"entries", std::move(entries)},
          {"kv", std::move(kv)},
          {"sides", std::move(sides)},
          {"scratch_bytes_per_thread", plan.scratch},
          {"memory_bytes",
           {{"weights", plan.weights.bytes},
            {"arena", plan.arena},
            {"step", plan.step},
            {"cache", plan.cache},
            {"host", plan.host},
            {"all", plan.memory}}}};
}

namespace {

std::string modelText(const ProgramDesc &program, uint64_t parameters) {
  const ModelInfo &model = program.model;
  std::string text = model.family + ", " + std::to_string(model.layers) + " layers, " +
                     std::to_string(parameters) + " parameters (";
  if (model.parametersLeftOut == 0)
    return text + shortCount(parameters) + ")";
  return text + "text; " + shortCount(saturatingAdd(parameters, model.parametersLeftOut)) +
         " with " + shortCount(model.parametersLeftOut) + " of the vision part, which is left out)";
}

/// What the sides of a program with images need.
std::string sideText(const SideNeed &side) {
  return "weights " + humanSize(side.weights.bytes) + " (" + shortCount(side.weights.parameters) +
         " parameters) + transients " + humanSize(side.arena) + " + step " + humanSize(side.step);
}

std::string line(std::string name, const std::string &text) {
  name.resize(std::max<size_t>(name.size(), 12), ' ');
  return name + " " + text + "\n";
}

} // namespace

std::string planText(const ProgramDesc &program, const MemoryPlan &plan) {
  const CompileOptions &options = program.options;
  std::string text = line("model", modelText(program, plan.weights.parameters));
  text += line("bounds", std::to_string(options.maxBatchSize) + " sequences of " +
                             std::to_string(options.maxLength) + " tokens, " +
                             std::to_string(options.maxStepTokens) + " tokens a step");
  for (const auto &[encoding, sum] : plan.encodings)
    text += line("weights", encoding + ": " + std::to_string(sum.tensors) + " tensors, " +
                                std::to_string(sum.parameters) + " parameters, " +
                                humanSize(sum.bytes));
  for (const Entry &entry : program.entries)
    text += line("entry", entry.name + ": " + std::to_string(entry.commands.size()) +
                              " dispatches, transients " + humanSize(entry.arenaBytes()));
  for (const KvNeed &need : plan.kv)
    text +=
        line("cache", need.kind->name + ": " + std::to_string(need.kind->layers) + " layers, " +
                          std::string(elementTypeName(need.kind->type)) + ", " +
                          std::to_string(need.perToken) + " bytes a token, " +
                          humanSize(need.perSequence) + " a sequence" +
                          (need.kind->chunkTokens
                               ? ", chunks of " + std::to_string(need.kind->chunkTokens) + " tokens"
                               : ""));
  if (program.images.present()) {
    text += line("vision", sideText(plan.vision) + ", the pool of images in it");
    text += line("text", sideText(plan.text));
  }
  text += line("host", humanSize(plan.host) + " for everything else: program, code, tokenizer, "
                                              "tables");
  return text + line("memory", "weights " + humanSize(plan.weights.bytes) + " + transients " +
                                   humanSize(plan.arena) + " + step " + humanSize(plan.step) +
                                   " + cache " + humanSize(plan.cache) + " + host " +
                                   humanSize(plan.host) + " = " + humanSize(plan.memory) +
                                   ", and " + humanSize(plan.scratch) + " for each thread");
}

std::string jsonText(const ordered_json &json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string planReport(const ProgramDesc &program, bool json) {
  const MemoryPlan plan = planMemory(program);
  return json ? jsonText(planJson(program, plan)) : planText(program, plan);
}

} // namespace llama4
