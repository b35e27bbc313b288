//===- ArtifactTest.cpp - what is written is what is loaded ---------------===//

#include "runtime/format/FileLayout.h"
#include "test/runtime/SampleProgram.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

std::string textOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string fileText(const std::string &path) {
  auto text = readTextFile(path, uint64_t{1} << 30);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : std::string();
}

/// A sample with a third weight of `bytes` bytes, to cross chunks.
ArtifactParts largeParts(uint64_t bytes) {
  ArtifactParts parts = sampleParts();
  parts.program.weights.push_back({"large", "float32", bytes / 4, 1, 0, bytes});
  return parts;
}

WeightProducer largeWeights(size_t piece) {
  return [piece, sample = sampleWeights(piece)](size_t index, WeightSink &sink) -> Status {
    if (index < 2)
      return sample(index, sink);
    uint64_t bytes = 9 * (uint64_t{1} << 20) + 44;
    for (uint64_t done = 0; done < bytes;) {
      std::vector<std::byte> part(std::min<uint64_t>(piece, bytes - done));
      for (size_t i = 0; i < part.size(); ++i)
        part[i] = static_cast<std::byte>((done + i) * 2654435761u >> 13);
      LLAMA4_RETURN_IF_ERROR(sink.write(part));
      done += part.size();
    }
    return {};
  };
}

TEST(Artifact, LoadsWhatWasWritten) {
  std::string path = testPath("sample.l4x");
  ArtifactParts parts = sampleParts();
  parts.contentId = {0xab, 0x01};
  auto summary = writeArtifact(path, parts, sampleWeights());
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  auto loaded = Program::load(path, VerifyMode::Full);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Program &program = **loaded;
  EXPECT_EQ(program.contentId(), "ab01" + std::string(60, '0'));
  EXPECT_EQ(program.fileBytes(), summary->fileBytes);
  EXPECT_EQ(program.fileBytes(), std::filesystem::file_size(path));
  EXPECT_EQ(textOf(program.tokenizer()), "tokenizer tables");
  EXPECT_EQ(textOf(program.chatTemplate()), "chat template");
  EXPECT_EQ(textOf(program.code(0)), kernelObject());
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(reinterpret_cast<uintptr_t>(program.weight(i).data()) % tensorAlignment, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(program.section(SectionKind::Weights).data()) %
                weightsAlignment,
            0u);
  std::vector<float> table(vocab * columns);
  std::memcpy(table.data(), program.weight(0).data(), program.weight(0).size());
  EXPECT_EQ(table[3 * columns + 5], tableValue(3, 5));
}

// Every field that the encoder writes comes back: encoding the loaded description again gives the
// bytes that are in the file, and those differ when any field does (see IllegalProgramTest).
TEST(Artifact, DescriptionSurvivesTheRoundTrip) {
  std::string path = testPath("round.l4x");
  ArtifactParts parts = sampleParts();
  parts.program.entries[0].commands[1].constants.push_back(-5);
  parts.program.entries[0].inputs[0].temperature = 7;
  parts.program.entries[0].commands[1].constants.push_back(INT64_MIN);
  ASSERT_TRUE(writeArtifact(path, parts, sampleWeights()).ok());
  auto program = Program::load(path);
  ASSERT_TRUE(program.ok()) << program.status().message();
  std::vector<std::byte> again = encodeProgram((*program)->desc());
  EXPECT_TRUE(std::ranges::equal(again, (*program)->section(SectionKind::Program)));
  const ProgramDesc &desc = (*program)->desc();
  EXPECT_EQ(desc.model.licence, "none");
  EXPECT_EQ(desc.model.eos, std::vector<int32_t>{2});
  EXPECT_EQ(desc.generation.topK, 50u);
  EXPECT_FLOAT_EQ(desc.generation.temperature, 0.6f);
  EXPECT_EQ(desc.temperatures[0].name, "temperature");
  EXPECT_EQ(desc.temperatures[0].attnScale, 0.25f);
  EXPECT_EQ(desc.temperatures[0].floorScale, uint64_t{1} << 33);
  EXPECT_EQ(desc.entries[0].inputs[0].temperature, 7u); // kept even where it is not used
  EXPECT_EQ(desc.ropes[0].invFreq, std::vector<float>(angles, 0.5f));
  EXPECT_EQ(desc.entries[0].commands[1].constants,
            (std::vector<int64_t>{columns, rowFloats, -5, INT64_MIN}));
  EXPECT_EQ(desc.entries[0].commands[3].sources, "kv_write");
  EXPECT_EQ(desc.kernels[5].macsPerSymbol, uint64_t{vocab} * columns);
  EXPECT_EQ(desc.codeObjects[0].features, (std::vector<std::string>{"avx2", "fma"}));
}

TEST(Artifact, ExpertsSurviveTheRoundTrip) {
  std::string path = testPath("round-experts.l4x");
  ArtifactParts parts = expertParts();
  std::swap(parts.program.kernels[7].params[0], parts.program.kernels[7].params[2]);
  std::swap(parts.program.entries[3].commands[1].bindings[0],
            parts.program.entries[3].commands[1].bindings[2]);
  parts.program.kernels[7].tilesParam = 2;
  ASSERT_TRUE(writeArtifact(path, parts, expertWeights()).ok());
  auto program = Program::load(path);
  ASSERT_TRUE(program.ok()) << program.status().message();
  const ProgramDesc &desc = (*program)->desc();
  EXPECT_EQ(desc.weights[2].matrices, experts);
  EXPECT_EQ(desc.weights[1].matrices, 1u);
  EXPECT_EQ(desc.kernels[7].experts, experts);
  EXPECT_EQ(desc.kernels[7].tilesParam, 2u);
  EXPECT_EQ(desc.kernels[6].experts, 0u);
  EXPECT_EQ((*program)->header().features, featureExperts);
  EXPECT_TRUE(std::ranges::equal(encodeProgram(desc), (*program)->section(SectionKind::Program)));
}

TEST(Artifact, ImagesSurviveTheRoundTrip) {
  std::string path = testPath("round-images.l4x");
  ASSERT_TRUE(writeArtifact(path, imageParts(), sampleWeights()).ok());
  auto program = Program::load(path);
  ASSERT_TRUE(program.ok()) << program.status().message();
  const ProgramDesc &desc = (*program)->desc();
  EXPECT_EQ((*program)->header().features, featureImages);
  EXPECT_EQ(desc.grids[0].rows, 2u);
  EXPECT_EQ(desc.grids[0].invFreq, std::vector<float>(angles / 2, 0.5f));
  EXPECT_EQ(desc.entries[3].inputs[1].role, InputRole::GridSin);
  const ImageInfo wanted = imageParts().program.images, &found = desc.images;
  EXPECT_EQ(found.family, ImageFamily::Llama4);
  EXPECT_TRUE(std::ranges::equal(found.mean, wanted.mean));
  EXPECT_TRUE(std::ranges::equal(found.deviation, wanted.deviation));
  EXPECT_EQ(found.rescale, 0.004);
  EXPECT_EQ(found.filter, ImageFilter::Bicubic);
  EXPECT_TRUE(found.resizeToMaxCanvas);
  const int32_t ids[] = {found.imageToken, found.patchToken, found.startToken,
                         found.endToken,   found.tileXToken, found.tileYToken};
  EXPECT_TRUE(std::ranges::equal(ids, (int32_t[]){5, 6, 7, 8, 9, 10}));
  EXPECT_TRUE(std::ranges::equal(encodeProgram(desc), (*program)->section(SectionKind::Program)));
}

TEST(Artifact, ProgramsOfTextStayAsTheyWere) {
  std::string path = testPath("text.l4x");
  ASSERT_TRUE(writeArtifact(path, sampleParts(), sampleWeights()).ok());
  auto program = Program::load(path);
  ASSERT_TRUE(program.ok()) << program.status().message();
  EXPECT_EQ((*program)->header().features, 0u);
  EXPECT_FALSE((*program)->desc().images.present());
}

TEST(Artifact, SameInputSameBytes) {
  std::string first = testPath("one.l4x"), second = testPath("two.l4x");
  uint64_t bytes = 9 * (uint64_t{1} << 20) + 44;
  ASSERT_TRUE(writeArtifact(first, largeParts(bytes), largeWeights(1000)).ok());
  ASSERT_TRUE(writeArtifact(second, largeParts(bytes), largeWeights(5 << 20)).ok());
  EXPECT_TRUE(fileText(first) == fileText(second)) << "the size of the pieces shows in the file";
  ArtifactParts other = largeParts(bytes);
  other.tokenizer += "x";
  ASSERT_TRUE(writeArtifact(second, other, largeWeights(1000)).ok());
  EXPECT_FALSE(fileText(first) == fileText(second));
}

TEST(Artifact, ChunksGuardEveryMegabyteOfTheWeights) {
  std::string path = testPath("large.l4x");
  uint64_t bytes = 9 * (uint64_t{1} << 20) + 44;
  ASSERT_TRUE(writeArtifact(path, largeParts(bytes), largeWeights(70000)).ok());
  FileBytes file(path);
  ASSERT_TRUE(Program::fromBytes(file.span(), VerifyMode::Full).ok());
  uint64_t weights = sectionRange(file.header(), SectionKind::Weights).begin;
  for (uint64_t place = weights + 5000; place < file.span().size(); place += 999'999) {
    file.span()[place] ^= std::byte{4};
    EXPECT_TRUE(Program::fromBytes(file.span()).ok()); // not looked at by default
    auto damaged = Program::fromBytes(file.span(), VerifyMode::Full);
    ASSERT_FALSE(damaged.ok()) << place;
    EXPECT_NE(damaged.status().message().find("of the weights"), std::string::npos);
    file.span()[place] ^= std::byte{4};
  }
}

TEST(Artifact, WorksWithoutOptionalSections) {
  std::string path = testPath("bare.l4x");
  ArtifactParts parts = sampleParts();
  parts.tokenizer.clear();
  parts.chatTemplate.clear();
  parts.code.clear();
  ProgramDesc &program = parts.program;
  program.codeObjects.clear();
  program.weights.clear();
  program.kernels = {{"nothing", 0, {}, 0, 0}};
  program.entries.resize(1);
  program.entries[0].outputs.clear();
  program.entries[0].commands = {{0, {}, {}, {}, ""}};
  auto summary = writeArtifact(path, parts, sampleWeights());
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  auto loaded = Program::load(path, VerifyMode::Full);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_TRUE((*loaded)->tokenizer().empty());
  EXPECT_EQ((*loaded)->header().sectionCount, 2u);
}

TEST(Artifact, AFailedWriteLeavesNothing) {
  std::string path = testPath("failed/model.l4x");
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  auto refused = [&](const char *part, ArtifactParts parts, const WeightProducer &weights) {
    auto summary = writeArtifact(path, std::move(parts), weights);
    ASSERT_FALSE(summary.ok());
    EXPECT_NE(summary.status().message().find(part), std::string::npos)
        << summary.status().message();
    EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(path).parent_path()));
  };
  auto some = [](size_t bytes) {
    return [bytes](size_t, WeightSink &sink) { return sink.write(std::vector<std::byte>(bytes)); };
  };
  refused("not all of", sampleParts(), some(8));
  refused("more bytes", sampleParts(), some(1 << 20));
  refused("disk of lead", sampleParts(),
          [](size_t, WeightSink &) { return Status::error(StatusKind::Io, "disk of lead"); });
  ArtifactParts wrong = sampleParts();
  wrong.program.model.vocabSize = 0;
  refused("model.vocab_size", wrong, sampleWeights());
  wrong = sampleParts();
  wrong.code.clear();
  refused("pieces of code", wrong, sampleWeights());
}

} // namespace
} // namespace llama4::test
