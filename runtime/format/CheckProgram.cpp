//===- CheckProgram.cpp - is a program description well formed? -----------===//
//
// The tables of a program; entries and their commands are in CheckEntry.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/format/CheckProgram.h"

#include "runtime/base/Checked.h"
#include "runtime/format/CheckField.h"
#include "runtime/format/FileHeader.h"

#include <algorithm>
#include <cmath>

namespace llama4 {

using check::atIndex;
using check::badField;
using check::inRange;
using check::nameIsGood;
using check::Names;

static Status checkIds(const std::string &field, const std::vector<int32_t> &ids, uint32_t vocab) {
  LLAMA4_RETURN_IF_ERROR(inRange(field + " (number)", ids.size(), 0, 4096));
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || static_cast<uint32_t>(ids[i]) >= vocab)
      return badField(atIndex(field, i), std::to_string(ids[i]),
                      "a token id below " + std::to_string(vocab));
  return {};
}

/// Only a program that the engine can step has to describe a model; others are run by `invoke`.
static Status checkModel(const ModelInfo &model, bool hasStep) {
  const uint64_t least = hasStep ? 1 : 0;
  LLAMA4_RETURN_IF_ERROR(nameIsGood("model.family", model.family));
  LLAMA4_RETURN_IF_ERROR(inRange("model.name (bytes)", model.name.size(), 0, limits::maxNameBytes));
  LLAMA4_RETURN_IF_ERROR(inRange("model.licence (bytes)", model.licence.size(), 0, 1u << 20));
  LLAMA4_RETURN_IF_ERROR(inRange("model.vocab_size", model.vocabSize, least, limits::maxColumns));
  LLAMA4_RETURN_IF_ERROR(inRange("model.hidden_size", model.hiddenSize, least, limits::maxColumns));
  LLAMA4_RETURN_IF_ERROR(inRange("model.layers", model.layers, least, limits::maxLayers));
  LLAMA4_RETURN_IF_ERROR(
      inRange("model.max_position", model.maxPosition, least, uint64_t{1} << 40));
  if (model.bos < -1 || (model.bos >= 0 && static_cast<uint32_t>(model.bos) >= model.vocabSize))
    return badField("model.bos", std::to_string(model.bos),
                    "-1 or a token id below " + std::to_string(model.vocabSize));
  LLAMA4_RETURN_IF_ERROR(checkIds("model.eos", model.eos, model.vocabSize));
  return checkIds("model.stop", model.stop, model.vocabSize);
}

static Status checkOptions(const CompileOptions &options) {
  if (options.compute != "float32" && options.compute != "bfloat16")
    return badField("options.compute", quoteName(options.compute), "\"float32\" or \"bfloat16\"");
  if (options.kvType != ElementType::F32 && options.kvType != ElementType::BF16)
    return badField("options.kv_type", elementTypeName(options.kvType), "f32 or bf16");
  LLAMA4_RETURN_IF_ERROR(
      inRange("options.max_step_tokens", options.maxStepTokens, 1, limits::maxSymbol));
  LLAMA4_RETURN_IF_ERROR(
      inRange("options.max_batch_size", options.maxBatchSize, 1, limits::maxSymbol));
  return inRange("options.max_length", options.maxLength, 1, uint64_t{1} << 40);
}

static Status checkNumber(const std::string &field, float value, float low, float high) {
  if (!(value >= low && value <= high)) // false for NaN as well
    return badField(field, std::to_string(value),
                    "a number from " + std::to_string(low) + " to " + std::to_string(high));
  return {};
}

static Status checkGeneration(const GenerationDefaults &defaults) {
  LLAMA4_RETURN_IF_ERROR(checkNumber("generation.temperature", defaults.temperature, 0, 1000));
  LLAMA4_RETURN_IF_ERROR(checkNumber("generation.top_p", defaults.topP, 0, 1));
  LLAMA4_RETURN_IF_ERROR(checkNumber("generation.min_p", defaults.minP, 0, 1));
  return checkNumber("generation.repetition_penalty", defaults.repetitionPenalty, 1e-3f, 1000);
}

static Status checkParam(const std::string &at, const KernelParam &param) {
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".columns", param.columns, 0, limits::maxColumns));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".row_bytes", param.rowBytes, 1, limits::maxArenaBytes));
  if (param.kind == ParamKind::Weight) {
    if (param.access != Access::Read)
      return badField(at + ".access", "write", "read, as weights are read-only");
    return nameIsGood(at + ".encoding", param.encoding);
  }
  if (param.kind == ParamKind::Kv) {
    if (param.type != ElementType::F32 && param.type != ElementType::BF16)
      return badField(at + ".type", elementTypeName(param.type), "f32 or bf16");
    return {};
  }
  LLAMA4_RETURN_IF_ERROR(
      inRange(at + ".rows_per_symbol", param.rowsPerSymbol, 0, limits::maxRowsPerSymbol));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".rows_fixed", param.rowsFixed, 0, limits::maxSymbol));
  if (param.rowsPerSymbol == 0 && param.rowsFixed == 0)
    return badField(at + ".rows_per_symbol", "no rows", "at least one row");
  uint64_t row = rowBytes(param.type, param.columns);
  if (param.columns == 0) {
    if (row == 0)
      return badField(at + ".columns", "0",
                      "a number of columns for " + std::string(elementTypeName(param.type)));
    return inRange(at + ".row_bytes", param.rowBytes, row, row);
  }
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".row_bytes", param.rowBytes, row, uint64_t{1} << 32));
  return check::aligned(at + ".row_bytes", param.rowBytes, L4_ROW_ALIGN);
}

/// What a grouped linear says about its experts; its parameters have been checked.
static Status checkExperts(const std::string &at, const Kernel &kernel) {
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".experts", kernel.experts, 0, limits::maxExperts));
  const uint64_t params = kernel.params.size();
  if (kernel.experts == 0)
    return inRange(at + ".tiles_param", kernel.tilesParam, 0, 0);
  if (kernel.tilesParam >= params)
    return badField(at + ".tiles_param", std::to_string(kernel.tilesParam),
                    "an index below " + std::to_string(params));
  const KernelParam &tiles = kernel.params[kernel.tilesParam];
  if (tiles.kind != ParamKind::Tensor || tiles.type != ElementType::I32 || tiles.columns != 4 ||
      tiles.access == Access::Write)
    return badField(at + ".tiles_param", "a parameter that holds no tiles",
                    "a tensor of four i32 columns that the kernel reads");
  bool hasWeights = false;
  for (size_t p = 0; p < params; ++p) {
    if (kernel.params[p].kind != ParamKind::Weight)
      continue;
    hasWeights = true;
    if (kernel.params[p].rowBytes % (uint64_t{kernel.experts} * tensorAlignment) != 0)
      return badField(atIndex(at + ".params", p) + ".row_bytes",
                      std::to_string(kernel.params[p].rowBytes),
                      std::to_string(kernel.experts) + " matrices of a multiple of " +
                          std::to_string(tensorAlignment) + " bytes");
  }
  if (!hasWeights)
    return badField(at + ".experts", "experts without weights", "a parameter that is a weight");
  return {};
}

static Status checkKernels(const std::vector<Kernel> &kernels) {
  LLAMA4_RETURN_IF_ERROR(inRange("kernels (number)", kernels.size(), 0, limits::maxCommands));
  Names names;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const Kernel &kernel = kernels[i];
    std::string at = atIndex("kernels", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".symbol", kernel.symbol));
    for (char c : kernel.symbol)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '$')
        return badField(at + ".symbol", quoteName(kernel.symbol), "letters, digits, '_', '.', '$'");
    LLAMA4_RETURN_IF_ERROR(
        inRange(at + ".scratch_bytes", kernel.scratchBytes, 0, limits::maxScratchBytes));
    LLAMA4_RETURN_IF_ERROR(
        inRange(at + ".params (number)", kernel.params.size(), 0, limits::maxParams));
    for (size_t p = 0; p < kernel.params.size(); ++p)
      LLAMA4_RETURN_IF_ERROR(checkParam(atIndex(at + ".params", p), kernel.params[p]));
    LLAMA4_RETURN_IF_ERROR(checkExperts(at, kernel));
    if (!kernel.library.empty())
      LLAMA4_RETURN_IF_ERROR(readLibraryLinear(at, kernel).status());
  }
  return {};
}

/// Bytes that one matrix takes at least; nothing on overflow.
static std::optional<uint64_t> leastBytes(const Weight &weight) {
  std::optional<uint64_t> elements = checkedMul(weight.rows, weight.columns);
  if (!elements)
    return std::nullopt;
  if (weight.encoding == "float32")
    return checkedMul(*elements, 4);
  if (weight.encoding == "bfloat16")
    return checkedMul(*elements, 2);
  if (weight.encoding.starts_with("q8"))
    return *elements;
  if (weight.encoding.starts_with("q6"))
    return *elements / 8 * 6;
  if (weight.encoding.starts_with("q5"))
    return *elements / 8 * 5;
  const bool isHalf = weight.encoding.starts_with("q4") || weight.encoding.starts_with("int4");
  return isHalf ? *elements / 2 : 1;
}

/// Every matrix has the bytes of its elements, and all have the same.
static Status checkMatrices(const std::string &at, const Weight &weight, uint64_t least) {
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".matrices", weight.matrices, 1, limits::maxExperts));
  if (weight.matrices > 1 && weight.bytes % (weight.matrices * tensorAlignment) != 0)
    return badField(at + ".bytes", std::to_string(weight.bytes),
                    std::to_string(weight.matrices) + " matrices of a multiple of " +
                        std::to_string(tensorAlignment) + " bytes");
  const std::string each = weight.matrices > 1 ? " (of each matrix)" : "";
  return inRange(at + ".bytes" + each, weight.bytes / weight.matrices, least, weight.bytes);
}

static Status checkWeights(const std::vector<Weight> &weights, uint64_t sectionBytes) {
  LLAMA4_RETURN_IF_ERROR(inRange("weights (number)", weights.size(), 0, 1u << 20));
  Names names;
  uint64_t end = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const Weight &weight = weights[i];
    std::string at = atIndex("weights", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".name", weight.name));
    LLAMA4_RETURN_IF_ERROR(nameIsGood(at + ".encoding", weight.encoding));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".rows", weight.rows, 1, uint64_t{1} << 48));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".columns", weight.columns, 1, uint64_t{1} << 48));
    LLAMA4_RETURN_IF_ERROR(
        check::follows(at, weight.offset, weight.bytes, end, tensorAlignment, sectionBytes));
    std::optional<uint64_t> least = leastBytes(weight);
    if (!least)
      return badField(at + ".rows",
                      std::to_string(weight.rows) + " x " + std::to_string(weight.columns) +
                          " elements",
                      "a number of elements below 2^64");
    LLAMA4_RETURN_IF_ERROR(checkMatrices(at, weight, *least));
    end = weight.offset + weight.bytes;
  }
  return inRange("weights (bytes of all)", end, sectionBytes, sectionBytes);
}

/// What is made up can be made, and what a kind of source does not use is zero.
static Status checkWeightSource(const ProgramDesc &program) {
  const WeightSource &source = program.weightSource;
  const bool splat = source.origin == WeightOrigin::Splat;
  const float most = splat ? maxSplatValue : 0.0f;
  LLAMA4_RETURN_IF_ERROR(checkNumber("weight_value", source.value, -most, most));
  if (source.origin != WeightOrigin::Random)
    LLAMA4_RETURN_IF_ERROR(inRange("weight_seed", source.seed, 0, 0));
  for (size_t i = 0; !source.isStored() && i < program.weights.size(); ++i)
    if (!canMakeUp(program.weights[i].encoding))
      return badField(
          atIndex("weights", i) + ".encoding", quoteName(program.weights[i].encoding),
          "an encoding that weights are made up in, such as float32, bfloat16, q8_0 or q4_k");
  return {};
}

static Status checkKvKinds(const std::vector<KvKind> &kinds) {
  LLAMA4_RETURN_IF_ERROR(inRange("kv_kinds (number)", kinds.size(), 0, L4_MAX_KV_KINDS));
  Names names;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const KvKind &kind = kinds[i];
    std::string at = atIndex("kv_kinds", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".name", kind.name));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".layers", kind.layers, 1, limits::maxLayers));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".kv_heads", kind.kvHeads, 1, 1u << 16));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".head_dim", kind.headDim, 1, 1u << 16));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".chunk_tokens", kind.chunkTokens, 0, 1u << 30));
    if (kind.type != ElementType::F32 && kind.type != ElementType::BF16)
      return badField(at + ".type", elementTypeName(kind.type), "f32 or bf16");
    uint64_t bytes = kvPageBytes(kind.type, kind.kvHeads, kind.headDim);
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".page_bytes", kind.pageBytes, bytes, bytes));
  }
  return {};
}

static Status checkRopes(const std::vector<RopeTable> &ropes) {
  LLAMA4_RETURN_IF_ERROR(inRange("ropes (number)", ropes.size(), 0, 64));
  Names names;
  for (size_t i = 0; i < ropes.size(); ++i) {
    std::string at = atIndex("ropes", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".name", ropes[i].name));
    LLAMA4_RETURN_IF_ERROR(
        inRange(at + ".inv_freq (number)", ropes[i].invFreq.size(), 1, limits::maxRopeValues));
    for (size_t v = 0; v < ropes[i].invFreq.size(); ++v)
      if (!std::isfinite(ropes[i].invFreq[v]))
        return badField(atIndex(at + ".inv_freq", v), "no finite number", "a finite number");
    if (!std::isfinite(ropes[i].attentionScaling))
      return badField(at + ".attention_scaling", "no finite number", "a finite number");
  }
  return {};
}

static Status checkTemperatures(const std::vector<TemperatureTable> &tables) {
  LLAMA4_RETURN_IF_ERROR(inRange("temperatures (number)", tables.size(), 0, 64));
  Names names;
  for (size_t i = 0; i < tables.size(); ++i) {
    std::string at = atIndex("temperatures", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".name", tables[i].name));
    if (!std::isfinite(tables[i].attnScale))
      return badField(at + ".attn_scale", "no finite number", "a finite number");
    LLAMA4_RETURN_IF_ERROR(
        inRange(at + ".floor_scale", tables[i].floorScale, 1, uint64_t{1} << 40));
  }
  return {};
}

static Status checkCodeObjects(const std::vector<CodeObject> &objects, uint64_t sectionBytes) {
  LLAMA4_RETURN_IF_ERROR(inRange("code_objects (number)", objects.size(), 0, 64));
  Names names;
  uint64_t end = 0;
  for (size_t i = 0; i < objects.size(); ++i) {
    const CodeObject &object = objects[i];
    std::string at = atIndex("code_objects", i);
    LLAMA4_RETURN_IF_ERROR(nameIsGood(at + ".target", object.target));
    LLAMA4_RETURN_IF_ERROR(nameIsGood(at + ".level", object.level));
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".level", object.target + ":" + object.level));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".features (number)", object.features.size(), 0, 256));
    for (size_t f = 0; f < object.features.size(); ++f)
      LLAMA4_RETURN_IF_ERROR(nameIsGood(atIndex(at + ".features", f), object.features[f]));
    LLAMA4_RETURN_IF_ERROR(
        check::follows(at, object.offset, object.bytes, end, sectionAlignment, sectionBytes));
    end = object.offset + object.bytes;
  }
  return inRange("code_objects (bytes of all)", end, sectionBytes, sectionBytes);
}

static Status checkEntries(const ProgramDesc &program) {
  LLAMA4_RETURN_IF_ERROR(
      inRange("entries (number)", program.entries.size(), 1, limits::maxEntries));
  Names names;
  uint64_t commands = 0;
  for (size_t i = 0; i < program.entries.size(); ++i) {
    std::string at = atIndex("entries", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".name", program.entries[i].name));
    commands += program.entries[i].commands.size();
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".commands (number)", commands, 1, limits::maxCommands));
    LLAMA4_RETURN_IF_ERROR(check::checkEntry(at, program, program.entries[i]));
  }
  return {};
}

Status checkProgram(const ProgramDesc &program, uint64_t codeBytes, uint64_t weightsBytes) {
  const bool hasStep = std::ranges::any_of(
      program.entries, [](const Entry &entry) { return entry.function == "step"; });
  LLAMA4_RETURN_IF_ERROR(checkModel(program.model, hasStep));
  LLAMA4_RETURN_IF_ERROR(checkOptions(program.options));
  LLAMA4_RETURN_IF_ERROR(checkGeneration(program.generation));
  LLAMA4_RETURN_IF_ERROR(checkCodeObjects(program.codeObjects, codeBytes));
  LLAMA4_RETURN_IF_ERROR(checkWeights(program.weights, weightsBytes));
  LLAMA4_RETURN_IF_ERROR(checkWeightSource(program));
  LLAMA4_RETURN_IF_ERROR(checkKvKinds(program.kvKinds));
  LLAMA4_RETURN_IF_ERROR(checkRopes(program.ropes));
  LLAMA4_RETURN_IF_ERROR(checkTemperatures(program.temperatures));
  LLAMA4_RETURN_IF_ERROR(check::checkImages(program));
  LLAMA4_RETURN_IF_ERROR(checkKernels(program.kernels));
  LLAMA4_RETURN_IF_ERROR(checkEntries(program));
  return check::checkImageTokens(program);
}

} // namespace llama4
