//===- GoldenFileTest.cpp - files of older and of newer versions ----------===//
//
// Files that were written when their format's version was today's are kept in test/data/golden and
// must run as they did. Files of versions to come are made from them here.
//
//===----------------------------------------------------------------------===//

#include "runtime/base/File.h"
#include "runtime/engine/Invoke.h"
#include "runtime/format/Checksum.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/Safetensors.h"
#include "test/promise/Models.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

const char *const golden = LLAMA4_TEST_DATA "/golden/tiny-1.0";

/// The golden file with another header, at an address that a program can have.
class Edited {
public:
  template <typename Edit> explicit Edited(Edit &&edit) {
    std::string file = readTextFile(std::string(golden) + ".l4x", 1u << 20).take();
    bytes_ = file.size();
    storage_.resize(bytes_ + tensorAlignment);
    void *place = storage_.data();
    size_t space = storage_.size();
    data_ = static_cast<std::byte *>(std::align(tensorAlignment, bytes_, place, space));
    std::memcpy(data_, file.data(), bytes_);
    auto &header = *reinterpret_cast<FileHeader *>(data_);
    edit(header);
    header.headerHash = headerHash(header);
  }
  Result<std::shared_ptr<const Program>> load() const {
    return Program::fromBytes({data_, bytes_}, VerifyMode::Full);
  }

private:
  std::vector<std::byte> storage_;
  std::byte *data_ = nullptr;
  size_t bytes_ = 0;
};

void expectRecordedLogits(std::shared_ptr<const Program> program) {
  std::unique_ptr<Device> device = openDevice(2).take();
  std::unique_ptr<Engine> engine = Engine::create(std::move(program), *device).take();
  Result<SafetensorsFile> recorded = SafetensorsFile::open(std::string(golden) + ".safetensors");
  ASSERT_TRUE(recorded.ok()) << recorded.status().message();
  Result<TokenInput> input = readTokenInput(*recorded);
  ASSERT_TRUE(input.ok()) << input.status().message();
  Result<OwnedTensors> found = invokeTokens(*engine, *input, 7);
  ASSERT_TRUE(found.ok()) << found.status().message();
  const std::span<const std::byte> wanted = recorded->find("logits")->bytes;
  const std::vector<std::byte> &bytes = found->tensors[0].bytes;
  ASSERT_EQ(bytes.size(), wanted.size());
  float largest = 0;
  for (size_t at = 0; at < bytes.size(); at += sizeof(float)) {
    float is = 0, was = 0;
    std::memcpy(&is, bytes.data() + at, sizeof(is));
    std::memcpy(&was, wanted.data() + at, sizeof(was));
    ASSERT_NEAR(is, was, 1e-5f * (1 + std::fabs(was))) << "logit " << at / sizeof(float);
    largest = std::max(largest, std::fabs(was));
  }
  EXPECT_GT(largest, 0.01f); // there is something to compare
}

TEST(GoldenFile, OldFileRunsAsItDid) {
  Result<std::shared_ptr<const Program>> program =
      Program::load(std::string(golden) + ".l4x", VerifyMode::Full);
  ASSERT_TRUE(program.ok()) << program.status().message();
  EXPECT_EQ((*program)->header().major, 1u);
  EXPECT_EQ((*program)->header().minor, 0u); // it is never written again
  expectRecordedLogits(*program);
}

TEST(GoldenFile, EveryMinorUpToTodaysLoads) {
  for (uint32_t minor = 0; minor <= formatMinor; ++minor) {
    Edited file([&](FileHeader &header) { header.minor = static_cast<uint16_t>(minor); });
    Result<std::shared_ptr<const Program>> program = file.load();
    ASSERT_TRUE(program.ok()) << "minor " << minor << ": " << program.status().message();
    expectRecordedLogits(*program);
  }
}

/// The field that a refusal names.
template <typename Edit> void expectRefused(const std::string &field, Edit &&edit) {
  Edited file(edit);
  Result<std::shared_ptr<const Program>> program = file.load();
  ASSERT_FALSE(program.ok()) << field;
  EXPECT_EQ(program.status().kind(), StatusKind::InvalidInput);
  EXPECT_NE(program.status().message().find(field), std::string::npos)
      << program.status().message();
}

TEST(GoldenFile, NewerVersionsAreRefused) {
  expectRefused("header.version: found format 2.0",
                [](FileHeader &h) { h.major = 2, h.minor = 0; });
  expectRefused("header.version: found format 0.0", [](FileHeader &h) { h.major = 0; });
  expectRefused("header.version", [](FileHeader &h) { h.minor = formatMinor + 1; });
  expectRefused("header.version", [](FileHeader &h) { h.minor = 0xFFFF; });
}

TEST(GoldenFile, UnknownFeaturesAreRefused) {
  for (unsigned bit = 0; bit < 64; ++bit)
    if (((knownFeatures >> bit) & 1) == 0)
      expectRefused("header.features", [&](FileHeader &h) { h.features |= uint64_t{1} << bit; });
}

} // namespace
} // namespace llama4::test
