//===- ExpertParamTest.cpp - rank 3 parameters, read and packed -----------===//
//
// What is packed is compared with a look-up of one element at a time in numbers that the test made,
// and what the interpreter would read with the same.
//
//===----------------------------------------------------------------------===//

#include "compiler/checkpoint/Dequantize.h"
#include "compiler/pack/ParamPacker.h"
#include "compiler/pack/Quantize.h"
#include "compiler/reference/ParamSource.h"
#include "runtime/format/Half.h"
#include "runtime/format/Safetensors.h"
#include "test/checkpoint/TestFiles.h"

#include <cstring>
#include <list>
#include <random>

using namespace llama4;
using namespace llama4::pack;

namespace {

/// Tensors of a made-up checkpoint.
class Tensors {
public:
  /// Stores values that the type can hold after rounding; `decoded` is what it holds.
  const std::vector<float> &add(const std::string &name, DType dtype, std::vector<int64_t> shape,
                                float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    Entry &entry = entries_.emplace_back();
    entry.tensor = {name, dtype, std::move(shape), {}, 0};
    std::vector<float> values(entry.tensor.elements());
    for (float &value : values)
      value = normal(random_);
    entry.bytes.resize(tensorBytes(dtype, entry.tensor.shape).value());
    encode(dtype, values, entry.bytes);
    entry.tensor.bytes = entry.bytes;
    entry.decoded.resize(values.size());
    EXPECT_TRUE(dequantize(dtype, entry.bytes, entry.decoded).ok());
    return entry.decoded;
  }
  const SourceTensor *find(std::string_view name) const {
    for (const Entry &entry : entries_)
      if (entry.tensor.name == name)
        return &entry.tensor;
    return nullptr;
  }
  FindTensor finder() const {
    return [this](std::string_view name) { return find(name); };
  }

private:
  struct Entry {
    SourceTensor tensor;
    std::vector<std::byte> bytes;
    std::vector<float> decoded;
  };

  void encode(DType dtype, std::span<const float> values, std::span<std::byte> out) {
    switch (dtype) {
    case DType::F32:
      return encodeRow(Encoding::Float32, values, out);
    case DType::BF16:
      return encodeRow(Encoding::BFloat16, values, out);
    case DType::Q8_0:
      return quantizeQ8_0(values, out);
    case DType::Q4_1:
      return quantizeQ4_1(values, out);
    default: // any finite e4m3 number
      ASSERT_EQ(dtype, DType::F8E4M3);
      for (std::byte &byte : out)
        byte = static_cast<std::byte>(random_() % 0x7f | (random_() % 2) << 7);
    }
  }

  std::list<Entry> entries_;
  std::mt19937 random_{7};
};

/// Element (expert, row, column) of a parameter.
using Element = std::function<float(int64_t, int64_t, int64_t)>;

SourceSpec specOf(const std::string &source, std::vector<int64_t> shape) {
  SourceSpec spec;
  spec.name = "experts";
  spec.source = source;
  spec.shape = std::move(shape);
  return spec;
}

/// Packs, unpacks and compares every row of every matrix: with `expected` where the encoding keeps
/// numbers, with its quantized rows elsewhere.
void expectPacked(const SourceSpec &source, const Tensors &tensors, Encoding encoding,
                  const Element &expected) {
  auto param = SourceParam::find(source, tensors.finder());
  ASSERT_TRUE(param.ok()) << param.status().message();
  const int64_t matrices = source.shape[0], rows = source.shape[1], cols = source.shape[2];
  const ParamSpec spec{matrices, rows, cols, encoding, /*panels=*/true};
  std::vector<std::byte> bytes;
  Status status = packParam(spec, *param, [&](std::span<const std::byte> some) -> Status {
    bytes.insert(bytes.end(), some.begin(), some.end());
    return {};
  });
  ASSERT_TRUE(status.ok()) << status.message();
  const uint64_t matrixBytes = packedBytes(encoding, rows, cols);
  ASSERT_EQ(bytes.size(), static_cast<uint64_t>(matrices) * matrixBytes);
  ASSERT_EQ(bytes.size(), paramBytes(spec));
  std::vector<std::byte> found(sourceRowBytes(encoding, cols)), wanted(found.size());
  std::vector<float> row(static_cast<size_t>(cols));
  for (int64_t e = 0; e < matrices; ++e)
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j)
        row[static_cast<size_t>(j)] = expected(e, i, j);
      encodeRow(encoding, row, wanted);
      unpackRow(encoding,
                std::span(bytes).subspan(static_cast<uint64_t>(e) * matrixBytes, matrixBytes), i,
                cols, found);
      ASSERT_EQ(found, wanted) << "expert " << e << " row " << i;
    }
}

void expectError(const SourceSpec &source, const Tensors &tensors, const std::string &part) {
  auto param = SourceParam::find(source, tensors.finder());
  ASSERT_FALSE(param.ok()) << part;
  EXPECT_EQ(param.status().kind(), StatusKind::InvalidInput);
  EXPECT_NE(param.status().message().find(part), std::string::npos) << param.status().message();
  EXPECT_NE(param.status().message().find("\"experts\""), std::string::npos);
}

constexpr int64_t kE = 3, kF = 152, kH = 70; // neither panels nor blocks nor tiles come out even

/// gate_up [E, H, 2F]: gate first, up behind it.
SourceSpec half(bool isUp, int64_t inner = kF) {
  SourceSpec spec = specOf("gate_up", {kE, inner, kH});
  spec.transpose = true;
  spec.firstRow = isUp ? inner : 0;
  return spec;
}

Element elementOfHalf(const std::vector<float> &stored, bool isUp, int64_t inner = kF) {
  return [&stored, isUp, inner](int64_t e, int64_t i, int64_t j) {
    return stored[static_cast<size_t>((e * kH + j) * 2 * inner + (isUp ? inner : 0) + i)];
  };
}

} // namespace

TEST(ExpertParam, FusedTransposed) {
  for (DType dtype : {DType::F32, DType::BF16, DType::F8E4M3})
    for (Encoding encoding : {Encoding::Float32, Encoding::BFloat16})
      for (bool isUp : {false, true}) {
        SCOPED_TRACE(std::string(dtypeName(dtype)) + " up " + std::to_string(isUp));
        Tensors tensors;
        const std::vector<float> &stored = tensors.add("gate_up", dtype, {kE, kH, 2 * kF});
        expectPacked(half(isUp), tensors, encoding, elementOfHalf(stored, isUp));
      }
}

TEST(ExpertParam, BlocksAcrossTheRowsAreDecoded) {
  // Stored blocks run along the outputs; `up` begins inside one, 48 = 32 + 16.
  for (DType dtype : {DType::Q8_0, DType::Q4_1}) {
    Tensors tensors;
    const std::vector<float> &stored = tensors.add("gate_up", dtype, {kE, kH, 96});
    for (bool isUp : {false, true})
      expectPacked(half(isUp, 48), tensors, Encoding::Float32, elementOfHalf(stored, isUp, 48));
  }
}

TEST(ExpertParam, StoredBlocksAreMoved) {
  // [E, N, K] as GGUF has it; bytes that a quantizer would not make again must stay.
  for (auto [dtype, encoding] :
       {std::pair(DType::Q8_0, Encoding::Q8_0), std::pair(DType::Q4_1, Encoding::Q4_1)}) {
    Tensors tensors;
    tensors.add("down", dtype, {2, 40, 64});
    const SourceSpec source = specOf("down", {2, 24, 64});
    SourceSpec later = source;
    later.firstRow = 16;
    for (const SourceSpec &spec : {source, later}) {
      auto param = SourceParam::find(spec, tensors.finder());
      ASSERT_TRUE(param.ok()) << param.status().message();
      // Odd scales: not what quantizing the decoded values gives.
      std::vector<std::byte> bytes;
      ASSERT_TRUE(packParam({2, 24, 64, encoding, true}, *param,
                            [&](std::span<const std::byte> some) -> Status {
                              bytes.insert(bytes.end(), some.begin(), some.end());
                              return {};
                            })
                      .ok());
      const uint64_t width = sourceRowBytes(encoding, 64), size = packedBytes(encoding, 24, 64);
      std::vector<std::byte> found(width);
      for (uint64_t e = 0; e < 2; ++e)
        for (uint64_t i = 0; i < 24; ++i) {
          unpackRow(encoding, std::span(bytes).subspan(e * size, size), static_cast<int64_t>(i), 64,
                    found);
          const auto from = tensors.find("down")->bytes.subspan(
              (e * 40 + static_cast<uint64_t>(spec.firstRow) + i) * width, width);
          ASSERT_TRUE(std::equal(found.begin(), found.end(), from.begin())) << e << " " << i;
        }
    }
  }
}

TEST(ExpertParam, OneTensorPerExpertTimesScales) {
  for (bool isPerRow : {true, false})
    for (Encoding encoding : {Encoding::Float32, Encoding::BFloat16, Encoding::Q8_0}) {
      Tensors tensors;
      std::vector<const std::vector<float> *> values, scales;
      for (int64_t e = 0; e < kE; ++e) {
        const std::string name = "e." + std::to_string(e) + ".w";
        values.push_back(&tensors.add(name, DType::F8E4M3, {40, 64}));
        const std::vector<int64_t> shape =
            isPerRow ? std::vector<int64_t>{40, 1} : std::vector<int64_t>{};
        scales.push_back(&tensors.add(name + "_scale", DType::BF16, shape, 0.01f));
      }
      SourceSpec source = specOf("e.*.w", {kE, 40, 64});
      source.perExpert = true;
      source.scale = "e.*.w_scale";
      expectPacked(source, tensors, encoding, [&](int64_t e, int64_t i, int64_t j) {
        return (*values[static_cast<size_t>(e)])[static_cast<size_t>(i * 64 + j)] *
               (*scales[static_cast<size_t>(e)])[static_cast<size_t>(isPerRow ? i : 0)];
      });
    }
}

TEST(ExpertParam, ScaledValuesOfTheAskedTypeAreNotMoved) {
  Tensors tensors;
  const std::vector<float> &values = tensors.add("w", DType::BF16, {1, 16, 32});
  const std::vector<float> &scale = tensors.add("s", DType::F32, {1});
  SourceSpec source = specOf("w", {1, 16, 32});
  source.scale = "s";
  expectPacked(source, tensors, Encoding::BFloat16, [&](int64_t, int64_t i, int64_t j) {
    return values[static_cast<size_t>(i * 32 + j)] * scale[0];
  });
}

TEST(ExpertParam, WrongTensorsAreErrors) {
  Tensors tensors;
  tensors.add("gate_up", DType::BF16, {kE, kH, 2 * kF});
  tensors.add("e.0.w", DType::F32, {4, 8});
  tensors.add("e.1.w", DType::F32, {4, 8});
  tensors.add("e.0.short", DType::F32, {4, 8});
  tensors.add("e.1.short", DType::F32, {3, 8});
  tensors.add("e.0.s", DType::F32, {4, 1});
  tensors.add("e.1.s", DType::F32, {2, 2, 2});
  expectError(half(false, 2 * kF + 1), tensors, "found [3, 70, 304] under \"gate_up\"");
  SourceSpec late = half(true);
  late.firstRow = kF + 1;
  expectError(late, tensors, "expected [3, 70, 152]");
  late.firstRow = INT64_MAX;
  expectError(late, tensors, "expected [3, 70, 152]");
  late.firstRow = -1;
  expectError(late, tensors, "from row -1");
  SourceSpec straight = half(false);
  straight.transpose = false;
  expectError(straight, tensors, "expected [3, 152, 70]");
  SourceSpec each = specOf("e.*.w", {3, 4, 8});
  each.perExpert = true;
  expectError(each, tensors, "found no tensor under \"e.2.w\"");
  each.shape = {2, 4, 8};
  each.source = "e.*.short";
  expectError(each, tensors, "found [3, 8] under \"e.1.short\", expected [4, 8]");
  each.source = "e.*.w";
  each.scale = "e.*.none";
  expectError(each, tensors, "found no tensor under \"e.0.none\"");
  each.scale = "e.*.s";
  expectError(each, tensors, "found [2, 2, 2] under \"e.1.s\", expected a scale for each of 4");
  each.scale = "";
  each.unpermuteHeads = 1;
  expectError(each, tensors, "1 heads");
  for (std::vector<int64_t> shape : {std::vector<int64_t>{}, {2, 0, 8}, {1, 2, 4, 8}, {4, 8}}) {
    each.unpermuteHeads = 0;
    each.shape = shape;
    expectError(each, tensors, "found the extents");
  }
}

TEST(ExpertParam, TheInterpreterReadsTheSame) {
  // Through files, and named by parameter, tensor and nearest tensor where one is missing.
  Tensors tensors;
  const std::vector<float> &stored = tensors.add("gate_up", DType::F32, {kE, kH, 2 * kF});
  test::TempFolder folder;
  folder.write("config.json", "{}");
  const SourceTensor &tensor = *tensors.find("gate_up");
  SafetensorsTensor file{tensor.name, tensor.dtype, tensor.shape, tensor.bytes};
  ASSERT_TRUE(writeSafetensors(folder / "model.safetensors", std::span(&file, 1)).ok());
  auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  reference::CheckpointParams params(*checkpoint);
  for (reference::Element element : {reference::Element::F32, reference::Element::BF16}) {
    auto read = params.read({half(true), element});
    ASSERT_TRUE(read.ok()) << read.status().message();
    const Element expected = elementOfHalf(stored, true);
    for (int64_t i = 0; i < kE * kF; ++i)
      for (int64_t j = 0; j < kH; ++j) {
        const float value = expected(i / kF, i % kF, j);
        const bool isExact = element == reference::Element::F32;
        ASSERT_EQ(read->row(i)[static_cast<size_t>(j)],
                  isExact ? value : reference::roundToBFloat16(value));
      }
  }
  SourceSpec missing = half(true);
  missing.source = "gate_upp";
  auto read = params.read({missing, reference::Element::F32});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().message(), folder.path() +
                                         ": parameter \"experts\": found no tensor under "
                                         "\"gate_upp\", the nearest name is \"gate_up\"; use the "
                                         "checkpoint of this module.");
}
