//===- DividedAttentionTest.cpp - keys of a token divided among tiles -----===//
//
// The kernel of a decode entry against that of a step entry: the same bits, with an epilogue and
// without one, whatever the tiles' order, and the counters end as they began.
//
//===----------------------------------------------------------------------===//

#include "test/kernels/Harness.h"

#include "compiler/microkernels/Microkernels.h"

namespace llama4::test {
namespace {

class DividedAttentionTest : public LevelTest {};

/// One result in f32, or one of it and one quantized, by a core in tiles of $TOKENS tokens.
const char *const kKernels = R"(
cmd.kernel @plain_$NAME_$T grid affine_map<(T) -> ((T ceildiv $TOKENS) * $TILES)> $WORKSPACE {
^bb0(%q: tensor<?x384xf32>, %kv: !lm.kv_layer<kind = 1, heads = 2, dim = 64, $T>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask $MASK scale 0.125 core <"$CORE", tokens = $TOKENS> $CHUNK
      : tensor<?x384xf32>, !lm.kv_layer<kind = 1, heads = 2, dim = 64, $T> -> tensor<?x384xf32>
  cmd.yield %0 : tensor<?x384xf32>
}
cmd.kernel @fused_$NAME_$T grid affine_map<(T) -> ((T ceildiv $TOKENS) * $TILES)> $WORKSPACE {
^bb0(%q: tensor<?x384xf32>, %kv: !lm.kv_layer<kind = 1, heads = 2, dim = 64, $T>, %b: !lm.batch,
     %w: tensor<384xf32>):
  %0, %1 = lm.attention %q, %kv, %b mask $MASK scale 0.125 core <"$CORE", tokens = $TOKENS> $CHUNK
      : tensor<?x384xf32>, !lm.kv_layer<kind = 1, heads = 2, dim = 64, $T>
      -> (tensor<?x384xf32>, tensor<?x384x!lm.block<q8_32>>) epilogue {
  ^bb0(%a: f32):
    %e = lm.element %w : tensor<384xf32>
    %y = arith.mulf %a, %e : f32
    lm.yield %y, %y : f32, f32
  }
  cmd.yield %0, %1 : tensor<?x384xf32>, tensor<?x384x!lm.block<q8_32>>
}
)";

std::string kernelText(const std::string &type, int64_t chunk) {
  const std::string name = type == "f32" ? "float32" : "bfloat16";
  const std::string floats = std::to_string(2 * microkernels::splitAttentionFloats(3, 64));
  const std::string counters = std::to_string(2 * microkernels::splitAttentionCounters());
  std::string text;
  for (const bool divided : {false, true})
    text += fill(kKernels,
                 {{"NAME", divided ? "divided" : "whole"},
                  {"TOKENS", divided ? "1" : "16"},
                  {"TILES", divided ? "16" : "2"},
                  {"WORKSPACE", divided ? "workspace [tensor<?x" + floats + "xf32>, tensor<?x" +
                                              counters + "xi32, #target.zero>]"
                                        : ""},
                  {"CORE", (divided ? "l4_split_attention_" : "l4_attention_") + name},
                  {"MASK", chunk ? "chunked" : "causal"},
                  {"CHUNK", chunk ? "{chunk = " + std::to_string(chunk) + "}" : ""},
                  {"T", type}});
  return text;
}

TEST_P(DividedAttentionTest, SameBitsAsWhole) {
  // Few keys, borders of parts, and all the parts that there can be.
  const std::vector<int64_t> past = {0, 5, 255, 256, 257, 511, 767, 2047, 2048, 2600, 4096};
  Step step(past, std::vector<int32_t>(past.size(), 1));
  const int64_t tokens = step.step.symbol;
  for (const auto &[type, chunk] :
       {std::pair("f32", int64_t{700}), std::pair("bf16", int64_t{0})}) {
    SCOPED_TRACE(std::string(type) + ", chunk " + std::to_string(chunk));
    Kernels kernels(kernelText(type, chunk), GetParam());
    const std::string suffix = std::string("_") + type;
    const bool narrow = suffix == "_bf16";
    const int64_t pageBytes = kvPageBytes(narrow ? ElementType::BF16 : ElementType::F32, 2, 64);
    Tensor pool(narrow ? ElementType::BF16 : ElementType::F32, step.numPages(1),
                pageBytes / (narrow ? 2 : 4));
    pool.randomize(random_);
    Tensor q = Tensor(ElementType::F32, tokens, 384).randomize(random_, 2.0f);
    Tensor w = Tensor(ElementType::F32, 1, 384).randomize(random_);
    Tensor parts(ElementType::F32, tokens, 2 * microkernels::splitAttentionFloats(3, 64));
    Tensor counters(ElementType::I32, tokens, 2 * microkernels::splitAttentionCounters());
    std::memset(counters.data(), 0, counters.bytes());
    std::vector<Tensor> results[2];
    for (const bool divided : {false, true}) {
      Tensor plain(ElementType::F32, tokens, 384), fused(ElementType::F32, tokens, 384);
      Tensor quantized(ElementType::Q8_32, tokens, 384);
      std::vector<Tensor> direct = {q, pool, plain}, through = {q, pool, w, fused, quantized};
      for (std::vector<Tensor> *bindings : {&direct, &through})
        if (divided)
          bindings->insert(bindings->end(), {parts, counters});
      const std::string name = (divided ? "_divided" : "_whole") + suffix;
      kernels.run("plain" + name, step, direct);
      kernels.run("fused" + name, step, through);
      results[divided] = {plain, fused, quantized};
    }
    for (size_t i = 0; i < 3; ++i)
      for (int64_t t = 0; t < tokens; ++t)
        ASSERT_EQ(std::memcmp(results[0][i].row<char>(t), results[1][i].row<char>(t),
                              static_cast<size_t>(results[0][i].rowBytes())),
                  0)
            << "result " << i << ", position " << past[static_cast<size_t>(t)];
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t i = 0; i < counters.columns(); ++i)
        ASSERT_EQ(counters.row<int32_t>(t)[i], 0) << t << " " << i;
  }
}

// What the kernel says it shares is what its op needs.
TEST(DividedAttention, NeedsItsWorkspace) {
  std::string text = kernelText("f32", 0);
  const size_t at = text.find("workspace [");
  text.erase(at, text.find(']', at) + 1 - at);
  const Result<std::vector<std::byte>> object = compileText(text, runnableLevels().front());
  ASSERT_FALSE(object.ok());
  EXPECT_NE(object.status().message().find("has no workspace, but needs"), std::string::npos)
      << object.status().message();
}

LLAMA4_FOR_ALL_LEVELS(DividedAttentionTest);

} // namespace
} // namespace llama4::test
