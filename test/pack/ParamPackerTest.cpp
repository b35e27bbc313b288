//===- ParamPackerTest.cpp - checkpoint tensors to packed weights ---------===//

#include "compiler/pack/ParamPacker.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

using namespace llama4;
using namespace llama4::pack;

namespace {

/// A float32 tensor and the values that it views.
struct Stored {
  Stored(std::vector<int64_t> shape, std::vector<float> numbers) : values(std::move(numbers)) {
    tensor.name = "blk.0.attn_q";
    tensor.shape = std::move(shape);
    tensor.bytes = std::as_bytes(std::span(values));
  }
  std::vector<float> values;
  SourceTensor tensor;
};

std::vector<float> counted(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

/// A parameter of one tensor and how to pack it.
struct Param {
  Param(const Stored &stored, int64_t rows, int64_t cols) : stored(stored) {
    spec.rows = rows;
    spec.cols = cols;
    source.name = "q";
    source.source = stored.tensor.name;
    source.shape = rows == 1 ? std::vector{cols} : std::vector{rows, cols};
  }
  Result<SourceParam> find() const {
    return SourceParam::find(source, [&](std::string_view name) {
      return name == stored.tensor.name ? &stored.tensor : nullptr;
    });
  }
  const Stored &stored;
  SourceSpec source;
  ParamSpec spec;
};

/// All packed bytes; the sink's order is the file's.
Result<std::vector<std::byte>> packed(const Param &param, unsigned threads = 1) {
  LLAMA4_ASSIGN_OR_RETURN(SourceParam source, param.find());
  std::vector<std::byte> out;
  LLAMA4_RETURN_IF_ERROR(packParam(
      param.spec, source,
      [&](std::span<const std::byte> bytes) -> Status {
        out.insert(out.end(), bytes.begin(), bytes.end());
        return {};
      },
      threads));
  return out;
}

std::vector<float> floats(std::span<const std::byte> bytes, size_t count) {
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(float));
  return values;
}

} // namespace

TEST(ParamPacker, AnyNumberOfThreadsGivesTheSameBytes) {
  Stored stored({700, 64}, counted(700 * 64)); // several blocks of rows and a part of one
  Param param(stored, 700, 64);
  param.spec.panels = true;
  param.spec.encoding = Encoding::Q8_0;
  auto one = packed(param);
  ASSERT_TRUE(one.ok()) << one.status().message();
  ASSERT_EQ(one->size(), paramBytes(param.spec));
  for (unsigned threads : {2u, 3u, 16u}) {
    auto many = packed(param, threads);
    ASSERT_TRUE(many.ok()) << many.status().message();
    EXPECT_EQ(*many, *one) << threads << " threads";
  }
}

TEST(ParamPacker, PutsPermutedRowsBack) {
  Stored stored({4, 3}, counted(12)); // one head of four rows, stored 0, 2, 1, 3
  Param param(stored, 4, 3);
  param.source.unpermuteHeads = 1;
  param.spec.panels = true;
  auto bytes = packed(param);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  ASSERT_EQ(bytes->size(), paramBytes(param.spec));
  const float expected[] = {0, 6, 3, 9}; // first elements of the rows
  for (int64_t row = 0; row < 4; ++row) {
    std::vector<std::byte> source(sourceRowBytes(Encoding::Float32, 3));
    unpackRow(Encoding::Float32, *bytes, row, 3, source);
    EXPECT_EQ(floats(source, 1)[0], expected[row]) << row;
  }
}

TEST(ParamPacker, PutsElementsOfPermutedBiasBack) {
  // Two heads of four: a bias is permuted like the rows of its matrix.
  Stored stored({8}, counted(8));
  Param param(stored, 1, 8);
  param.source.unpermuteHeads = 2;
  auto bytes = packed(param);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  ASSERT_EQ(bytes->size(), paramBytes(param.spec));
  EXPECT_EQ(floats(*bytes, 8), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST(ParamPacker, RefusesHeadsThatDoNotFit) {
  Stored matrix({6, 2}, counted(12)), vector({6}, counted(6));
  for (int64_t heads : {4, 2, 7, -1, -3}) {
    for (auto [stored, rows, cols] : {std::tuple(&matrix, 6, 2), std::tuple(&vector, 1, 6)}) {
      Param param(*stored, rows, cols);
      param.spec.panels = rows > 1;
      param.source.unpermuteHeads = heads;
      auto bytes = packed(param);
      ASSERT_FALSE(bytes.ok()) << heads;
      EXPECT_EQ(bytes.status().kind(), StatusKind::InvalidInput);
      EXPECT_NE(bytes.status().message().find("blk.0.attn_q"), std::string::npos);
    }
  }
}

TEST(ParamPacker, RefusesATransposedMatrix) {
  // As many elements as expected are not enough: the columns must be the columns.
  Stored stored({3, 4}, counted(12));
  Param param(stored, 4, 3);
  param.spec.panels = true;
  auto bytes = packed(param);
  ASSERT_FALSE(bytes.ok());
  EXPECT_NE(bytes.status().message().find("[3, 4]"), std::string::npos) << bytes.status().message();
}

constexpr Encoding kBlockEncodings[] = {Encoding::Q8_0, Encoding::Q4_1, Encoding::Q4_0,
                                        Encoding::Q5_0, Encoding::Q4_K, Encoding::Q6_K};

TEST(ParamPacker, RefusesWhatBlocksCannotHold) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float bad : {std::nanf(""), infinity, -infinity, 1.0e6f}) {
    std::vector<float> values = counted(512);
    values[45] = bad;
    Stored stored({2, 256}, values);
    for (Encoding encoding : kBlockEncodings) {
      Param param(stored, 2, 256);
      param.spec.panels = true;
      param.spec.encoding = encoding;
      auto bytes = packed(param);
      ASSERT_FALSE(bytes.ok()) << bad;
      EXPECT_EQ(bytes.status().kind(), StatusKind::InvalidInput);
      EXPECT_NE(bytes.status().message().find("blk.0.attn_q"), std::string::npos);
    }
    // The floating-point formats keep what is stored.
    Param param(stored, 2, 256);
    param.spec.panels = true;
    EXPECT_TRUE(packed(param).ok());
  }
}

TEST(ParamPacker, RefusesColumnsThatAreNoWholeBlocks) {
  for (Encoding encoding : kBlockEncodings)
    for (int64_t cols : {16, 32, 128, 256, 288}) {
      Stored stored({2, cols}, counted(static_cast<size_t>(2 * cols)));
      Param param(stored, 2, cols);
      param.spec.panels = true;
      param.spec.encoding = encoding;
      auto bytes = packed(param);
      const int64_t block = microkernels::blockSize(encoding).columns;
      ASSERT_EQ(bytes.ok(), cols % block == 0) << cols;
      if (!bytes.ok())
        EXPECT_EQ(bytes.status().message(),
                  "tensor \"blk.0.attn_q\": found " + std::to_string(cols) +
                      " columns, expected a multiple of " + std::to_string(block) +
                      " to store as " + std::string(microkernels::encodingName(encoding)) +
                      "; choose an encoding of smaller blocks for it.");
    }
}

TEST(ParamPacker, StopsAtTheFirstErrorOfTheSink) {
  Stored stored({40, 2}, counted(80));
  Param param(stored, 40, 2);
  param.spec.panels = true;
  auto source = param.find();
  ASSERT_TRUE(source.ok()) << source.status().message();
  int calls = 0;
  Status status = packParam(param.spec, *source, [&](std::span<const std::byte>) {
    ++calls;
    return Status::error(StatusKind::Io, "disk full.");
  });
  EXPECT_EQ(status.kind(), StatusKind::Io);
  EXPECT_EQ(calls, 1);
}
