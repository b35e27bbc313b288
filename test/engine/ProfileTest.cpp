//===- ProfileTest.cpp - what is added up over steps ----------------------===//

#include "runtime/engine/Profile.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// Two commands: a linear of 1000 bytes, and a grouped one of 8 experts with 100 bytes each, of
/// which a token chooses two.
ProgramDesc experts() {
  KernelParam tiles;
  tiles.type = ElementType::I32;
  tiles.columns = 4;
  tiles.rowsPerSymbol = 2;
  tiles.rowBytes = 64;
  ProgramDesc program;
  program.kernels = {{"linear", 0, {}, 10, 1000}, {"grouped", 0, {tiles}, 20, 800, 8, 0}};
  program.entries.resize(1);
  program.entries[0].function = "step";
  program.entries[0].commands.resize(2);
  program.entries[0].commands[1].kernel = 1;
  return program;
}

TEST(Profile, AddsUpWhatStepsRead) {
  const ProgramDesc program = experts();
  Profile profile(program);
  for (uint64_t step = 1; step <= 3; ++step) {
    profile.nanoseconds(0)[0] = 5;
    profile.nanoseconds(0)[1] = 7 * step;
    profile.weightBytes(0)[0] = 1000;
    profile.weightBytes(0)[1] = 100 * step; // so many experts
    profile.record(0, 4);
    if (step == 1)
      profile.reset();
  }
  const std::vector<KernelTime> kernels = profile.kernels(program);
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].symbol, "grouped"); // the slower
  EXPECT_EQ(kernels[0].nanoseconds, 35u);
  EXPECT_EQ(kernels[0].dispatches, 2u);
  EXPECT_EQ(kernels[0].work.weightBytes, 500u);
  EXPECT_EQ(kernels[0].work.activationBytes, 2u * 4 * 2 * 64);
  EXPECT_EQ(kernels[0].work.allMacs(), 160u);
  EXPECT_EQ(kernels[1].work.weightBytes, 2000u);
  const std::vector<KernelTime> commands = profile.commands(program);
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_EQ(commands[0].symbol, "linear"); // as they run
  EXPECT_EQ(commands[1].command, 1u);
  EXPECT_EQ(profile.work(program).weightBytes, 2500u);
  EXPECT_EQ(profile.work(program).allMacs(), 160u + 80);
  EXPECT_EQ(profile.runs(program, "step"), 2u);
  EXPECT_EQ(profile.runs(program, "logits"), 0u);
  Profile nothing;
  EXPECT_TRUE(nothing.nanoseconds(0).empty());
  EXPECT_TRUE(nothing.weightBytes(0).empty());
}

TEST(Profile, KernelsThatAreSharedAreAddedUp) {
  ProgramDesc program = experts();
  program.entries.push_back(program.entries[0]);
  program.entries[1].commands[1].kernel = 0;
  Profile profile(program);
  for (uint32_t entry : {0, 1, 1}) {
    std::fill(profile.nanoseconds(entry).begin(), profile.nanoseconds(entry).end(), 10);
    profile.record(entry, 1);
  }
  const std::vector<KernelTime> kernels = profile.kernels(program);
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].symbol, "linear"); // once in the first entry, twice in the second
  EXPECT_EQ(kernels[0].dispatches, 5u);
  EXPECT_EQ(kernels[0].nanoseconds, 50u);
  EXPECT_EQ(kernels[0].work.allMacs(), 50u);
  EXPECT_EQ(kernels[0].entry, 0u);
}

/// Two kinds of layers: a command that reads the second one's keys, and one that writes them.
TEST(Profile, CountsKeysAndValues) {
  KernelParam cache;
  cache.kind = ParamKind::Kv;
  ProgramDesc program;
  program.kernels = {{"attention", 0, {cache}}, {"put", 0, {cache}}};
  program.kernels[1].params[0].access = Access::ReadWrite;
  program.kvKinds = {{"near", 1, 4, 32, ElementType::BF16}, {"far", 1, 2, 64, ElementType::F32}};
  program.entries.resize(1);
  program.entries[0].commands.resize(3);
  program.entries[0].commands[0].bindings = {{BindingKind::Kv, 1, 0}};
  program.entries[0].commands[1].bindings = {{BindingKind::Kv, 0, 0}};
  program.entries[0].commands[2].bindings = {{BindingKind::Kv, 1, 0}};
  program.entries[0].commands[2].kernel = 1;
  Profile profile(program);
  const KvTokens near = {5, 3}, far = {100, 7};
  for (int step = 0; step < 2; ++step)
    profile.record(0, 1, std::array{near, far});
  profile.record(0, 1); // touches none
  const std::vector<KernelTime> commands = profile.commands(program);
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_EQ(commands[0].work.cacheBytes, 2u * 100 * (2 * 2 * 64 * 4));
  EXPECT_EQ(commands[1].work.cacheBytes, 2u * 5 * (2 * 4 * 32 * 2));
  EXPECT_EQ(commands[2].work.cacheBytes, 2u * 7 * (2 * 2 * 64 * 4));
  profile.reset();
  EXPECT_EQ(profile.work(program).cacheBytes, 0u);
}

TEST(Profile, KindsOfMultiplications) {
  KernelParam rows, weight, result;
  weight.kind = ParamKind::Weight;
  result.access = Access::Write;
  auto kind = [&](ElementType type, const char *encoding, ElementType out = ElementType::F32) {
    rows.type = type;
    weight.encoding = encoding;
    result.type = out;
    return macKindOf({"linear", 0, {rows, weight, result}, 1});
  };
  EXPECT_EQ(kind(ElementType::Q8_32, "q4_0"), MacKind::Int8);
  EXPECT_EQ(kind(ElementType::Q8_128, "int4_g128"), MacKind::Int8);
  EXPECT_EQ(kind(ElementType::BF16, "bfloat16"), MacKind::BFloat16);
  EXPECT_EQ(kind(ElementType::BF16, "float32"), MacKind::Float32);
  EXPECT_EQ(kind(ElementType::F32, "bfloat16", ElementType::BF16), MacKind::Float32);
  EXPECT_EQ(kind(ElementType::F32, "q8_0", ElementType::Q8_32), MacKind::Float32);
}

TEST(Profile, ExpertsThatAreNotTouchedAreNotRead) {
  const ProgramDesc program = experts();
  const Kernel &grouped = program.kernels[1];
  EXPECT_EQ(grouped.weightBytesOf(0), 0u);
  EXPECT_EQ(grouped.weightBytesOf(3), 300u);
  EXPECT_EQ(grouped.weightBytesOf(8), 800u);
  EXPECT_EQ(grouped.weightBytesOf(9), 800u);
  EXPECT_EQ(grouped.mostWeightBytes(1), 200u); // two slots
  EXPECT_EQ(grouped.mostWeightBytes(3), 600u);
  EXPECT_EQ(grouped.mostWeightBytes(500), 800u);
  EXPECT_EQ(program.kernels[0].weightBytesOf(1), 1000u);
  EXPECT_EQ(program.kernels[0].mostWeightBytes(1), 1000u);
}

} // namespace
} // namespace llama4::test
