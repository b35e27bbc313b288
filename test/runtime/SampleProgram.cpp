//===- SampleProgram.cpp - a small complete program for tests -------------===//

#include "test/runtime/SampleProgram.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace llama4::test {

namespace {

constexpr uint64_t rowSize = rowBytes(ElementType::F32, columns);
constexpr uint64_t angleSize = rowBytes(ElementType::F32, angles);
constexpr uint64_t pageSize = kvPageBytes(ElementType::F32, heads, headDim);
static_assert(rowSize == rowFloats * 4 && angleSize == angleFloats * 4);

KernelParam tensor(Access access, ElementType type, uint32_t columns) {
  KernelParam param;
  param.access = access;
  param.type = type;
  param.columns = columns;
  param.rowBytes = rowBytes(type, columns);
  return param;
}

KernelParam weightParam(uint64_t bytes) {
  KernelParam param;
  param.kind = ParamKind::Weight;
  param.rowBytes = bytes;
  param.encoding = "float32";
  return param;
}

KernelParam kvParam(Access access) {
  KernelParam param;
  param.kind = ParamKind::Kv;
  param.access = access;
  param.rowBytes = pageSize;
  return param;
}

EntryTensor argument(std::string name, ElementType type, uint32_t columns, InputRole role) {
  EntryTensor out;
  out.name = std::move(name);
  out.type = type;
  out.columns = columns;
  out.role = role;
  return out;
}

std::vector<Kernel> sampleKernels() {
  KernelParam in = tensor(Access::Read, ElementType::F32, columns);
  KernelParam out = tensor(Access::Write, ElementType::F32, columns);
  KernelParam both = tensor(Access::ReadWrite, ElementType::F32, columns);
  KernelParam ids = tensor(Access::Read, ElementType::I32, 0);
  KernelParam angle = tensor(Access::Read, ElementType::F32, angles);
  KernelParam table = weightParam(vocab * columns * 4);
  KernelParam scale = weightParam(columns * 4);
  KernelParam result = tensor(Access::Write, ElementType::F32, vocab);
  return {{"embed", 0, {table, ids, out}, 0, vocab * columns * 4},
          {"scale_rows", 0, {scale, in, out}, columns, columns * 4},
          {"add_angles", 0, {both, angle, angle}, 0, 0},
          {"kv_store", 0, {in, kvParam(Access::Write)}, 0, 0},
          {"kv_sum", 64, {in, kvParam(Access::Read), out}, 0, 0},
          {"logits", 0, {table, in, result}, vocab * columns, vocab * columns * 4}};
}

Entry stepEntry(std::string name, uint32_t bound, Specialization specialization) {
  Entry entry;
  entry.name = std::move(name);
  entry.function = "step";
  entry.symbol = "T";
  entry.bound = bound;
  entry.specialization = specialization;
  entry.inputs = {argument("ids", ElementType::I32, 0, InputRole::Ids),
                  argument("cos", ElementType::F32, angles, InputRole::Cos),
                  argument("sin", ElementType::F32, angles, InputRole::Sin),
                  argument("batch", ElementType::I64, 0, InputRole::Batch)};
  entry.outputs = {argument("hidden", ElementType::F32, columns, InputRole::Tensor)};
  entry.arenaPerSymbol = 2 * rowSize;
  entry.arenaFixed = 64;
  uint64_t a = 64, b = 64 + rowSize * bound;
  constexpr BindingKind weight = BindingKind::Weight, input = BindingKind::Input,
                        transient = BindingKind::Transient, output = BindingKind::Output,
                        kv = BindingKind::Kv;
  int64_t page = pageSize / 4;
  entry.commands = {
      {0, {{weight, 0, 0}, {input, 0, 0}, {transient, 0, a}}, {}, {columns, rowFloats}, "embed"},
      {1,
       {{weight, 1, 0}, {transient, 0, a}, {transient, 0, b}},
       {4, 1, 0},
       {columns, rowFloats},
       "mul"},
      {2,
       {{transient, 0, b}, {input, 1, 0}, {input, 2, 0}},
       {},
       {angles, rowFloats, angleFloats},
       "add"},
      {3, {{transient, 0, b}, {kv, 0, 1}}, {}, {rowFloats, page}, "kv_write"},
      {4,
       {{transient, 0, b}, {kv, 0, 1}, {output, 0, 0}},
       {},
       {columns, rowFloats, page},
       "attention"}};
  return entry;
}

Entry logitsEntry() {
  Entry entry;
  entry.name = entry.function = "logits";
  entry.symbol = "R";
  entry.bound = 16;
  entry.inputs = {argument("hidden", ElementType::F32, columns, InputRole::Tensor)};
  entry.outputs = {argument("logits", ElementType::F32, vocab, InputRole::Tensor)};
  entry.commands = {
      {5,
       {{BindingKind::Weight, 0, 0}, {BindingKind::Input, 0, 0}, {BindingKind::Output, 0, 0}},
       {},
       {columns, rowFloats, vocab, rowBytes(ElementType::F32, vocab) / 4},
       "linear"}};
  return entry;
}

/// Tiles, the rows that they name, and tiles again in the same memory.
Entry expertsEntry(uint32_t used) {
  Entry entry;
  entry.name = entry.function = "experts";
  entry.symbol = "T";
  entry.bound = expertBound;
  entry.outputs = {argument("rows", ElementType::F32, columns, InputRole::Tensor)};
  entry.outputs[0].rowsPerSymbol = expertTop;
  entry.arenaPerSymbol = expertTop * rowBytes(ElementType::I32, 4);
  entry.arenaFixed = 64;
  const int64_t tileBytes = rowBytes(ElementType::I32, 4);
  const Binding tiles = {BindingKind::Transient, 0, 64};
  const GridExpr one = {1, 0, 1};
  entry.commands = {{6, {tiles}, one, {expertTop, used, tileBytes}, "group"},
                    {7,
                     {tiles, {BindingKind::Weight, 2, 0}, {BindingKind::Output, 0, 0}},
                     {1, expertTop, 0},
                     {columns, rowFloats, tileBytes, rowFloats},
                     "grouped"},
                    {6, {tiles}, one, {expertTop, 1, tileBytes}, "group"}};
  return entry;
}

} // namespace

std::string kernelObject(int variant) {
  auto text = readTextFile(LLAMA4_TEST_KERNELS + std::to_string(variant) + ".so", 1 << 20);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : std::string();
}

ArtifactParts sampleParts(int variant) {
  ArtifactParts parts;
  ProgramDesc &program = parts.program;
  program.model = {"llama3", "sample", "none", vocab, columns, layers, 4096, 1, {2}, {3, 4}};
  program.options = {"float32", ElementType::F32, stepBound, decodeBound, 4096};
  program.generation = {true, true, 0.6f, 0.9f, 0.0f, 1.0f, 50, 100};
  program.weights = {{"table", "float32", vocab, columns, 0, vocab * columns * 4},
                     {"scale", "float32", 1, columns, 0, columns * 4}};
  program.kvKinds = {{"full", layers, heads, headDim, ElementType::F32, pageSize, 0}};
  program.ropes = {{"rope", std::vector<float>(angles, 0.5f), 1.0f}};
  program.temperatures = {{"temperature", 0.25f, uint64_t{1} << 33}};
  program.codeObjects = {{"cpu", "x86-64-v3", {"avx2", "fma"}, 0, 0}};
  program.kernels = sampleKernels();
  program.entries = {stepEntry("step", stepBound, Specialization::Any),
                     stepEntry("step.decode", decodeBound, Specialization::Decode), logitsEntry()};
  parts.code = {kernelObject(variant)};
  parts.tokenizer = "tokenizer tables";
  parts.chatTemplate = "chat template";
  return parts;
}

ArtifactParts expertParts(uint32_t used) {
  ArtifactParts parts = sampleParts();
  ProgramDesc &program = parts.program;
  program.weights.push_back({"experts", "float32", 1, columns, 0, experts * expertBytes, experts});
  KernelParam tiles = tensor(Access::Write, ElementType::I32, 4);
  KernelParam rows = tensor(Access::ReadWrite, ElementType::F32, columns);
  tiles.rowsPerSymbol = rows.rowsPerSymbol = expertTop;
  program.kernels.push_back({"make_tiles", 0, {tiles}, 0, 0});
  tiles.access = Access::Read;
  program.kernels.push_back({"add_experts",
                             0,
                             {tiles, weightParam(experts * expertBytes), rows},
                             0,
                             experts * expertBytes,
                             experts,
                             0});
  program.entries.push_back(expertsEntry(used));
  return parts;
}

ArtifactParts imageParts() {
  ArtifactParts parts = sampleParts();
  ProgramDesc &program = parts.program;
  program.grids = {{"grid", 2, 2, std::vector<float>(angles / 2, 0.5f)}};
  ImageInfo &images = program.images;
  images.family = ImageFamily::Llama4;
  images.imageSize = 16;
  images.patchSize = 4;
  images.maxTiles = 6;
  images.tokensPerTile = 4;
  images.maxFeatureRows = 100;
  images.resizeToMaxCanvas = true;
  images.filter = ImageFilter::Bicubic;
  images.mean[2] = 0.40821073;
  images.deviation[0] = 0.26862954;
  images.rescale = 0.004;
  images.imageToken = 5;
  images.patchToken = 6;
  images.startToken = 7;
  images.endToken = 8;
  images.tileXToken = 9;
  images.tileYToken = 10;
  KernelParam in = tensor(Access::Read, ElementType::F32, angles);
  KernelParam rows = tensor(Access::ReadWrite, ElementType::F32, angles);
  in.rowsPerSymbol = rows.rowsPerSymbol = 0;
  in.rowsFixed = rows.rowsFixed = 5;
  program.kernels.push_back({"add_angles_of_places", 0, {rows, in, in}, 0, 0});
  Entry entry;
  entry.name = entry.function = "places";
  entry.symbol = "N";
  entry.bound = 1;
  entry.inputs = {argument("cos", ElementType::F32, angles, InputRole::GridCos),
                  argument("sin", ElementType::F32, angles, InputRole::GridSin)};
  entry.outputs = {argument("rows", ElementType::F32, angles, InputRole::Tensor)};
  for (EntryTensor *tensor : {&entry.inputs[0], &entry.inputs[1], &entry.outputs[0]}) {
    tensor->rowsPerSymbol = 0;
    tensor->rowsFixed = 5;
  }
  entry.commands = {
      {6,
       {{BindingKind::Output, 0, 0}, {BindingKind::Input, 0, 0}, {BindingKind::Input, 1, 0}},
       {1, 0, 1},
       {},
       "add"}};
  program.entries.push_back(entry);
  return parts;
}

float expertValue(uint32_t expert, uint32_t c) {
  return static_cast<float>(expert * 100 + c) + 0.5f;
}

WeightProducer expertWeights() {
  return [sample = sampleWeights()](size_t index, WeightSink &sink) -> Status {
    if (index < 2)
      return sample(index, sink);
    std::vector<float> values(experts * rowFloats);
    for (uint32_t expert = 0; expert < experts; ++expert)
      for (uint32_t c = 0; c < columns; ++c)
        values[expert * rowFloats + c] = expertValue(expert, c);
    return sink.write(std::as_bytes(std::span(values)));
  };
}

float tableValue(uint32_t id, uint32_t c) { return static_cast<float>(id * 3 + c % 7) - 4.0f; }
float scaleValue(uint32_t c) { return 0.25f * static_cast<float>(c % 5 + 1); }

WeightProducer sampleWeights(size_t piece) {
  return [piece](size_t index, WeightSink &sink) -> Status {
    std::vector<float> values;
    for (uint32_t r = 0; r < (index == 0 ? vocab : 1); ++r)
      for (uint32_t c = 0; c < columns; ++c)
        values.push_back(index == 0 ? tableValue(r, c) : scaleValue(c));
    auto bytes = std::as_bytes(std::span(values));
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size())))
      LLAMA4_RETURN_IF_ERROR(sink.write(bytes.first(std::min(piece, bytes.size()))));
    return {};
  };
}

namespace {
/// A folder that goes when the test program ends.
struct TestFolder {
  std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / ("llama4_runtime_" + std::to_string(getpid()));
  TestFolder() { std::filesystem::create_directories(path); }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};
} // namespace

std::string testPath(const std::string &name) {
  static const TestFolder folder;
  return folder.path / name;
}

void writeSample(const std::string &path, int variant) {
  auto summary = writeArtifact(path, sampleParts(variant), sampleWeights());
  ASSERT_TRUE(summary.ok()) << summary.status().message();
}

static std::string contentOf(const std::string &path) {
  auto text = readTextFile(path, uint64_t{1} << 30);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : std::string();
}

FileBytes::FileBytes(const std::string &path) : FileBytes(std::string_view(contentOf(path))) {}

FileBytes::FileBytes(std::string_view bytes) : storage_(bytes.size() + 64), size_(bytes.size()) {
  uintptr_t start = (reinterpret_cast<uintptr_t>(storage_.data()) + 63) / 64 * 64;
  data_ = reinterpret_cast<std::byte *>(start);
  std::memcpy(data_, bytes.data(), bytes.size());
}

} // namespace llama4::test
