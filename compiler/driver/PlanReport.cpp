//===- PlanReport.cpp - what a planned program needs ----------------------===//

#include "compiler/driver/PlanReport.h"

#include "runtime/format/KvPages.h"

#include <nlohmann/json.hpp>

#include <limits>
#include <map>

namespace llama4 {

namespace {

using nlohmann::ordered_json;

uint64_t multiply(uint64_t a, uint64_t b) {
  return checkedMul(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

uint64_t add(uint64_t a, uint64_t b) {
  return checkedAdd(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

struct Sum {
  uint64_t tensors = 0, parameters = 0, bytes = 0;

  void count(const Weight &weight) {
    ++tensors;
    parameters = add(parameters, multiply(multiply(weight.rows, weight.columns), weight.matrices));
    bytes = add(bytes, weight.bytes);
  }
};

/// The cache of one kind of layers.
struct KvNeed {
  const KvKind *kind;
  uint64_t perToken;    ///< bytes of all layers of the kind
  uint64_t perSequence; ///< bytes of the longest sequence
  uint64_t bytes;       ///< of all sequences
};

/// All numbers of a report.
struct Plan {
  Sum weights;
  std::map<std::string, Sum> encodings;
  std::vector<KvNeed> kv;
  uint64_t arena = 0, scratch = 0, step = 0, cache = 0, memory = 0;
};

void countStep(const ProgramDesc &program, Plan &plan) {
  std::map<std::string, uint64_t> largest; // of one function: its entries share buffers
  for (const Entry &entry : program.entries) {
    uint64_t bytes = 0;
    for (const EntryTensor &input : entry.inputs)
      if (input.role != InputRole::Batch)
        bytes = add(bytes, input.bytes(entry.bound));
    for (const EntryTensor &output : entry.outputs)
      bytes = add(bytes, output.bytes(entry.bound));
    largest[entry.function] = std::max(largest[entry.function], bytes);
    plan.arena = std::max(plan.arena, entry.arenaBytes());
  }
  for (const auto &[function, bytes] : largest)
    plan.step = add(plan.step, bytes);
}

Plan makePlan(const ProgramDesc &program) {
  Plan plan;
  for (const Weight &weight : program.weights) {
    plan.weights.count(weight);
    plan.encodings[weight.encoding].count(weight);
  }
  for (const Kernel &kernel : program.kernels)
    plan.scratch = std::max(plan.scratch, kernel.scratchBytes);
  countStep(program, plan);
  const CompileOptions &options = program.options;
  for (const KvKind &kind : program.kvKinds) {
    const uint64_t page = multiply(kind.pageBytes, kind.layers);
    KvNeed need = {&kind, page / L4_PAGE_TOKENS, 0, 0};
    need.perSequence =
        multiply(page, kvPagesOfSequence(kind, options.maxLength, options.maxStepTokens));
    need.bytes = multiply(need.perSequence, options.maxBatchSize);
    plan.cache = add(plan.cache, need.bytes);
    plan.kv.push_back(need);
  }
  plan.memory = add(add(plan.weights.bytes, plan.arena), add(plan.step, plan.cache));
  return plan;
}

ordered_json sumJson(const Sum &sum) {
  return {{"tensors", sum.tensors}, {"parameters", sum.parameters}, {"bytes", sum.bytes}};
}

std::string jsonText(const ProgramDesc &program, const Plan &plan) {
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
                  {"bytes_per_token", need.perToken},
                  {"bytes_per_sequence", need.perSequence},
                  {"bytes", need.bytes}});
  for (const Entry &entry : program.entries)
    entries.push_back({{"name", entry.name},
                       {"bound", entry.bound},
                       {"dispatches", entry.commands.size()},
                       {"arena_bytes", entry.arenaBytes()}});
  ordered_json json = {{"family", program.model.family},
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
                       {"scratch_bytes_per_thread", plan.scratch},
                       {"memory_bytes",
                        {{"weights", plan.weights.bytes},
                         {"arena", plan.arena},
                         {"step", plan.step},
                         {"cache", plan.cache},
                         {"all", plan.memory}}}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// "98.4 MB"
std::string human(uint64_t bytes) {
  constexpr const char *units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  char text[64];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return text;
}

/// "109B", "135M": three digits.
std::string shortCount(uint64_t count) {
  constexpr const char *units[] = {"", "K", "M", "B", "T"};
  auto value = static_cast<double>(count);
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  char text[64];
  std::snprintf(text, sizeof(text), "%.3g%s", value, units[unit]);
  return text;
}

std::string modelText(const ProgramDesc &program, uint64_t parameters) {
  const ModelInfo &model = program.model;
  std::string text = model.family + ", " + std::to_string(model.layers) + " layers, " +
                     std::to_string(parameters) + " parameters (";
  if (model.parametersLeftOut == 0)
    return text + shortCount(parameters) + ")";
  return text + "text; " + shortCount(add(parameters, model.parametersLeftOut)) + " with " +
         shortCount(model.parametersLeftOut) + " of the vision part, which is left out)";
}

std::string line(std::string name, const std::string &text) {
  name.resize(std::max<size_t>(name.size(), 12), ' ');
  return name + " " + text + "\n";
}

std::string peopleText(const ProgramDesc &program, const Plan &plan) {
  const CompileOptions &options = program.options;
  std::string text = line("model", modelText(program, plan.weights.parameters));
  text += line("bounds", std::to_string(options.maxBatchSize) + " sequences of " +
                             std::to_string(options.maxLength) + " tokens, " +
                             std::to_string(options.maxStepTokens) + " tokens a step");
  for (const auto &[encoding, sum] : plan.encodings)
    text +=
        line("weights", encoding + ": " + std::to_string(sum.tensors) + " tensors, " +
                            std::to_string(sum.parameters) + " parameters, " + human(sum.bytes));
  for (const Entry &entry : program.entries)
    text += line("entry", entry.name + ": " + std::to_string(entry.commands.size()) +
                              " dispatches, transients " + human(entry.arenaBytes()));
  for (const KvNeed &need : plan.kv)
    text +=
        line("cache", need.kind->name + ": " + std::to_string(need.kind->layers) + " layers, " +
                          std::string(elementTypeName(need.kind->type)) + ", " +
                          std::to_string(need.perToken) + " bytes a token, " +
                          human(need.perSequence) + " a sequence" +
                          (need.kind->chunkTokens
                               ? ", chunks of " + std::to_string(need.kind->chunkTokens) + " tokens"
                               : ""));
  return text + line("memory", "weights " + human(plan.weights.bytes) + " + transients " +
                                   human(plan.arena) + " + step " + human(plan.step) + " + cache " +
                                   human(plan.cache) + " = " + human(plan.memory) + ", and " +
                                   human(plan.scratch) + " for each thread");
}

} // namespace

std::string planReport(const ProgramDesc &program, bool json) {
  const Plan plan = makePlan(program);
  return json ? jsonText(program, plan) : peopleText(program, plan);
}

} // namespace llama4
