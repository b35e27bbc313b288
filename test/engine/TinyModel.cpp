//===- TinyModel.cpp - a program made by hand, and what it computes -------===//

#include "test/engine/TinyModel.h"

#include "compiler/emit/ArtifactWriter.h"
#include "runtime/base/File.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/engine/RopeInputs.h"

#include <cmath>
#include <gtest/gtest.h>

namespace llama4::test {

namespace {

constexpr uint32_t rowStride = 64; // 8 floats, padded

KernelParam tensor(ElementType type, uint32_t columns, Access access) {
  KernelParam param;
  param.access = access;
  param.type = type;
  param.columns = columns;
  param.rowBytes = rowBytes(type, columns);
  return param;
}

KernelParam pages(Access access) {
  KernelParam param;
  param.kind = ParamKind::Kv;
  param.access = access;
  param.type = ElementType::F32;
  param.rowBytes = kvPageBytes(ElementType::F32, 2, 8);
  return param;
}

/// Rows of a tensor whose length is another entry's.
KernelParam wholeHidden() {
  KernelParam param = tensor(ElementType::F32, 8, Access::Read);
  param.rowsPerSymbol = 0;
  param.rowsFixed = tinyStepTokens;
  return param;
}

std::vector<Kernel> kernels() {
  KernelParam in = tensor(ElementType::F32, 8, Access::Read);
  KernelParam out = tensor(ElementType::F32, 8, Access::Write);
  KernelParam ids = tensor(ElementType::I32, 0, Access::Read);
  KernelParam angles = tensor(ElementType::F32, 2, Access::Read);
  KernelParam factor = tensor(ElementType::F32, 1, Access::Read);
  KernelParam logits = tensor(ElementType::F32, tinyVocab, Access::Write);
  return {{"tiny_embed", 0, {ids, angles, angles, factor, out}, 8, 0},
          {"tiny_write", 0, {in, pages(Access::Write)}, 0, 0},
          {"tiny_read", 0, {in, pages(Access::Read), out}, 16, 0},
          {"tiny_logits", 0, {wholeHidden(), ids, logits}, 8, 0}};
}

EntryTensor named(const char *name, ElementType type, uint32_t columns, InputRole role) {
  EntryTensor tensor;
  tensor.name = name;
  tensor.type = type;
  tensor.columns = columns;
  tensor.role = role;
  return tensor;
}

Command command(uint32_t kernel, std::vector<Binding> bindings, std::vector<int64_t> constants) {
  return {kernel, std::move(bindings), {1, 1, 0}, std::move(constants), "tiny"};
}

Entry stepEntry(const char *name, uint32_t bound, Specialization specialization) {
  Entry entry;
  entry.name = name;
  entry.function = "step";
  entry.symbol = "T";
  entry.bound = bound;
  entry.specialization = specialization;
  entry.inputs = {named("ids", ElementType::I32, 0, InputRole::Ids),
                  named("batch", ElementType::I32, 0, InputRole::Batch),
                  named("sin", ElementType::F32, 2, InputRole::Sin),
                  named("cos", ElementType::F32, 2, InputRole::Cos),
                  named("temperature", ElementType::F32, 1, InputRole::Temperature)};
  entry.outputs = {named("hidden", ElementType::F32, 8, InputRole::Tensor)};
  entry.arenaPerSymbol = 3 * rowStride;
  auto place = [&](uint64_t i) {
    return Binding{BindingKind::Transient, 0, i * bound * rowStride};
  };
  entry.commands.push_back(command(0,
                                   {{BindingKind::Input, 0, 0},
                                    {BindingKind::Input, 3, 0},
                                    {BindingKind::Input, 2, 0},
                                    {BindingKind::Input, 4, 0},
                                    place(0)},
                                   {}));
  struct Layer {
    uint32_t kind, index;
  };
  constexpr Layer layers[] = {{0, 0}, {1, 0}, {0, 1}};
  for (uint64_t i = 0; i < 3; ++i) {
    Binding kv = {BindingKind::Kv, layers[i].kind, layers[i].index};
    Binding to = i == 2 ? Binding{BindingKind::Output, 0, 0} : place(i + 1);
    int64_t chunk = layers[i].kind == 1 ? tinyChunk : 0;
    entry.commands.push_back(command(1, {place(i), kv}, {layers[i].kind}));
    entry.commands.push_back(command(2, {place(i), kv, to}, {layers[i].kind, chunk}));
  }
  return entry;
}

Entry logitsEntry() {
  Entry entry;
  entry.name = entry.function = "logits";
  entry.symbol = "R";
  entry.bound = tinyLogitsRows;
  EntryTensor hidden = named("hidden", ElementType::F32, 8, InputRole::Tensor);
  hidden.rowsPerSymbol = 0;
  hidden.rowsFixed = tinyStepTokens;
  entry.inputs = {hidden, named("rows", ElementType::I32, 0, InputRole::Tensor)};
  entry.outputs = {named("logits", ElementType::F32, tinyVocab, InputRole::Tensor)};
  entry.commands.push_back(command(
      3, {{BindingKind::Input, 0, 0}, {BindingKind::Input, 1, 0}, {BindingKind::Output, 0, 0}},
      {}));
  return entry;
}

KvKind kvKind(const char *name, uint32_t layers, uint32_t chunk) {
  return {name, layers, 2, 8, ElementType::F32, kvPageBytes(ElementType::F32, 2, 8), chunk};
}

} // namespace

ProgramDesc tinyProgram() {
  ProgramDesc program;
  program.model.family = "tiny";
  program.model.vocabSize = tinyVocab;
  program.model.hiddenSize = 8;
  program.model.layers = 3;
  program.model.maxPosition = tinyLength;
  program.model.eos = {tinyEos};
  program.options = {"float32", ElementType::F32, tinyStepTokens, tinyBatch, tinyLength};
  program.kernels = kernels();
  program.kvKinds = {kvKind("full", 2, 0), kvKind("chunked", 1, tinyChunk)};
  program.ropes = {{"rope", {1.0f, 0.125f}, 1.0f}};
  program.temperatures = {{"temperature", 0.5f, 4}};
  program.entries = {stepEntry("step", tinyStepTokens, Specialization::Any),
                     stepEntry("step.decode", tinyBatch, Specialization::Decode), logitsEntry()};
  program.codeObjects = {{"cpu", "x86-64-v3", {}, 0, 0}};
  return program;
}

std::shared_ptr<const Program> loadTiny(const std::string &path) {
  return loadProgram(tinyProgram(), path);
}

std::shared_ptr<const Program> loadProgram(ProgramDesc desc, const std::string &path) {
  Result<std::string> code = readTextFile(LLAMA4_TINY_KERNELS, 1u << 20);
  EXPECT_TRUE(code.ok()) << code.status().message();
  ArtifactParts parts;
  parts.program = std::move(desc);
  parts.code = {*code};
  Result<ArtifactSummary> written =
      writeArtifact(path, std::move(parts), [](size_t, WeightSink &) { return Status(); });
  EXPECT_TRUE(written.ok()) << written.status().message();
  Result<std::shared_ptr<const Program>> program = Program::load(path);
  EXPECT_TRUE(program.ok()) << program.status().message();
  return program.take();
}

std::unique_ptr<Device> tinyDevice(unsigned threads) {
  CpuOptions options;
  options.threads = threads;
  Result<std::unique_ptr<Device>> device = createCpuDevice(options);
  EXPECT_TRUE(device.ok()) << device.status().message();
  return device.take();
}

std::vector<Hidden> tinyReference(std::span<const int32_t> ids,
                                  const std::function<void(size_t, Hidden &)> &embedded) {
  std::vector<Hidden> x(ids.size());
  RopeTable rope = tinyProgram().ropes[0];
  for (size_t t = 0; t < ids.size(); ++t) {
    float cos[2], sin[2];
    int64_t position = static_cast<int64_t>(t);
    fillRopeInputs(rope, {&position, 1}, cos, sin, 2);
    for (int d = 0; d < 8; ++d)
      x[t][d] = static_cast<float>((ids[t] * (d + 3)) % 17);
    x[t][0] += static_cast<float>(static_cast<int>(cos[1] * 64) % 7);
    double temperature = 1 + 0.5 * std::log(1 + std::floor((static_cast<double>(t) + 1) / 4));
    x[t][2] += static_cast<float>(static_cast<int>(static_cast<float>(temperature) * 64) % 7);
    x[t][1] += static_cast<float>(static_cast<int>(sin[0] * 64) % 7);
    if (embedded)
      embedded(t, x[t]);
  }
  for (size_t chunk : {size_t{0}, size_t{tinyChunk}, size_t{0}}) {
    std::vector<Hidden> y(ids.size());
    for (size_t t = 0; t < ids.size(); ++t)
      for (int d = 0; d < 8; ++d) {
        int64_t sum = static_cast<int64_t>(x[t][d]);
        for (size_t j = chunk ? t / chunk * chunk : 0; j <= t; ++j)
          // Key of head 0, value (twice the row) of head 1.
          sum += static_cast<int64_t>(j % 5 + 1) * static_cast<int64_t>(x[j][d] * 3 + 1);
        y[t][d] = static_cast<float>(sum % 97);
      }
    x = y;
  }
  return x;
}

std::vector<float> tinyLogits(const Hidden &hidden) {
  int sum = 0;
  for (int d = 0; d < 8; ++d)
    sum += static_cast<int>(hidden[d]) * (d + 1);
  std::vector<float> logits(tinyVocab);
  for (int v = 0; v < static_cast<int>(tinyVocab); ++v)
    logits[v] = static_cast<float>((sum + (v / 2) * 5) % 12);
  return logits;
}

std::vector<int32_t> tinyText(size_t count, uint32_t seed) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    ids.push_back(static_cast<int32_t>((seed >> 16) % tinyVocab));
  }
  return ids;
}

} // namespace llama4::test
