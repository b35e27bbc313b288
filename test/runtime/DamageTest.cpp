//===- DamageTest.cpp - files that were damaged on their way --------------===//

#include "runtime/format/FileLayout.h"
#include "test/runtime/SampleProgram.h"

#include <gtest/gtest.h>
#include <random>

namespace llama4::test {
namespace {

class Damage : public ::testing::Test {
protected:
  void SetUp() override {
    std::string path = testPath("damage.l4x");
    writeSample(path);
    file = std::make_unique<FileBytes>(path);
    ASSERT_TRUE(Program::fromBytes(file->span(), VerifyMode::Full).ok());
    weights = sectionRange(file->header(), SectionKind::Weights).begin;
    metadataEnd = metadataRange(file->header()).end();
  }
  /// Expects a refusal as damaged input that names something.
  void refused(std::span<const std::byte> bytes, VerifyMode mode, const std::string &what) {
    auto program = Program::fromBytes(bytes, mode, "damage.l4x");
    ASSERT_FALSE(program.ok()) << what;
    EXPECT_EQ(program.status().kind(), StatusKind::InvalidInput) << what;
    EXPECT_TRUE(program.status().message().starts_with("damage.l4x: ")) << what;
    EXPECT_NE(program.status().message().find("expected"), std::string::npos) << what;
  }
  std::unique_ptr<FileBytes> file;
  uint64_t weights = 0, metadataEnd = 0;
};

TEST_F(Damage, OneFlippedBitInMetadataIsAlwaysSeen) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    uint64_t place = random() % metadataEnd;
    auto bit = static_cast<std::byte>(1u << random() % 8);
    file->span()[place] ^= bit;
    refused(file->span(), VerifyMode::Default, "byte " + std::to_string(place));
    file->span()[place] ^= bit;
  }
}

/// Also the hashes of weights, which loading doesn't compare with them.
TEST_F(Damage, OneFlippedBitInChecksumsIsAlwaysSeen) {
  const FileRange table = sectionRange(file->header(), SectionKind::Checksums);
  for (uint64_t place = table.begin; place < table.end(); ++place) {
    file->span()[place] ^= std::byte{1};
    refused(file->span(), VerifyMode::Default, "byte " + std::to_string(place));
    file->span()[place] ^= std::byte{1};
  }
}

TEST_F(Damage, OneFlippedBitInPaddingIsAlwaysSeen) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 50; ++i) {
    uint64_t place = metadataEnd + random() % (weights - metadataEnd);
    file->span()[place] ^= std::byte{16};
    refused(file->span(), VerifyMode::Default, "byte " + std::to_string(place));
    file->span()[place] ^= std::byte{16};
  }
}

TEST_F(Damage, OneFlippedBitInWeightsIsSeenOnDemand) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200; ++i) {
    uint64_t place = weights + random() % (file->span().size() - weights);
    auto bit = static_cast<std::byte>(1u << random() % 8);
    file->span()[place] ^= bit;
    EXPECT_TRUE(Program::fromBytes(file->span()).ok());
    refused(file->span(), VerifyMode::Full, "byte " + std::to_string(place));
    file->span()[place] ^= bit;
  }
}

TEST_F(Damage, TruncatedAnywhere) {
  std::vector<uint64_t> sizes = {file->span().size() - 1};
  for (uint32_t i = 0; i < file->header().sectionCount; ++i) {
    const SectionRecord &record = file->header().sections[i];
    for (uint64_t edge : {record.offset, record.offset + record.bytes})
      for (uint64_t size : {edge - 1, edge, edge + 1})
        if (size < file->span().size())
          sizes.push_back(size);
  }
  for (uint64_t size = 0; size <= metadataEnd; ++size)
    sizes.push_back(size);
  for (uint64_t size : sizes)
    refused(file->first(size), VerifyMode::Default, "first " + std::to_string(size) + " bytes");
}

TEST_F(Damage, TrailingBytes) {
  std::string longer(reinterpret_cast<const char *>(file->span().data()), file->span().size());
  longer.push_back('\0');
  FileBytes trailing{std::string_view(longer)};
  refused(trailing.span(), VerifyMode::Default, "one byte more");
}

TEST_F(Damage, OtherFiles) {
  FileBytes text{std::string_view("once upon a time")};
  refused(text.span(), VerifyMode::Default, "a text");
  std::string zeros(100000, '\0');
  FileBytes zero{std::string_view(zeros)};
  refused(zero.span(), VerifyMode::Default, "zeros");
  auto missing = Program::load(testPath("not-there.l4x"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().kind(), StatusKind::NotFound);
  auto folder = Program::load(::testing::TempDir());
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.status().kind(), StatusKind::InvalidInput);
}

// Random bytes in the flatbuffer under right checksums: refused, or read as something well formed.
// What matters is that nothing outside the file is touched (the sanitizer build sees it).
TEST_F(Damage, RandomFlatbuffersUnderRightChecksums) {
  FileRange program = sectionRange(file->header(), SectionKind::Program);
  std::vector<std::byte> original(file->span().begin(), file->span().end());
  std::mt19937_64 random(4);
  const uint8_t interesting[] = {0, 1, 2, 4, 0x7f, 0x80, 0xfe, 0xff};
  int refusals = 0;
  for (int i = 0; i < 3000; ++i) {
    auto region = file->span().subspan(program.begin, program.bytes);
    std::copy_n(original.begin() + static_cast<ptrdiff_t>(program.begin), program.bytes,
                region.begin());
    for (uint64_t k = random() % 4 + 1; k != 0; --k)
      region[random() % region.size()] = static_cast<std::byte>(interesting[random() % 8]);
    ASSERT_TRUE(resealArtifact(file->span()));
    auto loaded = Program::fromBytes(file->span(), VerifyMode::Full);
    if (loaded.ok())
      continue;
    ++refusals;
    ASSERT_EQ(loaded.status().kind(), StatusKind::InvalidInput);
  }
  EXPECT_GT(refusals, 300);
}

} // namespace
} // namespace llama4::test
