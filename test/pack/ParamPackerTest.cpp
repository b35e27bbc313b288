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

ParamSpec specOf(const Stored &stored, int64_t rows, int64_t cols) {
  ParamSpec spec;
  spec.source = &stored.tensor;
  spec.rows = rows;
  spec.cols = cols;
  return spec;
}

/// All packed bytes; the sink's order is the file's.
Result<std::vector<std::byte>> packed(const ParamSpec &spec) {
  std::vector<std::byte> out;
  LLAMA4_RETURN_IF_ERROR(packParam(spec, [&](std::span<const std::byte> bytes) -> Status {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return {};
  }));
  return out;
}

std::vector<float> floats(std::span<const std::byte> bytes, size_t count) {
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(float));
  return values;
}

} // namespace

TEST(ParamPacker, PutsPermutedRowsBack) {
  Stored stored({4, 3}, counted(12)); // one head of four rows, stored 0, 2, 1, 3
  ParamSpec spec = specOf(stored, 4, 3);
  spec.unpermuteHeads = 1;
  spec.panels = true;
  auto bytes = packed(spec);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  ASSERT_EQ(bytes->size(), paramBytes(spec));
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
  ParamSpec spec = specOf(stored, 1, 8);
  spec.unpermuteHeads = 2;
  auto bytes = packed(spec);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  ASSERT_EQ(bytes->size(), paramBytes(spec));
  EXPECT_EQ(floats(*bytes, 8), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST(ParamPacker, RefusesHeadsThatDoNotFit) {
  Stored matrix({6, 2}, counted(12)), vector({6}, counted(6));
  for (int64_t heads : {4, 2, 7, -1, -3}) {
    for (auto [stored, rows, cols] : {std::tuple(&matrix, 6, 2), std::tuple(&vector, 1, 6)}) {
      ParamSpec spec = specOf(*stored, rows, cols);
      spec.panels = rows > 1;
      spec.unpermuteHeads = heads;
      auto bytes = packed(spec);
      ASSERT_FALSE(bytes.ok()) << heads;
      EXPECT_EQ(bytes.status().kind(), StatusKind::InvalidInput);
      EXPECT_NE(bytes.status().message().find("blk.0.attn_q"), std::string::npos);
    }
  }
}

TEST(ParamPacker, RefusesATransposedMatrix) {
  // As many elements as expected are not enough: the columns must be the columns.
  Stored stored({3, 4}, counted(12));
  ParamSpec spec = specOf(stored, 4, 3);
  spec.panels = true;
  auto bytes = packed(spec);
  ASSERT_FALSE(bytes.ok());
  EXPECT_NE(bytes.status().message().find("[3, 4]"), std::string::npos) << bytes.status().message();
}

TEST(ParamPacker, RefusesWhatBlocksCannotHold) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float bad : {std::nanf(""), infinity, -infinity, 1.0e6f}) {
    std::vector<float> values = counted(64);
    values[45] = bad;
    Stored stored({2, 32}, values);
    for (Encoding encoding : {Encoding::Q8_0, Encoding::Q4_1}) {
      ParamSpec spec = specOf(stored, 2, 32);
      spec.panels = true;
      spec.encoding = encoding;
      auto bytes = packed(spec);
      ASSERT_FALSE(bytes.ok()) << bad;
      EXPECT_EQ(bytes.status().kind(), StatusKind::InvalidInput);
      EXPECT_NE(bytes.status().message().find("blk.0.attn_q"), std::string::npos);
    }
    // The floating-point formats keep what is stored.
    ParamSpec spec = specOf(stored, 2, 32);
    spec.panels = true;
    EXPECT_TRUE(packed(spec).ok());
  }
}

TEST(ParamPacker, StopsAtTheFirstErrorOfTheSink) {
  Stored stored({40, 2}, counted(80));
  ParamSpec spec = specOf(stored, 40, 2);
  spec.panels = true;
  int calls = 0;
  Status status = packParam(spec, [&](std::span<const std::byte>) {
    ++calls;
    return Status::error(StatusKind::Io, "disk full.");
  });
  EXPECT_EQ(status.kind(), StatusKind::Io);
  EXPECT_EQ(calls, 1);
}
