//===- LibraryTest.cpp - kernels that a library computes ------------------===//
//
// A program whose fourth entry multiplies the rows of units with two weights by oneDNN: written,
// read, refused where it is wrong, and run. Without the library the program has to say what is
// missing, and the rest is skipped.
//
//===----------------------------------------------------------------------===//

#include "compiler/pack/Layout.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/program/Executor.h"
#include "test/runtime/SampleProgram.h"

#include <bit>
#include <cstring>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <random>

namespace llama4::test {
namespace {

constexpr uint32_t units = 3, rows = 301, depth = 96, widths[2] = {48, 32};

/// Numbers that bfloat16 has, in a wild order.
float value(uint32_t seed, uint64_t index) {
  std::minstd_rand random(seed + static_cast<uint32_t>(index) * 7919);
  random.discard(3);
  return (static_cast<float>(random() % 255) - 127.0f) / 64.0f;
}

size_t bytesOf(ElementType type) { return static_cast<size_t>(elementBytes(type)); }

/// `count` rows of `depth` numbers, padded as rows are; those of a weight are not.
std::vector<std::byte> makeRows(ElementType type, uint32_t seed, uint64_t count, size_t stride) {
  std::vector<std::byte> bytes(count * stride);
  for (uint64_t r = 0; r < count; ++r)
    for (uint64_t c = 0; c < depth; ++c) {
      const auto bits = std::bit_cast<uint32_t>(value(seed, r * depth + c));
      const auto upper = static_cast<uint16_t>(bits >> 16);
      std::byte *to = bytes.data() + r * stride + c * bytesOf(type);
      if (type == ElementType::BF16)
        std::memcpy(to, &upper, 2);
      else
        std::memcpy(to, &bits, 4);
    }
  return bytes;
}

const char *encodingOf(ElementType type) {
  return type == ElementType::BF16 ? "bfloat16" : "float32";
}

EntryTensor tensorOf(const char *name, ElementType type, uint32_t width) {
  EntryTensor tensor;
  tensor.name = name;
  tensor.type = type;
  tensor.columns = width;
  tensor.rowsPerSymbol = rows;
  return tensor;
}

KernelParam paramOf(const EntryTensor &tensor, Access access) {
  KernelParam param;
  param.access = access;
  param.type = tensor.type;
  param.columns = tensor.columns;
  param.rowsPerSymbol = rows;
  param.rowBytes = rowBytes(tensor.type, tensor.columns);
  return param;
}

ArtifactParts libraryParts(ElementType type = ElementType::F32) {
  ArtifactParts parts = sampleParts();
  ProgramDesc &program = parts.program;
  Entry entry;
  entry.name = entry.function = "product";
  entry.symbol = "N";
  entry.bound = units;
  entry.inputs = {tensorOf("x", type, depth)};
  entry.outputs = {tensorOf("y", ElementType::F32, widths[0]),
                   tensorOf("z", ElementType::F32, widths[1])};
  Kernel kernel;
  kernel.symbol = "product";
  kernel.library = "onednn";
  kernel.params = {paramOf(entry.inputs[0], Access::Read)};
  Command command = {static_cast<uint32_t>(program.kernels.size()), {}, {1, 4, 0}, {}, "linear"};
  command.bindings = {{BindingKind::Input, 0, 0}};
  for (uint32_t width : widths) {
    KernelParam weight;
    weight.kind = ParamKind::Weight;
    weight.rowBytes = width * depth * elementBytes(type);
    weight.encoding = encodingOf(type);
    kernel.params.push_back(weight);
    command.bindings.push_back({BindingKind::Weight, uint32_t(program.weights.size()), 0});
    program.weights.push_back(
        {"w" + std::to_string(width), weight.encoding, width, depth, 0, weight.rowBytes});
  }
  for (uint32_t i = 0; i < 2; ++i) {
    kernel.params.push_back(paramOf(entry.outputs[i], Access::Write));
    command.bindings.push_back({BindingKind::Output, i, 0});
  }
  program.kernels.push_back(kernel);
  entry.commands = {command};
  program.entries.push_back(entry);
  return parts;
}

/// The weights in panels, as the compiler packs them.
WeightProducer libraryWeights(ElementType type) {
  return [type, sample = sampleWeights()](size_t index, WeightSink &sink) -> Status {
    if (index < 2)
      return sample(index, sink);
    const auto encoding =
        type == ElementType::BF16 ? pack::Encoding::BFloat16 : pack::Encoding::Float32;
    const uint32_t width = widths[index - 2];
    std::vector<std::byte> packed(pack::packedBytes(encoding, width, depth));
    pack::packWeight(encoding,
                     makeRows(type, static_cast<uint32_t>(index), width, depth * bytesOf(type)),
                     width, depth, packed);
    return sink.write(packed);
  };
}

std::shared_ptr<const Program> writeAndLoad(ElementType type) {
  const std::string path = testPath(std::string("library") + encodingOf(type) + ".l4x");
  auto written = writeArtifact(path, libraryParts(type), libraryWeights(type));
  EXPECT_TRUE(written.ok()) << written.status().message();
  auto program = Program::load(path);
  EXPECT_TRUE(program.ok()) << program.status().message();
  return program.ok() ? *program : nullptr;
}

/// Floats at an aligned address.
struct Aligned {
  explicit Aligned(size_t bytes) : storage(bytes + 64) {
    data = storage.data();
    while (reinterpret_cast<uintptr_t>(data) % 64 != 0)
      ++data;
  }
  std::vector<std::byte> storage;
  std::byte *data;
};

/// All results of `symbol` units from `first` on, as bytes.
std::vector<std::byte> product(Executable &executable, ElementType type, uint32_t first,
                               uint32_t symbol) {
  const size_t stride = static_cast<size_t>(rowBytes(type, depth));
  std::vector<std::byte> all = makeRows(type, 1, units * rows, stride);
  Aligned x(symbol * rows * stride);
  std::memcpy(x.data, all.data() + first * rows * stride, symbol * rows * stride);
  const size_t sizes[2] = {symbol * rows * widths[0] * 4, symbol * rows * widths[1] * 4};
  Aligned y(sizes[0]), z(sizes[1]);
  void *inputs[] = {x.data}, *outputs[] = {y.data, z.data};
  l4_step step = {};
  step.symbol = symbol;
  Status status = executable.execute(3, step, inputs, outputs, {});
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<std::byte> bytes(y.data, y.data + sizes[0]);
  bytes.insert(bytes.end(), z.data, z.data + sizes[1]);
  return bytes;
}

/// The device with `threads` threads and the program on it; null where a library is missing.
struct Loaded {
  Loaded(ElementType type, unsigned threads) {
    device = createCpuDevice({threads, "", Pinning::Never}).take();
    auto created = Executable::create(writeAndLoad(type), *device);
    if (created.ok()) {
      executable = created.take();
      return;
    }
    EXPECT_EQ(created.status().kind(), StatusKind::Unavailable);
    EXPECT_NE(created.status().message().find("libdnnl2"), std::string::npos);
    std::printf("skipped: %s\n", created.status().message().c_str());
  }
  std::unique_ptr<Device> device;
  std::unique_ptr<Executable> executable;
};

/// The numbers are exact in both types.
void expectNear(const std::vector<std::byte> &bytes) {
  std::vector<float> found(bytes.size() / 4);
  std::memcpy(found.data(), bytes.data(), bytes.size());
  size_t at = 0;
  for (uint32_t w = 0; w < 2; ++w)
    for (uint32_t r = 0; r < units * rows; ++r)
      for (uint32_t n = 0; n < widths[w]; ++n, ++at) {
        double sum = 0;
        for (uint32_t k = 0; k < depth; ++k)
          sum += double{value(1, r * depth + k)} * double{value(2 + w, n * depth + k)};
        ASSERT_NEAR(found[at], sum, 1e-3) << w << " " << r << " " << n;
      }
}

/// Threads of this process.
long threadCount() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

class Library : public ::testing::TestWithParam<ElementType> {};

TEST_P(Library, ComputesTheProduct) {
  Loaded one(GetParam(), 1);
  if (!one.executable)
    GTEST_SKIP();
  expectNear(product(*one.executable, GetParam(), 0, units));
}

TEST_P(Library, StartsNoThreadsOfItsOwn) {
  Loaded two(GetParam(), 2);
  if (!two.executable)
    GTEST_SKIP();
  const long before = threadCount();
  (void)product(*two.executable, GetParam(), 0, units);
  EXPECT_EQ(threadCount(), before);
}

TEST_P(Library, TheSameBitsOnAnyThreadsAndInAnyCompany) {
  Loaded one(GetParam(), 1);
  if (!one.executable)
    GTEST_SKIP();
  const std::vector<std::byte> all = product(*one.executable, GetParam(), 0, units);
  for (unsigned threads : {1u, 2u, 3u}) {
    Loaded loaded(GetParam(), threads);
    for (int repeat = 0; repeat < 5; ++repeat)
      ASSERT_EQ(product(*loaded.executable, GetParam(), 0, units), all) << threads;
    for (uint32_t unit = 0; unit < units; ++unit) {
      const std::vector<std::byte> alone = product(*loaded.executable, GetParam(), unit, 1);
      size_t place = 0, from = 0;
      for (uint32_t width : widths) {
        const size_t bytes = rows * width * 4;
        EXPECT_TRUE(std::equal(alone.begin() + long(place), alone.begin() + long(place + bytes),
                               all.begin() + long(from + unit * bytes)));
        place += bytes;
        from += units * bytes;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Library, ::testing::Values(ElementType::F32, ElementType::BF16),
                         [](const auto &info) { return std::string(encodingOf(info.param)); });

TEST(LibraryProgram, WrongOnesAreRefused) {
  struct Case {
    const char *field;
    std::function<void(ProgramDesc &)> change;
  };
  auto kernel = [](ProgramDesc &p) -> Kernel & { return p.kernels.back(); };
  const Case cases[] = {
      {"kernels[6].library", [=](ProgramDesc &p) { kernel(p).library = "mkl"; }},
      {"kernels[6].params (number)", [=](ProgramDesc &p) { kernel(p).params.pop_back(); }},
      {"kernels[6].params[0].type",
       [=](ProgramDesc &p) { kernel(p).params[0].type = ElementType::I32; }},
      {"kernels[6].params[0].columns", [=](ProgramDesc &p) { kernel(p).params[0].columns = 88; }},
      {"kernels[6].params[0].kind",
       [=](ProgramDesc &p) { kernel(p).params[0].access = Access::ReadWrite; }},
      {"kernels[6].params[0].rows_fixed",
       [=](ProgramDesc &p) { kernel(p).params[0].rowsFixed = 1; }},
      {"kernels[6].params[1].encoding",
       [=](ProgramDesc &p) { kernel(p).params[1].encoding = "bfloat16"; }},
      {"kernels[6].params[1].encoding",
       [=](ProgramDesc &p) { kernel(p).params[1] = kernel(p).params[0]; }},
      {"kernels[6].params[2].row_bytes",
       [=](ProgramDesc &p) { kernel(p).params[2].rowBytes -= 64; }},
      {"kernels[6].params[3].rows_per_symbol",
       [=](ProgramDesc &p) { kernel(p).params[3].rowsPerSymbol = rows - 1; }},
      {"kernels[6].params[4].columns", [=](ProgramDesc &p) { kernel(p).params[4].columns = 24; }},
      {"kernels[6].params[4].type",
       [=](ProgramDesc &p) { kernel(p).params[4].type = ElementType::I32; }},
      {"entries[3].commands[0].grid.mul",
       [](ProgramDesc &p) { p.entries[3].commands[0].grid.mul = 2; }},
      {"entries[3].commands[0].grid.add",
       [](ProgramDesc &p) { p.entries[3].commands[0].grid.add = 1; }},
      {"entries[3].commands[0].grid.div",
       [](ProgramDesc &p) { p.entries[3].commands[0].grid.div = 2; }},
      {"entries[3].commands[0].bindings[0].index", // more rows than there are
       [](ProgramDesc &p) { p.entries[3].inputs[0].rowsPerSymbol = rows - 1; }},
  };
  for (const Case &c : cases) {
    ArtifactParts parts = libraryParts();
    c.change(parts.program);
    auto written =
        writeArtifact(testPath("wrong.l4x"), std::move(parts), libraryWeights(ElementType::F32));
    ASSERT_FALSE(written.ok()) << c.field;
    EXPECT_NE(written.status().message().find(c.field), std::string::npos)
        << written.status().message();
  }
}

TEST(LibraryProgram, TheHeaderSaysSo) {
  const std::string path = testPath("header.l4x");
  ASSERT_TRUE(writeArtifact(path, libraryParts(), libraryWeights(ElementType::F32)).ok());
  FileBytes file(path);
  EXPECT_EQ(file.header().features, featureLibraries);
  writeSample(path);
  EXPECT_EQ(FileBytes(path).header().features, 0u);
}

} // namespace
} // namespace llama4::test
