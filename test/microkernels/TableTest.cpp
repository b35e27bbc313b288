//===- TableTest.cpp - queries over the table and the embedded bitcode ----===//
#include "test/microkernels/Support.h"

#include "compiler/microkernels/cpu/Sizes.h"

namespace llama4::microkernels {
namespace {

TEST(Table, FindsCoresByOperands) {
  const LinearCore *core = findLinear(Activation::Q8, Encoding::Q4_1);
  ASSERT_NE(core, nullptr);
  EXPECT_EQ(core->symbol, "l4_linear_q8_q4_1");
  EXPECT_EQ(core->kMultiple, 32);
  EXPECT_EQ(findLinear(Activation::Q8, Encoding::Float32), nullptr);
  EXPECT_EQ(findLinear(Activation::Q8_128, Encoding::Int4_G128)->kMultiple, 128);
  EXPECT_EQ(findLinear(Activation::Q8, Encoding::Int4_G128), nullptr);
  EXPECT_EQ(findRow(Encoding::BFloat16)->symbol, "l4_row_bfloat16");
  EXPECT_EQ(findAttention(KvType::Float32)->symbol, "l4_attention_float32");
  EXPECT_EQ(findUnitAttention(KvType::Float32)->symbol, "l4_unit_attention_f32");
  EXPECT_EQ(findUnitAttention(KvType::BFloat16)->symbol, "l4_unit_attention_bf16");
  EXPECT_EQ(findCrossAttention()->symbol, "l4_cross_attention_f32");
  EXPECT_EQ(groupCore().symbol, "l4_group_by_expert");
  EXPECT_EQ(groupScratchBytes(1), 64);
  EXPECT_EQ(groupScratchBytes(128), 1024);
}

TEST(Table, NamesRoundTrip) {
  for (const LinearCore &core : linearCores()) {
    EXPECT_EQ(parseEncoding(encodingName(core.encoding)), core.encoding);
    EXPECT_EQ(parseActivation(activationName(core.activation)), core.activation);
  }
  for (const AttentionCore &core : attentionCores())
    EXPECT_EQ(parseKvType(kvTypeName(core.type)), core.type);
  EXPECT_FALSE(parseEncoding("q9_9").has_value());
  EXPECT_EQ(blockSize(Encoding::Q4_1).bytes, 20);
}

TEST(Table, EveryLevelHasBitcode) {
  ASSERT_EQ(cpuLevels().size(), nativeLevels().size());
  for (const Level &level : cpuLevels()) {
    ASSERT_GT(level.bitcode.size(), 1000u);
    EXPECT_EQ(level.bitcode[0], 'B');
    EXPECT_EQ(level.bitcode[1], 'C');
    EXPECT_EQ(findLevel(level.name), &level);
  }
  for (size_t i = 1; i < cpuLevels().size(); ++i)
    EXPECT_NE(cpuLevels()[i - 1].bitcode.data(), cpuLevels()[i].bitcode.data());
  EXPECT_EQ(findLevel("i386"), nullptr);
}

TEST(Table, SizesOfAttention) {
  // A head of 40 has its values padded to 48.
  EXPECT_EQ(kvPageBytes(KvType::BFloat16, 3, 40), 3 * 16 * (40 + 48) * 2);
  EXPECT_EQ(attentionScratchBytes(2, 40, 3) % 64, 0);
  EXPECT_GE(attentionScratchBytes(2, 40, 3), 6 * 48 * 4 + 8 * 64 * 4 + 6 * 24);
  // One block of keys and values, and the state of the rows.
  EXPECT_EQ(unitAttentionScratchBytes(40) % 64, 0);
  EXPECT_GE(unitAttentionScratchBytes(40), 64 * (40 + 48) * 4 + 64 * (48 * 4 + 16) + 8 * 64 * 4);
  EXPECT_EQ(crossAttentionScratchBytes(4, 40), unitAttentionScratchBytes(40));
  EXPECT_LT(crossAttentionScratchBytes(4, 40, 1), crossAttentionScratchBytes(4, 40));
}

} // namespace
} // namespace llama4::microkernels
