//===- MemoryPlan.cpp - what memory a planned program needs ---------------===//

#include "compiler/report/MemoryPlan.h"

#include "runtime/format/KvPages.h"

#include <limits>

using namespace llama4;

uint64_t llama4::saturatingMul(uint64_t a, uint64_t b) {
  return checkedMul(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

uint64_t llama4::saturatingAdd(uint64_t a, uint64_t b) {
  return checkedAdd(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

void WeightSum::count(const Weight &weight) {
  ++tensors;
  parameters = saturatingAdd(
      parameters, saturatingMul(saturatingMul(weight.rows, weight.columns), weight.matrices));
  bytes = saturatingAdd(bytes, weight.bytes);
}

static void countStep(const ProgramDesc &program, MemoryPlan &plan) {
  std::map<std::string, uint64_t> largest; // of one function: its entries share buffers
  for (const Entry &entry : program.entries) {
    uint64_t bytes = 0;
    for (const EntryTensor &input : entry.inputs)
      if (input.role != InputRole::Batch)
        bytes = saturatingAdd(bytes, input.bytes(entry.bound));
    for (const EntryTensor &output : entry.outputs)
      bytes = saturatingAdd(bytes, output.bytes(entry.bound));
    largest[entry.function] = std::max(largest[entry.function], bytes);
    plan.arena = std::max(plan.arena, entry.arenaBytes());
  }
  for (const auto &[function, bytes] : largest)
    plan.step = saturatingAdd(plan.step, bytes);
}

MemoryPlan llama4::planMemory(const ProgramDesc &program) {
  MemoryPlan plan;
  for (const Weight &weight : program.weights) {
    plan.weights.count(weight);
    plan.encodings[weight.encoding].count(weight);
  }
  for (const Kernel &kernel : program.kernels)
    plan.scratch = std::max(plan.scratch, kernel.scratchBytes);
  countStep(program, plan);
  const CompileOptions &options = program.options;
  for (const KvKind &kind : program.kvKinds) {
    const uint64_t page = saturatingMul(kind.pageBytes, kind.layers);
    KvNeed need = {&kind, kind.pageBytes / L4_PAGE_TOKENS, page / L4_PAGE_TOKENS, 0, 0};
    need.perSequence =
        saturatingMul(page, kvPagesOfSequence(kind, options.maxLength, options.maxStepTokens));
    need.bytes = saturatingMul(need.perSequence, options.maxBatchSize);
    plan.cache = saturatingAdd(plan.cache, need.bytes);
    plan.kv.push_back(need);
  }
  plan.memory = saturatingAdd(saturatingAdd(plan.weights.bytes, plan.arena),
                              saturatingAdd(plan.step, plan.cache));
  return plan;
}
