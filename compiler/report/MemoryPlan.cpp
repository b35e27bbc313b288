//===- MemoryPlan.cpp - what memory a planned program needs ---------------===//

#include "compiler/report/MemoryPlan.h"

#include "runtime/format/HostMemory.h"
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

/// True for the entries that work on pictures, before any step.
static bool isOfImages(const Entry &entry) {
  return entry.function == "encode_image" || entry.function == "cross_kv";
}

/// The pixels of pictures on their way: of as many as the pool holds.
static uint64_t pixelBytes(const ImageInfo &images) {
  if (!images.present())
    return 0;
  constexpr uint64_t colours = 3;
  const uint64_t tiles = images.family == ImageFamily::Mllama ? images.maxTiles : 1;
  const uint64_t units = images.maxFeatureRows / std::max<uint64_t>(images.unitRows(), 1);
  return saturatingMul(units * tiles,
                       colours * images.imageSize * images.imageSize * sizeof(float));
}

/// Buffers of the inputs and outputs: entries of one function share theirs.
static void countStep(const ProgramDesc &program, MemoryPlan &plan) {
  std::map<std::string, uint64_t> images, others; // of one function
  for (const Entry &entry : program.entries) {
    const bool isImages = isOfImages(entry);
    uint64_t pools = 0, rest = 0;
    for (const EntryTensor &input : entry.inputs) {
      const bool isPool =
          entry.function == "step" && input.rowsPerSymbol == 0 && program.images.present();
      uint64_t &part = isImages || isPool ? pools : rest;
      if (input.role != InputRole::Batch)
        part = saturatingAdd(part, input.bytes(entry.bound));
    }
    for (const EntryTensor &output : entry.outputs)
      (isImages ? pools : rest) = saturatingAdd(isImages ? pools : rest, output.bytes(entry.bound));
    images[entry.function] = std::max(images[entry.function], pools);
    others[entry.function] = std::max(others[entry.function], rest);
    uint64_t &arena = (isImages ? plan.vision : plan.text).arena;
    arena = std::max(arena, entry.arenaBytes());
  }
  for (const auto &[function, bytes] : images)
    plan.vision.step = saturatingAdd(plan.vision.step, bytes);
  for (const auto &[function, bytes] : others)
    plan.text.step = saturatingAdd(plan.text.step, bytes);
  plan.vision.step = saturatingAdd(plan.vision.step, pixelBytes(program.images));
  plan.step = saturatingAdd(plan.vision.step, plan.text.step);
  plan.arena = std::max(plan.vision.arena, plan.text.arena);
}

/// The weights that only the image tower reads are its own.
static void countSides(const ProgramDesc &program, MemoryPlan &plan) {
  std::vector<bool> isText(program.weights.size());
  for (const Entry &entry : program.entries)
    for (const Command &command : entry.commands)
      for (const Binding &binding : command.bindings)
        if (binding.kind == BindingKind::Weight && entry.function != "encode_image")
          isText[binding.index] = true;
  for (size_t i = 0; i < program.weights.size(); ++i)
    (isText[i] || !program.images.present() ? plan.text : plan.vision)
        .weights.count(program.weights[i]);
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
  countSides(program, plan);
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
  plan.host = hostBytes;
  for (uint64_t part : {plan.weights.bytes, plan.arena, plan.step, plan.cache, plan.host})
    plan.memory = saturatingAdd(plan.memory, part);
  return plan;
}
