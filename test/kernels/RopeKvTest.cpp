//===- RopeKvTest.cpp - rotations and pages in row kernels ----------------===//

#include "test/kernels/Harness.h"
#include "test/kernels/KvPlaces.h"

#include <cmath>

namespace llama4::test {
namespace {

class RopeKvTest : public LevelTest {};

/// RoPE's partner of column `j` with its sign, in heads of `dim`.
float partner(const std::vector<float> &row, int64_t j, int64_t dim, bool half) {
  if (!half)
    return j % 2 == 0 ? -row[j + 1] : row[j - 1];
  return j % dim < dim / 2 ? -row[j + dim / 2] : row[j - dim / 2];
}

/// Rotates x, read from memory, and y = x * w (w per row of the first reduction), which is not.
const char *const kRope = R"(
cmd.kernel @rope_$STYLE_$D_$T grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wx$T>, %cos: tensor<?x$Hxf32>, %sin: tensor<?x$Hxf32>, %w: tensor<$Wxf32>):
  %0, %1 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wx$T>
    %c = lm.element %cos at affine_map<(j) -> ($INDEX)> : tensor<?x$Hxf32>
    %s = lm.element %sin at affine_map<(j) -> ($INDEX)> : tensor<?x$Hxf32>
    %r = lm.rotate $STYLE %a, $D
    %ac = arith.mulf %a, %c : f32
    %rs = arith.mulf %r, %s : f32
    %o = arith.addf %ac, %rs : f32
    %e = lm.element %w : tensor<$Wxf32>
    %b = arith.mulf %a, %e : f32
    %q = lm.rotate $STYLE %b, $D
    lm.yield %o, %q : f32, f32
  } -> tensor<?x$Wxf32>, tensor<?x$Wxf32>
  cmd.yield %0, %1 : tensor<?x$Wxf32>, tensor<?x$Wxf32>
}
)";

TEST_P(RopeKvTest, RotationsOfEveryHead) {
  const int64_t heads = 3, tokens = 4;
  const int64_t dims[] = {64, 32, 40, 128, 2, 6};
  std::string text;
  for (int64_t dim : dims)
    for (bool half : {true, false})
      for (const char *type : {"f32", "bf16"}) {
        std::string pairs = "(j mod " + std::to_string(dim) + ") floordiv 2";
        text += fill(kRope, {{"STYLE", half ? "half" : "pairs"},
                             {"INDEX", half ? "j mod " + std::to_string(dim / 2) : pairs},
                             {"D", std::to_string(dim)},
                             {"W", std::to_string(dim * heads)},
                             {"H", std::to_string(dim / 2)},
                             {"T", type}});
      }
  Kernels kernels(text, GetParam());
  for (int64_t dim : dims)
    for (bool half : {true, false})
      for (ElementType type : {ElementType::F32, ElementType::BF16}) {
        const std::string name = std::string("rope_") + (half ? "half_" : "pairs_") +
                                 std::to_string(dim) +
                                 (type == ElementType::F32 ? "_f32" : "_bf16");
        SCOPED_TRACE(name);
        const int64_t width = dim * heads;
        Tensor x = Tensor(type, tokens, width).randomize(random_);
        Tensor cos = Tensor(ElementType::F32, tokens, dim / 2).randomize(random_);
        Tensor sin = Tensor(ElementType::F32, tokens, dim / 2).randomize(random_);
        Tensor w = Tensor(ElementType::F32, 1, width).randomize(random_);
        Tensor out(ElementType::F32, tokens, width), turned(ElementType::F32, tokens, width);
        kernels.run(name, Step(tokens), {x, cos, sin, w, out, turned});
        for (int64_t t = 0; t < tokens; ++t) {
          std::vector<float> row, scaled;
          for (int64_t j = 0; j < width; ++j) {
            row.push_back(x.at(t, j));
            scaled.push_back(x.at(t, j) * w.at(0, j));
          }
          for (int64_t j = 0; j < width; ++j) {
            const int64_t pair = half ? j % (dim / 2) : j % dim / 2;
            const float kept = row[j] * cos.at(t, pair);
            const float rotated = partner(row, j, dim, half) * sin.at(t, pair);
            ASSERT_EQ(out.at(t, j), kept + rotated) << t << " " << j;
            ASSERT_EQ(turned.at(t, j), partner(scaled, j, dim, half)) << t << " " << j;
          }
        }
      }
}

const char *const kKvPut = R"(
cmd.kernel @put_$D_$T grid affine_map<(T) -> (T)> {
^bb0(%k: tensor<?x$Wxf32>, %batch: !lm.batch, %v: tensor<?x$Wxf32>,
     %kv: !lm.kv_layer<kind = 1, heads = 3, dim = $D, $T>):
  lm.row $W {
    %a = lm.element %k : tensor<?x$Wxf32>
    %b = lm.element %v : tensor<?x$Wxf32>
    lm.kv_put key %a into %kv, %batch : !lm.kv_layer<kind = 1, heads = 3, dim = $D, $T>
    lm.kv_put value %b into %kv, %batch : !lm.kv_layer<kind = 1, heads = 3, dim = $D, $T>
    lm.yield
  }
  cmd.yield
}
)";

TEST_P(RopeKvTest, KeysAndValuesLandInTheirPages) {
  const int64_t heads = 3, dims[] = {64, 40, 16, 18};
  std::string text;
  for (int64_t dim : dims)
    for (const char *type : {"f32", "bf16"})
      text += fill(kKvPut,
                   {{"D", std::to_string(dim)}, {"W", std::to_string(dim * heads)}, {"T", type}});
  Kernels kernels(text, GetParam());
  for (int64_t dim : dims)
    for (ElementType type : {ElementType::F32, ElementType::BF16}) {
      const bool narrow = type == ElementType::BF16;
      const std::string name = "put_" + std::to_string(dim) + (narrow ? "_bf16" : "_f32");
      SCOPED_TRACE(name);
      Step step({5, 30, 0}, {14, 1, 20});
      const int64_t tokens = step.step.symbol, width = dim * heads;
      Tensor k = Tensor(ElementType::F32, tokens, width).randomize(random_);
      Tensor v = Tensor(ElementType::F32, tokens, width).randomize(random_);
      const size_t pageBytes = kvPageBytes(type, 3, static_cast<uint32_t>(dim));
      Tensor pool(pageBytes * step.numPages(1));
      std::vector<char> before(static_cast<char *>(pool.data()),
                               static_cast<char *>(pool.data()) + pool.bytes());
      kernels.run(name, step, {k, v, pool});
      // Write what should be there into the old bytes, element by element; the rest is untouched.
      const KvPlaces places = {heads, dim, narrow};
      const int64_t bytes = narrow ? 2 : 4;
      auto put = [&](int64_t element, int64_t page, float value) {
        const uint16_t bits = toBf16(value);
        std::memcpy(&before[page * pageBytes + element * bytes],
                    narrow ? static_cast<const void *>(&bits) : &value, bytes);
      };
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t j = 0; j < width; ++j) {
          const int64_t page = step.page(1, step.sequence[t], step.position[t]);
          const int64_t slot = step.position[t] % 16, head = j / dim, d = j % dim;
          put(places.key(head, slot, d), page, k.at(t, j));
          put(places.value(head, slot, d), page, v.at(t, j));
        }
      EXPECT_EQ(std::memcmp(before.data(), pool.data(), before.size()), 0);
    }
}

LLAMA4_FOR_ALL_LEVELS(RopeKvTest);

} // namespace
} // namespace llama4::test
