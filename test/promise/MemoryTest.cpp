//===- MemoryTest.cpp - memory is reserved as planned and all of it used --===//
//
// The arena that the plan asks for is touched to its end by a full step, nothing is written behind
// it, and a running engine allocates nothing: with experts, with attention in chunks, without
// either. What a whole process takes is measured by tools/bench/memory.py.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Greedy.h"
#include "runtime/engine/StepPlanner.h"
#include "runtime/format/KvPages.h"
#include "test/engine/CountedAllocations.h"
#include "test/promise/Models.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// The processor, remembering what was reserved on it.
class RecordingDevice : public Device {
public:
  struct Reserved {
    std::byte *data;
    uint64_t bytes;
  };

  explicit RecordingDevice(std::unique_ptr<Device> inner) : inner_(std::move(inner)) {}
  const std::vector<Reserved> &reserved() const { return reserved_; }

  std::string_view target() const override { return inner_->target(); }
  std::string describe() const override { return inner_->describe(); }
  Result<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) override {
    Result<std::unique_ptr<DeviceBuffer>> buffer = inner_->allocate(bytes);
    if (buffer.ok())
      reserved_.push_back({static_cast<std::byte *>((*buffer)->data()), bytes});
    return buffer;
  }
  Result<std::unique_ptr<DeviceBuffer>> import(std::span<const std::byte> bytes) override {
    return inner_->import(bytes);
  }
  Status write(DeviceBuffer &buffer, uint64_t offset, std::span<const std::byte> from) override {
    return inner_->write(buffer, offset, from);
  }
  Status read(const DeviceBuffer &buffer, uint64_t offset, std::span<std::byte> to) override {
    return inner_->read(buffer, offset, to);
  }
  Result<std::unique_ptr<CodeModule>> loadCode(std::span<const CodeView> objects) override {
    return inner_->loadCode(objects);
  }
  Status reserveScratch(uint64_t bytes) override { return inner_->reserveScratch(bytes); }
  Status submit(std::span<const Dispatch> list, std::span<uint64_t> nanoseconds) override {
    return inner_->submit(list, nanoseconds);
  }
  Status wait() override { return inner_->wait(); }

private:
  std::unique_ptr<Device> inner_;
  std::vector<Reserved> reserved_;
};

class Memory : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {
protected:
  void SetUp() override {
    const auto [checkpoint, encoding] = GetParam();
    Result<std::string> path = compileModel(checkpoint, encoding);
    ASSERT_TRUE(path.ok()) << path.status().message();
    program_ = Program::load(*path).take();
    device_ = std::make_unique<RecordingDevice>(openDevice(2).take());
    engine_ = Engine::create(program_, *device_).take();
  }

  /// Text for every sequence that may exist.
  void fillSequences(uint64_t length) {
    for (uint32_t i = 0; i < engine_->maxSequences(); ++i) {
      sequences_.push_back(engine_->createSequence(modelLength).take());
      ASSERT_TRUE(sequences_[i]->append(madeUpText(length, engine_->vocabSize(), i)).ok());
    }
  }

  std::shared_ptr<const Program> program_;
  std::unique_ptr<RecordingDevice> device_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
};

TEST_P(Memory, FullStepTouchesTheArenaToItsEnd) {
  uint64_t planned = 0;
  for (const Entry &entry : program_->desc().entries)
    planned = std::max(planned, entry.arenaBytes());
  const Engine::Memory memory = engine_->memory();
  EXPECT_EQ(memory.arena, planned);
  const RecordingDevice::Reserved arena = device_->reserved()[0]; // the executable's is the first
  ASSERT_EQ(arena.bytes, planned);
  ASSERT_NO_FATAL_FAILURE(fillSequences(modelStepTokens / modelBatch));
  std::vector<SequenceChunk> chunks;
  for (const std::unique_ptr<Sequence> &sequence : sequences_)
    chunks.push_back({sequence.get(), modelStepTokens / modelBatch});
  uint64_t touched = 0;
  for (std::byte pattern : {std::byte{0xA5}, std::byte{0x5A}}) {
    std::fill_n(arena.data, arena.bytes, pattern);
    ASSERT_TRUE(engine_->step(chunks).ok());
    uint64_t end = arena.bytes;
    while (end > 0 && arena.data[end - 1] == pattern)
      --end;
    touched = std::max(touched, end);
    for (const std::unique_ptr<Sequence> &sequence : sequences_) // the same step again
      ASSERT_TRUE(sequence->truncate(0).ok());
    for (size_t i = 0; i < sequences_.size(); ++i)
      ASSERT_TRUE(sequences_[i]
                      ->append(madeUpText(modelStepTokens / modelBatch, engine_->vocabSize(),
                                          static_cast<uint32_t>(i)))
                      .ok());
  }
  std::printf("arena: %llu of %llu bytes touched\n", static_cast<unsigned long long>(touched),
              static_cast<unsigned long long>(planned));
  EXPECT_GE(static_cast<double>(touched), 0.95 * static_cast<double>(planned));
}

TEST_P(Memory, CacheIsReservedForEverySequenceAtItsLongest) {
  // What --plan-only prints, and what was reserved.
  uint64_t planned = 0, reserved = 0;
  for (const KvKind &kind : program_->desc().kvKinds)
    planned += kvPagesOfSequence(kind, modelLength, modelStepTokens) * modelBatch * kind.pageBytes *
               kind.layers;
  for (const RecordingDevice::Reserved &buffer : device_->reserved())
    reserved += buffer.bytes;
  const Engine::Memory memory = engine_->memory();
  EXPECT_EQ(memory.cache, planned);
  EXPECT_GE(reserved, memory.arena + memory.step + memory.cache);
  // Every page can be in use at once, and nothing is reserved meanwhile.
  const size_t before = device_->reserved().size();
  ASSERT_NO_FATAL_FAILURE(fillSequences(modelLength));
  StepPlanner planner(*engine_, 0);
  while (planner.plan(sequences_))
    ASSERT_TRUE(engine_->step(planner.chunks()).ok());
  EXPECT_EQ(device_->reserved().size(), before);
  for (uint32_t kind = 0; kind < engine_->cache().kinds(); ++kind)
    if (program_->desc().kvKinds[kind].chunkTokens == 0) {
      EXPECT_EQ(engine_->cache().freePages(kind), 0u);
    }
}

TEST_P(Memory, StepsAllocateNothing) {
  ASSERT_NO_FATAL_FAILURE(fillSequences(40));
  StepPlanner planner(*engine_, 11);
  std::vector<uint32_t> rows(modelBatch);
  std::vector<int32_t> tokens(modelBatch);
  const uint64_t before = allocationCount();
  ASSERT_GT(before, 0u) << "nothing is counted";
  ASSERT_GT(before, 0u); // the count does count
  uint32_t steps = 0;
  bool ok = true;
  // Past three chunks of the chunked attention, with single tokens at the end.
  for (; ok && steps < 100 && planner.plan(sequences_); ++steps) {
    ok = engine_->step(planner.chunks()).ok();
    size_t count = 0;
    for (const PlannedChunk &chunk : planner.planned())
      rows[count++] = chunk.firstRow + chunk.tokens - 1;
    ok = ok && engine_
                   ->logits(std::span(rows).first(count),
                            [&](size_t i, std::span<const float> logits) {
                              tokens[i] = greedyToken(logits).value_or(0);
                            })
                   .ok();
    for (size_t i = 0; ok && i < count; ++i)
      if (const PlannedChunk &chunk = planner.planned()[i]; chunk.reachesEnd)
        ok = sequences_[chunk.sequence]->append({&tokens[i], 1}).ok();
  }
  EXPECT_EQ(allocationCount() - before, 0u);
  EXPECT_TRUE(ok);
  EXPECT_EQ(steps, 100u);
}

INSTANTIATE_TEST_SUITE_P(Models, Memory,
                         ::testing::Values(std::tuple("llama3-text-tied", "q4_1"),
                                           std::tuple("llama4-text-f32", "bfloat16")),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param)).substr(0, 6);
                         });

} // namespace
} // namespace llama4::test
