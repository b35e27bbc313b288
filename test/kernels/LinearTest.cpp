//===- LinearTest.cpp - linears with epilogues against scalar code --------===//

#include "test/kernels/Weights.h"

#include <cmath>

namespace llama4::test {
namespace {

using pack::Encoding;

const int32_t kTokenCounts[] = {1, 2, 7, 63, 64, 65, 130};

/// Activation rows and the values that the core sees.
struct Input {
  Tensor tensor;
  std::vector<float> values; ///< [rows][k]
};

Input randomInput(ElementType type, int64_t rows, int64_t k, std::mt19937 &random) {
  Input input{Tensor(type, rows, k), {}};
  std::normal_distribution<float> normal;
  for (int64_t t = 0; t < rows; ++t) {
    std::vector<float> row(k);
    for (float &value : row)
      value = normal(random);
    if (isQuantizedRow(type)) {
      const int64_t block = type == ElementType::Q8_32 ? 32 : 128;
      const QuantizedRow quantized = quantize(row, type);
      writeQuantized(input.tensor, t, quantized);
      for (int64_t j = 0; j < k; ++j)
        input.values.push_back(quantized.scales[j / block] *
                               static_cast<float>(quantized.quants[j]));
      continue;
    }
    for (int64_t j = 0; j < k; ++j) {
      input.tensor.set(t, j, row[j]);
      input.values.push_back(input.tensor.at(t, j));
    }
  }
  return input;
}

/// The dot product of input row `t` and weight row `n`, and the sum of magnitudes for tolerances.
double dot(const Input &input, const Weight &weight, int64_t t, int64_t n, int64_t k,
           double *magnitude) {
  double sum = 0, absolute = 0;
  for (int64_t i = 0; i < k; ++i) {
    const double product = double(input.values[t * k + i]) * weight.at(n, i, k);
    sum += product;
    absolute += std::fabs(product);
  }
  *magnitude = absolute;
  return sum;
}

class LinearTest : public LevelTest {};

TEST_P(LinearTest, PlainInEveryEncoding) {
  struct Pair {
    const char *activation, *weight, *core;
    ElementType type;
    Encoding encoding;
  };
  const Pair pairs[] = {
      {"f32", "f32", "l4_linear_f32_float32", ElementType::F32, Encoding::Float32},
      {"f32", "bf16", "l4_linear_f32_bfloat16", ElementType::F32, Encoding::BFloat16},
      {"f32", "!lm.block<q8_0>", "l4_linear_f32_q8_0", ElementType::F32, Encoding::Q8_0},
      {"f32", "!lm.block<q4_1>", "l4_linear_f32_q4_1", ElementType::F32, Encoding::Q4_1},
      {"bf16", "bf16", "l4_linear_bf16_bfloat16", ElementType::BF16, Encoding::BFloat16},
      {"!lm.block<q8_32>", "!lm.block<q8_0>", "l4_linear_q8_q8_0", ElementType::Q8_32,
       Encoding::Q8_0},
      {"!lm.block<q8_32>", "!lm.block<q4_1>", "l4_linear_q8_q4_1", ElementType::Q8_32,
       Encoding::Q4_1},
      {"f32", "!lm.block<int4_g128>", "l4_linear_f32_int4_g128", ElementType::F32,
       Encoding::Int4_G128},
      {"!lm.block<q8_128>", "!lm.block<int4_g128>", "l4_linear_q8_128_int4_g128",
       ElementType::Q8_128, Encoding::Int4_G128},
  };
  const int64_t k = 1152, n = 40;
  std::string text;
  for (const Pair &pair : pairs)
    text += fill(R"(
cmd.kernel @plain_$CORE grid affine_map<(T) -> ((T ceildiv 64) * 3)> {
^bb0(%x: tensor<?x1152x$A>, %w: tensor<40x1152x$E>):
  %0 = lm.linear %x, %w core <"$CORE", tokens = 64>
      : tensor<?x1152x$A>, tensor<40x1152x$E> -> tensor<?x40xf32>
  cmd.yield %0 : tensor<?x40xf32>
}
)",
                 {{"CORE", pair.core}, {"A", pair.activation}, {"E", pair.weight}});
  Kernels kernels(text, GetParam());
  for (const Pair &pair : pairs) {
    const Weight weight = randomWeight(pair.encoding, n, k, random_);
    for (int32_t tokens : kTokenCounts) {
      SCOPED_TRACE(std::string(pair.core) + " " + std::to_string(tokens));
      const Input input = randomInput(pair.type, tokens, k, random_);
      Tensor out(ElementType::F32, tokens, n);
      kernels.run(std::string("plain_") + pair.core, Step(tokens),
                  {input.tensor, weight.packed, out});
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t j = 0; j < n; ++j) {
          double magnitude;
          const double expected = dot(input, weight, t, j, k, &magnitude);
          ASSERT_NEAR(out.at(t, j), expected, 2e-6 * magnitude) << t << " " << j;
        }
    }
  }
}

/// silu(gate) * up, quantized, over segments of different encodings; 72 columns: the last unit and
/// its last block are cut.
TEST_P(LinearTest, GatePairQuantized) {
  Kernels kernels(R"(
cmd.kernel @gate grid affine_map<(T) -> ((T ceildiv 8) * 3)> {
^bb0(%x: tensor<?x64xf32>, %g: tensor<72x64x!lm.block<q4_1>>, %u: tensor<72x64xbf16>):
  %0, %1 = lm.linear %x, %g, %u groups [2] core <"l4_linear_f32_q4_1", tokens = 8>
      : tensor<?x64xf32>, tensor<72x64x!lm.block<q4_1>>, tensor<72x64xbf16>
      -> tensor<?x72xf32>, tensor<?x72x!lm.block<q8_32>> epilogue {
  ^bb0(%a: f32, %b: f32):
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %one = arith.constant 1.0 : f32
    %d = arith.addf %one, %e : f32
    %s = arith.divf %a, %d : f32
    %p = arith.mulf %s, %b : f32
    lm.yield %p, %p : f32, f32
  }
  cmd.yield %0, %1 : tensor<?x72xf32>, tensor<?x72x!lm.block<q8_32>>
})",
                  GetParam());
  const int64_t k = 64, n = 72;
  const Weight gate = randomWeight(Encoding::Q4_1, n, k, random_);
  const Weight up = randomWeight(Encoding::BFloat16, n, k, random_);
  for (int32_t tokens : {1, 8, 21}) {
    const Input input = randomInput(ElementType::F32, tokens, k, random_);
    Tensor out(ElementType::F32, tokens, n), quantized(ElementType::Q8_32, tokens, n);
    kernels.run("gate", Step(tokens), {input.tensor, gate.packed, up.packed, out, quantized});
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<float> row;
      for (int64_t j = 0; j < n; ++j) {
        double gateSize, upSize;
        const double g = dot(input, gate, t, j, k, &gateSize);
        const double u = dot(input, up, t, j, k, &upSize);
        const double expected = g / (1 + std::exp(-g)) * u;
        ASSERT_NEAR(out.at(t, j), expected, 4e-6 * (gateSize * std::fabs(u) + upSize)) << j;
        row.push_back(out.at(t, j));
      }
      const QuantizedRow want = quantize(row), got = readQuantized(quantized, t);
      ASSERT_EQ(got.quants, want.quants) << t;
      ASSERT_EQ(got.scales, want.scales);
      ASSERT_EQ(got.scaledSums, want.scaledSums);
      ASSERT_EQ(got.sums, want.sums);
      ASSERT_EQ(got.partSums, want.partSums);
    }
    // The last row alone gives the same bits.
    Tensor row(ElementType::F32, 1, k), alone(ElementType::F32, 1, n);
    std::memcpy(row.data(), input.tensor.row<char>(tokens - 1), row.bytes());
    kernels.run("gate", Step(1),
                {row, gate.packed, up.packed, alone, Tensor(ElementType::Q8_32, 1, n)});
    EXPECT_EQ(std::memcmp(alone.data(), out.row<char>(tokens - 1), n * 4), 0) << tokens;
  }
}

/// A product that is quantized in blocks of 128 on its way to memory: units of as many columns, the
/// last one cut.
TEST_P(LinearTest, ProductInBlocksOf128) {
  Kernels kernels(R"(
cmd.kernel @wide grid affine_map<(T) -> ((T ceildiv 8) * 3)> {
^bb0(%x: tensor<?x128x!lm.block<q8_128>>, %w: tensor<300x128x!lm.block<int4_g128>>):
  %0, %1 = lm.linear %x, %w core <"l4_linear_q8_128_int4_g128", tokens = 8>
      : tensor<?x128x!lm.block<q8_128>>, tensor<300x128x!lm.block<int4_g128>>
      -> tensor<?x300xf32>, tensor<?x300x!lm.block<q8_128>> epilogue {
  ^bb0(%a: f32):
    %p = arith.mulf %a, %a : f32
    lm.yield %p, %p : f32, f32
  }
  cmd.yield %0, %1 : tensor<?x300xf32>, tensor<?x300x!lm.block<q8_128>>
})",
                  GetParam());
  const int64_t k = 128, n = 300;
  const Weight weight = randomWeight(Encoding::Int4_G128, n, k, random_);
  for (int32_t tokens : {1, 8, 21}) {
    const Input input = randomInput(ElementType::Q8_128, tokens, k, random_);
    Tensor out(ElementType::F32, tokens, n), quantized(ElementType::Q8_128, tokens, n);
    kernels.run("wide", Step(tokens), {input.tensor, weight.packed, out, quantized});
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<float> row;
      for (int64_t j = 0; j < n; ++j) {
        double magnitude;
        const double expected = dot(input, weight, t, j, k, &magnitude);
        ASSERT_NEAR(out.at(t, j), expected * expected, 4e-6 * magnitude * magnitude) << j;
        row.push_back(out.at(t, j));
      }
      const QuantizedRow want = quantize(row, ElementType::Q8_128);
      const QuantizedRow got = readQuantized(quantized, t);
      ASSERT_EQ(got.quants, want.quants) << t;
      ASSERT_EQ(got.scales, want.scales);
      ASSERT_EQ(got.sums, want.sums);
      ASSERT_EQ(got.partSums, want.partSums);
    }
  }
}

/// An epilogue that no model has, beside a group without one and a bfloat16 result.
TEST_P(LinearTest, AnyEpilogue) {
  Kernels kernels(R"(
cmd.kernel @odd grid affine_map<(T) -> ((T ceildiv 16) * 6)> {
^bb0(%x: tensor<?x33xbf16>, %bias: tensor<20xf32>, %w0: tensor<20x33xbf16>,
     %w1: tensor<17x33xbf16>, %w2: tensor<32x33xf32>, %res: tensor<?x20xf32>):
  %0, %1, %2 = lm.linear %x, %w0, %w1, %w2 core <"l4_linear_bf16_bfloat16", tokens = 16>
      : tensor<?x33xbf16>, tensor<20x33xbf16>, tensor<17x33xbf16>, tensor<32x33xf32>
      -> tensor<?x20xf32>, tensor<?x17xf32>, tensor<?x32xbf16> epilogue {
  ^bb0(%a: f32):
    %zero = arith.constant 0.0 : f32
    %c = arith.constant -2.5 : f32
    %positive = arith.cmpf ogt, %a, %zero : f32
    %m = arith.select %positive, %a, %zero : f32
    %s = arith.mulf %m, %c : f32
    %b = lm.element %bias : tensor<20xf32>
    %y = arith.addf %s, %b : f32
    %r = lm.element %res : tensor<?x20xf32>
    %z = arith.addf %y, %r : f32
    lm.yield %z : f32
  }, {
  ^bb0(%a: f32):
    lm.yield %a : f32
  }, {
  ^bb0(%a: f32):
    lm.yield %a : f32
  }
  cmd.yield %0, %1, %2 : tensor<?x20xf32>, tensor<?x17xf32>, tensor<?x32xbf16>
})",
                  GetParam());
  const int64_t k = 33;
  const Weight w0 = randomWeight(Encoding::BFloat16, 20, k, random_);
  const Weight w1 = randomWeight(Encoding::BFloat16, 17, k, random_);
  const Weight w2 = randomWeight(Encoding::Float32, 32, k, random_);
  Tensor bias = Tensor(ElementType::F32, 1, 20).randomize(random_);
  for (int32_t tokens : {1, 16, 35}) {
    const Input input = randomInput(ElementType::BF16, tokens, k, random_);
    Tensor res = Tensor(ElementType::F32, tokens, 20).randomize(random_);
    Tensor y0(ElementType::F32, tokens, 20), y1(ElementType::F32, tokens, 17);
    Tensor y2(ElementType::BF16, tokens, 32);
    kernels.run("odd", Step(tokens),
                {input.tensor, bias, w0.packed, w1.packed, w2.packed, res, y0, y1, y2});
    for (int64_t t = 0; t < tokens; ++t) {
      double size;
      for (int64_t j = 0; j < 20; ++j) {
        const double expected =
            std::max(dot(input, w0, t, j, k, &size), 0.0) * -2.5 + bias.at(0, j) + res.at(t, j);
        ASSERT_NEAR(y0.at(t, j), expected, 5e-6 * (size + 1)) << t << " " << j;
      }
      for (int64_t j = 0; j < 17; ++j) {
        const double expected = dot(input, w1, t, j, k, &size);
        ASSERT_NEAR(y1.at(t, j), expected, 2e-6 * size) << t << " " << j;
      }
      for (int64_t j = 0; j < 32; ++j) {
        const double expected = dot(input, w2, t, j, k, &size);
        ASSERT_NEAR(y2.at(t, j), expected, std::fabs(expected) / 256 + 2e-6 * size);
      }
    }
  }
}

/// Query, key and value projections with RoPE on two of them and the write of keys and values.
/// Heads of 40 make units of 80 columns, of which the last one is half.
const char *const kQkv = R"(
cmd.kernel @qkv_$D grid affine_map<(T) -> ((T ceildiv 4) * $UNITS)> {
^bb0(%x: tensor<?x32xf32>, %wq: tensor<$Nx32xf32>, %wk: tensor<$Nx32xf32>, %wv: tensor<$Nx32xf32>,
     %cos: tensor<?x$Hxf32>, %sin: tensor<?x$Hxf32>, %batch: !lm.batch,
     %kv: !lm.kv_layer<kind = 0, heads = 3, dim = $D, f32>):
  %0 = lm.linear %x, %wq, %wk, %wv core <"l4_linear_f32_float32", tokens = 4>
      : tensor<?x32xf32>, tensor<$Nx32xf32>, tensor<$Nx32xf32>, tensor<$Nx32xf32>
      -> tensor<?x$Nxf32> epilogue {
  ^bb0(%a: f32):
    %c = lm.element %cos at affine_map<(j) -> (j mod $H)> : tensor<?x$Hxf32>
    %s = lm.element %sin at affine_map<(j) -> (j mod $H)> : tensor<?x$Hxf32>
    %r = lm.rotate half %a, $D
    %ac = arith.mulf %a, %c : f32
    %rs = arith.mulf %r, %s : f32
    %o = arith.addf %ac, %rs : f32
    lm.yield %o : f32
  }, {
  ^bb0(%a: f32):
    %c = lm.element %cos at affine_map<(j) -> (j mod $H)> : tensor<?x$Hxf32>
    %s = lm.element %sin at affine_map<(j) -> (j mod $H)> : tensor<?x$Hxf32>
    %two = arith.constant 2.0 : f32
    %b = arith.mulf %a, %two : f32
    %r = lm.rotate half %b, $D
    %bc = arith.mulf %b, %c : f32
    %rs = arith.mulf %r, %s : f32
    %o = arith.addf %bc, %rs : f32
    lm.kv_put key %o into %kv, %batch : !lm.kv_layer<kind = 0, heads = 3, dim = $D, f32>
    lm.yield
  }, {
  ^bb0(%a: f32):
    lm.kv_put value %a into %kv, %batch : !lm.kv_layer<kind = 0, heads = 3, dim = $D, f32>
    lm.yield
  }
  cmd.yield %0 : tensor<?x$Nxf32>
}
)";

TEST_P(LinearTest, RopeAndKvWrite) {
  struct Shape {
    int64_t dim, units;
  };
  // Units: q and k in heads (64) or pairs of heads (40), v in panels of 16.
  const Shape shapes[] = {{64, 3 + 3 + 12}, {40, 2 + 2 + 8}};
  std::string text;
  for (const Shape &shape : shapes)
    text += fill(kQkv, {{"D", std::to_string(shape.dim)},
                        {"N", std::to_string(3 * shape.dim)},
                        {"H", std::to_string(shape.dim / 2)},
                        {"UNITS", std::to_string(shape.units)}});
  Kernels kernels(text, GetParam());
  for (const Shape &shape : shapes) {
    SCOPED_TRACE(shape.dim);
    const int64_t k = 32, dim = shape.dim, n = 3 * dim, half = dim / 2;
    const Weight wq = randomWeight(Encoding::Float32, n, k, random_);
    const Weight wk = randomWeight(Encoding::Float32, n, k, random_);
    const Weight wv = randomWeight(Encoding::Float32, n, k, random_);
    Step step({3, 40}, {9, 2});
    const int64_t tokens = step.step.symbol;
    const Input input = randomInput(ElementType::F32, tokens, k, random_);
    Tensor cos = Tensor(ElementType::F32, tokens, half).randomize(random_);
    Tensor sin = Tensor(ElementType::F32, tokens, half).randomize(random_);
    const int64_t pageBytes = kvPageBytes(ElementType::F32, 3, static_cast<uint32_t>(dim));
    Tensor pool(pageBytes * step.numPages(0)), q(ElementType::F32, tokens, n);
    kernels.run("qkv_" + std::to_string(dim), step,
                {input.tensor, wq.packed, wk.packed, wv.packed, cos, sin, pool, q});
    const int64_t padded = (dim + 15) / 16 * 16;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t j = 0; j < n; ++j) {
        double size, otherSize;
        const bool first = j % dim < half;
        const int64_t other = first ? j + half : j - half, pair = j % half;
        auto rope = [&](const Weight &w) {
          const double partner = dot(input, w, t, other, k, &otherSize) * (first ? -1 : 1);
          return dot(input, w, t, j, k, &size) * cos.at(t, pair) + partner * sin.at(t, pair);
        };
        ASSERT_NEAR(q.at(t, j), rope(wq), 4e-6 * (size + otherSize) * 4) << t << " " << j;
        const int64_t slot = step.position[t] % 16;
        const char *page = static_cast<char *>(pool.data()) +
                           step.page(0, step.sequence[t], step.position[t]) * pageBytes;
        const auto *values = reinterpret_cast<const float *>(page);
        ASSERT_NEAR(values[j * 16 + slot], 2 * rope(wk), 8e-6 * (size + otherSize) * 4);
        ASSERT_NEAR(values[n * 16 + (j / dim * 16 + slot) * padded + j % dim],
                    dot(input, wv, t, j, k, &size), 2e-6 * size + 1e-7);
      }
  }
}

TEST_P(LinearTest, EmbeddingRows) {
  const char *const types[] = {"f32", "bf16", "!lm.block<q8_0>", "!lm.block<q4_1>"};
  std::string text;
  for (int i = 0; i < 4; ++i)
    text += fill(R"(
cmd.kernel @embed_$I grid affine_map<(T) -> (T)> {
^bb0(%ids: tensor<?xi32>, %w: tensor<50x64x$E>):
  %0 = lm.embed %ids, %w : tensor<?xi32>, tensor<50x64x$E> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
)",
                 {{"I", std::to_string(i)}, {"E", types[i]}});
  Kernels kernels(text, GetParam());
  const int32_t ids[] = {49, 0, 16, 15, 49};
  Tensor idTensor(ElementType::I32, 5, 0);
  std::memcpy(idTensor.data(), ids, sizeof(ids));
  for (int i = 0; i < 4; ++i) {
    const Weight weight = randomWeight(static_cast<Encoding>(i), 50, 64, random_);
    Tensor out(ElementType::F32, 5, 64);
    kernels.run("embed_" + std::to_string(i), Step(5), {idTensor, weight.packed, out});
    for (int64_t t = 0; t < 5; ++t)
      for (int64_t j = 0; j < 64; ++j)
        ASSERT_EQ(out.at(t, j), weight.at(ids[t], j, 64)) << i;
  }
}

LLAMA4_FOR_ALL_LEVELS(LinearTest);

} // namespace
} // namespace llama4::test
