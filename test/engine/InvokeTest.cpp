//===- InvokeTest.cpp - raw tensors in, raw tensors out -------------------===//

#include "runtime/engine/Invoke.h"

#include "test/engine/TinyModel.h"

#include <cstring>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

class InvokeTest : public ::testing::Test {
protected:
  void SetUp() override {
    device_ = tinyDevice(2);
    program_ = loadTiny(::testing::TempDir() + "invoke.l4x");
    engine_ = Engine::create(program_, *device_).take();
  }
  /// A file with the given tensors.
  template <typename... T> SafetensorsFile file(const T &...tensors) {
    OwnedTensors all;
    (all.tensors.push_back(tensors), ...);
    std::string path = ::testing::TempDir() + "invoke.safetensors";
    EXPECT_TRUE(all.write(path).ok());
    return SafetensorsFile::open(path).take();
  }
  template <typename T>
  OwnedTensors::Tensor tensor(const char *name, DType dtype, std::vector<int64_t> shape,
                              const std::vector<T> &values) {
    OwnedTensors::Tensor result = {name, dtype, std::move(shape),
                                   std::vector<std::byte>(values.size() * sizeof(T))};
    if (!values.empty())
      std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
    return result;
  }
  OwnedTensors::Tensor longs(const char *name, const std::vector<int32_t> &values) {
    return tensor(name, DType::I64, {static_cast<int64_t>(values.size())},
                  std::vector<int64_t>(values.begin(), values.end()));
  }
  static std::vector<float> floats(const OwnedTensors::Tensor &tensor) {
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Engine> engine_;
};

std::vector<float> allLogits(const std::vector<int32_t> &ids) {
  std::vector<float> logits;
  for (const Hidden &hidden : tinyReference(ids)) {
    std::vector<float> row = tinyLogits(hidden);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

TEST_F(InvokeTest, LogitsOfEveryToken) {
  std::vector<int32_t> ids = tinyText(90, 1);
  SafetensorsFile input = file(longs("input_ids", ids), longs("something_else", {1, 2}));
  for (uint32_t chunk : {0u, 7u, 1u}) {
    Result<OwnedTensors> result = invokeTokens(*engine_, *readTokenInput(input), chunk);
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(result->tensors[0].name, "logits");
    EXPECT_EQ(result->tensors[0].shape, (std::vector<int64_t>{90, tinyVocab}));
    EXPECT_EQ(floats(result->tensors[0]), allLogits(ids));
  }
}

TEST_F(InvokeTest, SequencesGoTogether) {
  std::vector<int32_t> ids, lengths = {17, 1, 45, 8};
  std::vector<float> logits;
  for (int32_t length : lengths) {
    std::vector<int32_t> part =
        tinyText(static_cast<size_t>(length), static_cast<uint32_t>(length));
    std::vector<float> expected = allLogits(part);
    ids.insert(ids.end(), part.begin(), part.end());
    logits.insert(logits.end(), expected.begin(), expected.end());
  }
  SafetensorsFile input = file(longs("input_ids", ids), longs("sequence_lengths", lengths));
  Result<OwnedTensors> result = invokeTokens(*engine_, *readTokenInput(input), 0);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(floats(result->tensors[0]), logits);
}

TEST_F(InvokeTest, BadTokenFilesAreRefused) {
  auto kindOf = [&](const SafetensorsFile &input) { return readTokenInput(input).status().kind(); };
  EXPECT_EQ(kindOf(file(longs("ids", {1}))), StatusKind::InvalidInput);
  EXPECT_EQ(kindOf(file(longs("input_ids", {1, -2}))), StatusKind::InvalidInput);
  EXPECT_EQ(kindOf(file(longs("input_ids", {}))), StatusKind::InvalidInput);
  EXPECT_EQ(kindOf(file(tensor("input_ids", DType::F32, {1}, std::vector<float>{1}))),
            StatusKind::InvalidInput);
  for (std::vector<int32_t> lengths : {std::vector<int32_t>{1}, {3}, {0, 2}, {-1, 3}})
    EXPECT_EQ(kindOf(file(longs("input_ids", {1, 2}), longs("sequence_lengths", lengths))),
              StatusKind::InvalidInput);
}

TEST_F(InvokeTest, OneEntryWithNamedInputs) {
  std::vector<int32_t> ids = tinyText(9, 3);
  std::vector<float> hidden, expected;
  for (const Hidden &row : tinyReference(ids))
    hidden.insert(hidden.end(), row.begin(), row.end());
  for (size_t row : {8, 0, 3}) {
    std::vector<float> logits = tinyLogits(tinyReference(ids)[row]);
    expected.insert(expected.end(), logits.begin(), logits.end());
  }
  auto rows = tensor("rows", DType::I32, {3}, std::vector<int32_t>{8, 0, 3});
  Result<OwnedTensors> result = invokeEntry(
      program_, *device_, "logits", file(tensor("hidden", DType::F32, {9, 8}, hidden), rows));
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->tensors[0].name, "out0");
  EXPECT_EQ(result->tensors[0].shape, (std::vector<int64_t>{3, tinyVocab}));
  EXPECT_EQ(floats(result->tensors[0]), expected);
  // Batch, cos and sin are made up for one sequence.
  result = invokeEntry(program_, *device_, "step", file(longs("ids", ids)));
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(floats(result->tensors[0]), hidden);
}

TEST_F(InvokeTest, WrongInputsOfAnEntryAreNamed) {
  auto rows = tensor("rows", DType::I32, {2}, std::vector<int32_t>{0, 0});
  auto fails = [&](const char *entry, const SafetensorsFile &input, StatusKind kind,
                   const char *part) {
    Status status = invokeEntry(program_, *device_, entry, input).status();
    EXPECT_EQ(status.kind(), kind) << status.message();
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  };
  std::vector<float> zeros(64 * 8);
  fails("nothing", file(rows), StatusKind::Usage, "step.decode");
  fails("logits", file(rows), StatusKind::InvalidInput, "hidden");
  fails("logits", file(tensor("hidden", DType::F32, {64, 8}, zeros), rows),
        StatusKind::InvalidInput, "hidden");
  fails("logits", file(tensor("hidden", DType::I32, {64, 8}, zeros), rows),
        StatusKind::InvalidInput, "hidden");
  fails("logits",
        file(tensor("hidden", DType::F32, {9, 8}, std::vector<float>(9 * 8)),
             tensor("rows", DType::I32, {2}, std::vector<int32_t>{8, 9})),
        StatusKind::InvalidInput, "row 9");
  fails("step", file(longs("ids", tinyText(41, 1))), StatusKind::InvalidInput, "1 to 40");
  fails("step", file(longs("ids", {0, tinyVocab})), StatusKind::InvalidInput, "id 24");
  fails("step", file(longs("ids", {-1})), StatusKind::InvalidInput, "id -1");
  fails("step", file(tensor("ids", DType::I64, {1}, std::vector<int64_t>{(int64_t{1} << 32) + 1})),
        StatusKind::InvalidInput, "id -1");
  fails("step.decode", file(longs("ids", tinyText(3, 1))), StatusKind::InvalidInput, "1 to 1");
}

} // namespace
} // namespace llama4::test
