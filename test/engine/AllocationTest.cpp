//===- AllocationTest.cpp - steps allocate nothing ------------------------===//

#include "runtime/engine/Sampler.h"
#include "runtime/engine/StepPlanner.h"
#include "test/engine/CountedAllocations.h"
#include "test/engine/TinyModel.h"

#include <gtest/gtest.h>

namespace llama4::test {
namespace {

TEST(Allocation, StepsAllocateNothing) {
  std::unique_ptr<Device> device = tinyDevice(2);
  std::shared_ptr<const Program> program = loadTiny(::testing::TempDir() + "allocation.l4x");
  std::unique_ptr<Engine> engine = Engine::create(program, *device, {.profile = true}).take();
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (uint32_t i = 0; i < 4; ++i) {
    sequences.push_back(engine->createSequence(tinyLength).take());
    ASSERT_TRUE(sequences[i]->append(tinyText(60 + i * 7, i)).ok());
  }
  StepPlanner planner(*engine, 11);
  std::vector<Sampler> samplers;
  Sampler::Scratch scratch(tinyVocab);
  for (uint32_t i = 0; i < 4; ++i) {
    SamplingParameters parameters;
    parameters.temperature = static_cast<float>(i); // the first is greedy
    parameters.topK = i == 1 ? 7 : 0;
    parameters.topP = i >= 2 ? 0.9f : 1.0f;
    parameters.frequencyPenalty = i == 3 ? 0.5f : 0.0f;
    parameters.logitBias = {{3, 1.0f}};
    samplers.push_back(Sampler::create(parameters, tinyVocab).take());
    samplers[i].addPrompt(sequences[i]->tokens());
  }
  std::vector<uint32_t> rows(tinyBatch);
  std::vector<int32_t> tokens(tinyBatch);
  uint64_t before = allocationCount();
  ASSERT_GT(before, 0u) << "nothing is counted";
  ASSERT_GT(before, 0u); // the count does count
  uint32_t steps = 0;
  bool ok = true;
  while (ok && steps < 120 && planner.plan(sequences)) {
    ok = engine->step(planner.chunks()).ok();
    size_t count = 0;
    for (const PlannedChunk &chunk : planner.planned())
      rows[count++] = chunk.firstRow + chunk.tokens - 1;
    ok = ok && engine
                   ->logits(std::span(rows).first(count),
                            [&](size_t i, std::span<const float> logits) {
                              const PlannedChunk &chunk = planner.planned()[i];
                              if (chunk.reachesEnd)
                                tokens[i] =
                                    samplers[chunk.sequence].sample(logits, scratch).value_or(0);
                            })
                   .ok();
    for (size_t i = 0; i < count; ++i) {
      const PlannedChunk &chunk = planner.planned()[i];
      if (chunk.reachesEnd && ok)
        ok = sequences[chunk.sequence]->append({&tokens[i], 1}).ok();
    }
    ++steps;
  }
  EXPECT_EQ(allocationCount() - before, 0u);
  EXPECT_TRUE(ok);
  EXPECT_EQ(steps, 120u);
  EXPECT_FALSE(engine->profile().kernels(program->desc()).empty());
}

TEST(Allocation, BackingPoolsAllocatesNothing) {
  std::unique_ptr<Device> device = tinyDevice(1);
  std::unique_ptr<DeviceBuffer> pool = device->allocate(6 * PoolBacking::extentBytes).take();
  PoolBacking backing({{pool.get()}});
  const uint64_t before = allocationCount();
  for (uint64_t bytes = 1 << 16; bytes < pool->bytes(); bytes += 1 << 16) {
    backing.use(0, bytes);
    backing.finish();
  }
  EXPECT_EQ(allocationCount() - before, 0u);
}

} // namespace
} // namespace llama4::test
