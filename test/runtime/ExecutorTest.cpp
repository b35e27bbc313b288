//===- ExecutorTest.cpp - programs run on the host processor --------------===//

#include "runtime/program/Executor.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "test/runtime/SampleProgram.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

namespace llama4::test {
namespace {

/// Rows at an aligned address, filled with NaN where nothing was written.
struct Rows {
  Rows(uint64_t rows, uint64_t floats)
      : floats(floats), storage(rows * floats + 16, std::nanf("")) {
    data = storage.data();
    while (reinterpret_cast<uintptr_t>(data) % 64 != 0)
      ++data;
  }
  float &at(uint64_t row, uint64_t c) { return data[row * floats + c]; }
  uint64_t floats;
  std::vector<float> storage;
  float *data;
};

/// What a ragged step needs, with pages given out in a scrambled order.
struct Batch {
  struct Part {
    int64_t past;
    uint32_t tokens;
  };
  explicit Batch(const std::vector<Part> &parts) : stride(4) {
    start.push_back(0);
    for (size_t s = 0; s < parts.size(); ++s) {
      for (uint32_t t = 0; t < parts[s].tokens; ++t) {
        position.push_back(parts[s].past + t);
        sequence.push_back(static_cast<int32_t>(s));
      }
      start.push_back(static_cast<int32_t>(position.size()));
      length.push_back(parts[s].past + parts[s].tokens);
      for (uint32_t p = 0; p < stride; ++p)
        pages.push_back(static_cast<int32_t>(p * parts.size() + (parts.size() - 1 - s)));
    }
  }
  l4_step step() const {
    l4_step out = {};
    out.symbol = static_cast<uint32_t>(position.size());
    out.sequences = static_cast<uint32_t>(length.size());
    out.position = position.data();
    out.sequence = sequence.data();
    out.start = start.data();
    out.length = length.data();
    out.page_table[0] = pages.data();
    out.page_stride[0] = stride;
    return out;
  }
  uint32_t stride;
  std::vector<int64_t> position, length;
  std::vector<int32_t> sequence, start, pages;
};

/// The sample on a device with `threads` threads, and what it should compute.
class Sample {
public:
  explicit Sample(unsigned threads, const ExecutableBounds &bounds = {}, int variant = 1) {
    std::string path = testPath("executor" + std::to_string(variant) + ".l4x");
    writeSample(path, variant);
    auto loaded = Program::load(path, VerifyMode::Full);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    program = *loaded;
    CpuOptions options;
    options.threads = threads;
    device = createCpuDevice(options).take();
    auto created = Executable::create(program, *device, bounds);
    EXPECT_TRUE(created.ok()) << created.status().message();
    executable = created.take();
    uint64_t page = program->desc().kvKinds[0].pageBytes;
    for (uint32_t i = 0; i < program->kvPools(); ++i) {
      buffers.push_back(device->allocate(page * 64).take());
      pools.push_back(buffers.back()->data());
    }
  }

  /// Runs one step of the entry and compares every element with the definition.
  void check(uint32_t entry, const Batch &batch) {
    uint32_t tokens = batch.step().symbol;
    alignas(64) int32_t ids[stepBound];
    Rows cosine(tokens, angleFloats), sine(tokens, angleFloats), hidden(tokens, rowFloats);
    for (uint32_t t = 0; t < tokens; ++t) {
      ids[t] = static_cast<int32_t>((t * 5 + 3 + calls) % vocab);
      for (uint32_t c = 0; c < angles; ++c) {
        cosine.at(t, c) = static_cast<float>(t + c);
        sine.at(t, c) = -static_cast<float>(2 * t + c);
      }
    }
    ++calls;
    void *inputs[] = {ids, cosine.data, sine.data, nullptr};
    void *outputs[] = {hidden.data};
    std::vector<uint64_t> times(program->desc().entries[entry].commands.size(), ~uint64_t{0});
    Status status = executable->execute(entry, batch.step(), inputs, outputs, pools, times);
    ASSERT_TRUE(status.ok()) << status.message();
    for (uint64_t time : times)
      EXPECT_LT(time, uint64_t{60} * 1000 * 1000 * 1000);
    auto before = [&](uint32_t t, uint32_t c) {
      float x = tableValue(static_cast<uint32_t>(ids[t]), c) * scaleValue(c);
      return x + (c < angles ? cosine.at(t, c) : sine.at(t, c - angles));
    };
    for (uint32_t t = 0; t < tokens; ++t)
      cache[batch.sequence[t]][batch.position[t]] = before(t, 0);
    for (uint32_t t = 0; t < tokens; ++t) {
      float sum = 0;
      for (int64_t p = 0; p <= batch.position[t]; ++p)
        sum += cache[batch.sequence[t]].at(p);
      for (uint32_t c = 0; c < columns; ++c)
        ASSERT_FLOAT_EQ(hidden.at(t, c), before(t, c) + sum) << "token " << t << " column " << c;
      ASSERT_TRUE(std::isnan(hidden.at(t, columns))) << "padding was written";
    }
  }

  std::shared_ptr<const Program> program;
  std::unique_ptr<Device> device;
  std::unique_ptr<Executable> executable;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers;
  std::vector<void *> pools;
  std::map<int32_t, std::map<int64_t, float>> cache; ///< sequence, position: what KV must hold
  uint32_t calls = 0;
};

class ExecutorThreads : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, ExecutorThreads, ::testing::Values(1u, 2u, 3u));

TEST_P(ExecutorThreads, RaggedStepsThroughTheCache) {
  Sample sample(GetParam());
  uint32_t step = *sample.program->entry("step");
  uint32_t decode = *sample.program->entry("step.decode");
  sample.check(step, Batch({{0, 17}, {0, 1}, {0, 33}}));
  sample.check(decode, Batch({{17, 1}, {1, 1}, {33, 1}}));
  sample.check(step, Batch({{18, 5}, {2, 1}, {34, 20}}));
  sample.check(decode, Batch({{23, 1}, {3, 1}, {54, 1}}));
}

TEST_P(ExecutorThreads, EverySizeUpToTheBound) {
  Sample sample(GetParam());
  for (uint32_t tokens = 1; tokens <= stepBound; ++tokens)
    sample.check(0, Batch({{0, tokens}}));
}

TEST_P(ExecutorThreads, LogitsOfGatheredRows) {
  Sample sample(GetParam());
  constexpr uint32_t rows = 16;
  Rows hidden(rows, rowFloats), out(rows, rowBytes(ElementType::F32, vocab) / 4);
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t c = 0; c < columns; ++c)
      hidden.at(r, c) = static_cast<float>((r + c) % 3);
  l4_step step = {};
  step.symbol = rows;
  void *inputs[] = {hidden.data}, *outputs[] = {out.data};
  Status status = sample.executable->execute(2, step, inputs, outputs, {});
  ASSERT_TRUE(status.ok()) << status.message();
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t v = 0; v < vocab; ++v) {
      float sum = 0;
      for (uint32_t c = 0; c < columns; ++c)
        sum += hidden.at(r, c) * tableValue(v, c);
      ASSERT_FLOAT_EQ(out.at(r, v), sum);
    }
}

/// Runs the entry of experts on `tokens` tokens, compares all its rows, and returns the bytes of
/// weights its commands read.
void checkExperts(unsigned threads, uint32_t used, uint32_t tokens, bool measured) {
  const std::string path = testPath("experts.l4x");
  ASSERT_TRUE(writeArtifact(path, expertParts(used), expertWeights()).ok());
  auto loaded = Program::load(path, VerifyMode::Full);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  auto device = createCpuDevice({threads, "", Pinning::Never}).take();
  auto executable = Executable::create(*loaded, *device).take();
  const uint32_t slots = tokens * expertTop, runs = std::min(used, slots);
  Rows out(slots, rowFloats);
  for (float &value : std::span(out.data, slots * rowFloats))
    value = 0;
  l4_step step = {};
  step.symbol = tokens;
  void *outputs[] = {out.data};
  std::vector<uint64_t> times(3), bytes(3, 1);
  Status status = measured ? executable->execute(expertEntry, step, {}, outputs, {}, times, bytes)
                           : executable->execute(expertEntry, step, {}, outputs, {});
  ASSERT_TRUE(status.ok()) << status.message();
  for (uint32_t run = 0; run < runs; ++run)
    for (uint32_t slot = slots * run / runs; slot < slots * (run + 1) / runs; ++slot)
      for (uint32_t c = 0; c < columns; ++c)
        ASSERT_EQ(out.at(slot, c), expertValue(2 * (run + 1), c)) << slot << " of " << slots;
  if (measured)
    EXPECT_EQ(bytes, (std::vector<uint64_t>{0, runs * expertBytes, 0}));
}

// Fewer tiles than the grid has: each is computed once, however the grid is divided, and only the
// experts that were touched count, although other tiles overwrite theirs before the entry ends.
TEST_P(ExecutorThreads, ExpertsOfATouchedFew) {
  for (uint32_t used : {1u, 3u, 4u})
    for (uint32_t tokens : {1u, 2u, 7u, expertBound})
      for (bool measured : {false, true}) {
        SCOPED_TRACE(std::to_string(used) + " experts, " + std::to_string(tokens) + " tokens");
        checkExperts(GetParam(), used, tokens, measured);
        if (HasFatalFailure())
          return;
      }
}

TEST(Executor, TwoProgramsAtOnceKeepTheirOwnCode) {
  Sample one(1, {}, 1), two(1, {}, 2);
  alignas(64) int32_t ids[] = {1};
  Rows zeros(1, angleFloats), first(1, rowFloats), second(1, rowFloats);
  for (uint32_t c = 0; c < angles; ++c)
    zeros.at(0, c) = 0;
  Batch batch({{0, 1}});
  void *inputs[] = {ids, zeros.data, zeros.data, nullptr};
  void *out1[] = {first.data}, *out2[] = {second.data};
  ASSERT_TRUE(one.executable->execute(0, batch.step(), inputs, out1, one.pools).ok());
  ASSERT_TRUE(two.executable->execute(0, batch.step(), inputs, out2, two.pools).ok());
  ASSERT_NE(first.at(0, 1), 0.0f);
  EXPECT_FLOAT_EQ(second.at(0, 1), 2 * first.at(0, 1)); // variant 2 doubles the scale
}

TEST(Executor, ChoosesTheMostSpecialEntry) {
  Sample sample(1);
  const Program &program = *sample.program;
  EXPECT_EQ(program.entryFor("step", 8, true), program.entry("step.decode"));
  EXPECT_EQ(program.entryFor("step", 8, false), program.entry("step"));
  EXPECT_EQ(program.entryFor("step", 9, true), program.entry("step"));
  EXPECT_EQ(program.entryFor("step", stepBound + 1, false), std::nullopt);
  EXPECT_EQ(program.entryFor("sing", 1, false), std::nullopt);
  EXPECT_EQ(program.kvPools(), layers);
  EXPECT_EQ(sample.executable->codeLevel(), "x86-64-v3");
  EXPECT_EQ(sample.executable->arenaBytes(), 64 + 2 * rowFloats * 4 * stepBound);
}

TEST(Executor, RefusesWrongArguments) {
  Sample sample(1);
  Batch batch({{0, 2}});
  alignas(64) int32_t ids[64] = {};
  Rows rows(2, rowFloats);
  std::vector<void *> inputs = {ids, rows.data, rows.data, nullptr}, outputs = {rows.data};
  auto refused = [&](const char *part, uint32_t entry, const l4_step &step,
                     std::span<void *const> in, std::span<void *const> out,
                     std::span<void *const> pools, std::span<uint64_t> times = {}) {
    Status status = sample.executable->execute(entry, step, in, out, pools, times);
    EXPECT_EQ(status.kind(), StatusKind::Internal);
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  };
  l4_step step = batch.step();
  refused("entry", 3, step, inputs, outputs, sample.pools);
  refused("inputs", 0, step, std::span(inputs).first(3), outputs, sample.pools);
  refused("outputs", 0, step, inputs, {}, sample.pools);
  refused("kv pools", 0, step, inputs, outputs, {});
  std::vector<uint64_t> times(2);
  refused("nanoseconds", 0, step, inputs, outputs, sample.pools, times);
  Status status = sample.executable->execute(0, step, inputs, outputs, sample.pools, {}, times);
  EXPECT_NE(status.message().find("weight bytes"), std::string::npos) << status.message();
  l4_step none = step;
  none.symbol = 0;
  refused("T: found 0", 0, none, inputs, outputs, sample.pools);
  none.symbol = stepBound + 1;
  refused("T: found 65", 0, none, inputs, outputs, sample.pools);
  refused("sequences", 1, step, inputs, outputs, sample.pools); // two tokens of one sequence
  l4_step noPages = step;
  noPages.page_table[0] = nullptr;
  refused("page_table[0]", 0, noPages, inputs, outputs, sample.pools);
  inputs[1] = nullptr;
  refused("input 1", 0, step, inputs, outputs, sample.pools);
  inputs[1] = rows.data + 1;
  refused("input 1", 0, step, inputs, outputs, sample.pools);
  inputs[1] = rows.data;
  std::vector<void *> noPool = {sample.pools[0], nullptr};
  refused("kv pool 1", 0, step, inputs, outputs, noPool);
}

TEST(Executor, BoundsLowerButNeverRaise) {
  Sample sample(1, {{7, 0, 3}});
  EXPECT_EQ(sample.executable->bound(0), 7u);
  EXPECT_EQ(sample.executable->bound(1), decodeBound);
  sample.check(0, Batch({{0, 7}}));
  Batch tooMany({{0, 8}});
  alignas(64) int32_t ids[64] = {};
  Rows rows(8, rowFloats);
  void *inputs[] = {ids, rows.data, rows.data, nullptr}, *outputs[] = {rows.data};
  EXPECT_FALSE(sample.executable->execute(0, tooMany.step(), inputs, outputs, sample.pools).ok());
  auto raised = Executable::create(sample.program, *sample.device, {{65, 0, 0}});
  ASSERT_FALSE(raised.ok());
  EXPECT_EQ(raised.status().kind(), StatusKind::Usage);
  EXPECT_FALSE(Executable::create(sample.program, *sample.device, {{1}}).ok());
}

TEST(Executor, RefusesCodeThatLacksAKernelOrIsNoCode) {
  auto device = createCpuDevice({1, "", Pinning::Never}).take();
  ArtifactParts parts = sampleParts();
  parts.program.kernels[1].symbol = "not_there";
  std::string path = testPath("lacking.l4x");
  ASSERT_TRUE(writeArtifact(path, parts, sampleWeights()).ok());
  auto program = Program::load(path);
  ASSERT_TRUE(program.ok()) << program.status().message();
  auto lacking = Executable::create(*program, *device);
  ASSERT_FALSE(lacking.ok());
  EXPECT_EQ(lacking.status().kind(), StatusKind::InvalidInput);
  EXPECT_NE(lacking.status().message().find("not_there"), std::string::npos);

  parts = sampleParts();
  parts.code[0] = "not an ELF file";
  ASSERT_TRUE(writeArtifact(path, parts, sampleWeights()).ok());
  program = Program::load(path);
  ASSERT_TRUE(program.ok());
  auto nonsense = Executable::create(*program, *device);
  ASSERT_FALSE(nonsense.ok());
  EXPECT_EQ(nonsense.status().kind(), StatusKind::InvalidInput);
  EXPECT_NE(nonsense.status().message().find("shared object"), std::string::npos);
}

} // namespace
} // namespace llama4::test
