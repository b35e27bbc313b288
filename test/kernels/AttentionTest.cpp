//===- AttentionTest.cpp - attention kernels against scalar code ----------===//

#include "test/kernels/Harness.h"
#include "test/kernels/KvPlaces.h"

#include <cmath>

namespace llama4::test {
namespace {

class AttentionTest : public LevelTest {};

/// One result without epilogue, or one in f32 and one quantized.
const char *const kPlain = R"(
cmd.kernel @plain_$D_$T grid affine_map<(T) -> ((T ceildiv $TOKENS) * 2)> {
^bb0(%q: tensor<?x$Nxf32>, %kv: !lm.kv_layer<kind = 2, heads = 2, dim = $D, $T>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.125 core <"l4_attention_$CORE", tokens = $TOKENS>
      : tensor<?x$Nxf32>, !lm.kv_layer<kind = 2, heads = 2, dim = $D, $T> -> tensor<?x$Nxf32>
  cmd.yield %0 : tensor<?x$Nxf32>
}
)";
const char *const kQuantized = R"(
cmd.kernel @fused_$D_$T grid affine_map<(T) -> ((T ceildiv $TOKENS) * 2)> {
^bb0(%q: tensor<?x$Nxf32>, %kv: !lm.kv_layer<kind = 2, heads = 2, dim = $D, $T>, %b: !lm.batch,
     %w: tensor<$Nxf32>):
  %0, %1 = lm.attention %q, %kv, %b mask causal scale 0.125
      core <"l4_attention_$CORE", tokens = $TOKENS>
      : tensor<?x$Nxf32>, !lm.kv_layer<kind = 2, heads = 2, dim = $D, $T>
      -> (tensor<?x$Nxf32>, tensor<?x$Nx!lm.block<q8_32>>) epilogue {
  ^bb0(%a: f32):
    %e = lm.element %w : tensor<$Nxf32>
    %y = arith.mulf %a, %e : f32
    lm.yield %y, %y : f32, f32
  }
  cmd.yield %0, %1 : tensor<?x$Nxf32>, tensor<?x$Nx!lm.block<q8_32>>
}
)";

const char *const kChunked = R"(
cmd.kernel @chunked_$C_$TOKENS grid affine_map<(T) -> ((T ceildiv $TOKENS) * 2)> {
^bb0(%q: tensor<?x120xf32>, %kv: !lm.kv_layer<kind = 2, heads = 2, dim = 20, f32>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask chunked scale 0.125
      core <"l4_attention_float32", tokens = $TOKENS> {chunk = $C}
      : tensor<?x120xf32>, !lm.kv_layer<kind = 2, heads = 2, dim = 20, f32> -> tensor<?x120xf32>
  cmd.yield %0 : tensor<?x120xf32>
}
)";

/// A pool of pages, filled with small numbers, and readers of its elements.
struct Pool {
  ElementType type;
  int64_t heads, dim, pageBytes;
  Tensor memory;
  Pool(ElementType type, int64_t dim, const Step &step, std::mt19937 &random)
      : type(type), heads(2), dim(dim), pageBytes(kvPageBytes(type, 2, static_cast<uint32_t>(dim))),
        memory(pageBytes * step.numPages(2)) {
    std::normal_distribution<float> normal;
    const int64_t bytes = elementBytes(type);
    for (size_t i = 0; i < memory.bytes() / bytes; ++i) {
      const float value = normal(random);
      if (type == ElementType::BF16)
        static_cast<uint16_t *>(memory.data())[i] = toBf16(value);
      else
        static_cast<float *>(memory.data())[i] = value;
    }
  }
  float read(int64_t page, int64_t element) const {
    const char *base = static_cast<const char *>(memory.data()) + page * pageBytes;
    return type == ElementType::BF16 ? fromBf16(reinterpret_cast<const uint16_t *>(base)[element])
                                     : reinterpret_cast<const float *>(base)[element];
  }
  float key(int64_t page, int64_t slot, int64_t head, int64_t d) const {
    return read(page, places().key(head, slot, d));
  }
  float value(int64_t page, int64_t slot, int64_t head, int64_t d) const {
    return read(page, places().value(head, slot, d));
  }
  KvPlaces places() const { return {heads, dim, type == ElementType::BF16}; }
};

/// One component of an answer, and the mean distance of the values from it, by their weights.
struct Mean {
  double value = 0, spread = 0;
};

/// One head of one token, over its chunk of `chunk` positions (0: all); with `rounds`, for the
/// query in bfloat16.
std::vector<Mean> attend(const Step &step, const Pool &pool, const Tensor &q, int64_t t,
                         int64_t head, int64_t group, int64_t chunk, bool rounds) {
  const int64_t kvHead = head / group, keys = step.position[t] + 1, dim = pool.dim;
  const int64_t from = chunk == 0 ? 0 : step.position[t] / chunk * chunk;
  std::vector<double> scores(keys, -INFINITY);
  std::vector<Mean> out(dim);
  double largest = -INFINITY, sum = 0;
  for (int64_t j = from; j < keys; ++j) {
    scores[j] = 0;
    const int64_t page = step.page(2, step.sequence[t], j);
    for (int64_t d = 0; d < dim; ++d) {
      const float x = q.at(t, head * dim + d);
      scores[j] += 0.125 * (rounds ? fromBf16(toBf16(x)) : x) * pool.key(page, j % 16, kvHead, d);
    }
    largest = std::max(largest, scores[j]);
  }
  for (double &score : scores)
    sum += score = std::exp(score - largest);
  for (int64_t d = 0; d < dim; ++d) {
    const auto value = [&](int64_t j) {
      return pool.value(step.page(2, step.sequence[t], j), j % 16, kvHead, d);
    };
    for (int64_t j = from; j < keys; ++j)
      out[d].value += scores[j] / sum * value(j);
    for (int64_t j = from; j < keys; ++j)
      out[d].spread += scores[j] / sum * std::abs(value(j) - out[d].value);
  }
  return out;
}

TEST_P(AttentionTest, PlainAndQuantized) {
  struct Shape {
    int64_t dim, group, tokens;
  };
  const Shape shapes[] = {{64, 3, 16}, {40, 4, 8}, {32, 1, 1}};
  std::string text;
  for (const Shape &shape : shapes)
    for (const char *type : {"f32", "bf16"})
      text += fill(std::string(kPlain) + kQuantized,
                   {{"D", std::to_string(shape.dim)},
                    {"N", std::to_string(2 * shape.group * shape.dim)},
                    {"TOKENS", std::to_string(shape.tokens)},
                    {"CORE", type[0] == 'b' ? "bfloat16" : "float32"},
                    {"T", type}});
  Kernels kernels(text, GetParam());
  for (const Shape &shape : shapes)
    for (ElementType type : {ElementType::F32, ElementType::BF16}) {
      const std::string suffix =
          "_" + std::to_string(shape.dim) + (type == ElementType::F32 ? "_f32" : "_bf16");
      SCOPED_TRACE(suffix);
      // Levels that multiply pairs of bfloat16 round the query, and the weights by up to 2^-8.
      const bool rounds =
          type == ElementType::BF16 && GetParam().find("+bf16") != std::string::npos;
      Step step({0, 70, 3}, {19, 1, 5});
      const int64_t tokens = step.step.symbol, n = 2 * shape.group * shape.dim;
      Pool pool(type, shape.dim, step, random_);
      Tensor q = Tensor(ElementType::F32, tokens, n).randomize(random_);
      Tensor w = Tensor(ElementType::F32, 1, n).randomize(random_);
      Tensor plain(ElementType::F32, tokens, n), fused(ElementType::F32, tokens, n);
      Tensor quantized(ElementType::Q8_32, tokens, n);
      kernels.run("plain" + suffix, step, {q, pool.memory, plain});
      kernels.run("fused" + suffix, step, {q, pool.memory, w, fused, quantized});
      for (int64_t t = 0; t < tokens; ++t) {
        std::vector<float> row;
        for (int64_t head = 0; head < 2 * shape.group; ++head) {
          const std::vector<Mean> expected =
              attend(step, pool, q, t, head, shape.group, /*chunk=*/0, rounds);
          for (int64_t d = 0; d < shape.dim; ++d) {
            const int64_t j = head * shape.dim + d;
            ASSERT_NEAR(plain.at(t, j), expected[d].value,
                        1e-5 + (rounds ? expected[d].spread / 255 : 0))
                << t << " " << j;
            ASSERT_EQ(fused.at(t, j), plain.at(t, j) * w.at(0, j)) << t << " " << j;
            row.push_back(fused.at(t, j));
          }
        }
        const QuantizedRow want = quantize(row), got = readQuantized(quantized, t);
        ASSERT_EQ(got.quants, want.quants) << t;
        ASSERT_EQ(got.scales, want.scales);
        ASSERT_EQ(got.sums, want.sums);
        ASSERT_EQ(got.partSums, want.partSums);
      }
    }
}

/// Decodes and prefills around chunk borders; pages before a chunk are not there.
TEST_P(AttentionTest, Chunked) {
  const int64_t chunks[] = {16, 32, 48, 21, 100};
  std::string text;
  for (int64_t c : chunks)
    for (const char *tokens : {"1", "16"})
      text += fill(kChunked, {{"C", std::to_string(c)}, {"TOKENS", tokens}});
  Kernels kernels(text, GetParam());
  for (int64_t c : chunks) {
    SCOPED_TRACE(c);
    const auto n = static_cast<int32_t>(c);
    const std::vector<int64_t> past = {c - 1, c, c + 1, 2 * c, 5 * c, 8 * c, c - 5, 0, 3 * c - 1};
    Step step(past, {1, 1, 1, 1, 1, 1, 9, 2 * n, n + 3});
    for (size_t s = 0; s < past.size(); ++s)
      for (int64_t p = 0; p < past[s] / c * c / L4_PAGE_TOKENS; ++p)
        step.pages[2][static_cast<int64_t>(s) * step.step.page_stride[2] + p] = 0x7fffffff;
    const int64_t tokens = step.step.symbol;
    Pool pool(ElementType::F32, 20, step, random_);
    Tensor q = Tensor(ElementType::F32, tokens, 120).randomize(random_);
    Tensor out(ElementType::F32, tokens, 120), single(ElementType::F32, tokens, 120);
    kernels.run("chunked_" + std::to_string(c) + "_16", step, {q, pool.memory, out});
    kernels.run("chunked_" + std::to_string(c) + "_1", step, {q, pool.memory, single});
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t head = 0; head < 6; ++head) {
        const std::vector<Mean> expected = attend(step, pool, q, t, head, 3, c, /*rounds=*/false);
        for (int64_t d = 0; d < 20; ++d)
          ASSERT_NEAR(out.at(t, head * 20 + d), expected[d].value, 1e-5)
              << t << " " << head << " " << d;
      }
      ASSERT_EQ(std::memcmp(out.row<char>(t), single.row<char>(t), 480), 0) << t;
    }
  }
}

LLAMA4_FOR_ALL_LEVELS(AttentionTest);

} // namespace
} // namespace llama4::test
