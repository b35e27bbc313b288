//===- ProfileTest.cpp - what is added up over steps ----------------------===//

#include "runtime/engine/Profile.h"

#include <algorithm>
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
  EXPECT_EQ(kernels[0].weightBytes, 500u);
  EXPECT_EQ(kernels[0].activationBytes, 2u * 4 * 2 * 64);
  EXPECT_EQ(kernels[0].macs, 160u);
  EXPECT_EQ(kernels[1].weightBytes, 2000u);
  Profile nothing;
  EXPECT_TRUE(nothing.nanoseconds(0).empty());
  EXPECT_TRUE(nothing.weightBytes(0).empty());
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
