//===- ImageTest.cpp - texts with pictures --------------------------------===//

#include "runtime/engine/Generator.h"
#include "runtime/engine/ImagePrompt.h"
#include "test/engine/CountedAllocations.h"
#include "test/engine/ImageModel.h"

#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

namespace llama4::test {
namespace {

constexpr ImageFamily families[] = {ImageFamily::Llama4, ImageFamily::Mllama};

class ImageTest : public ::testing::TestWithParam<ImageFamily> {
protected:
  void SetUp() override {
    isLlama4_ = GetParam() == ImageFamily::Llama4;
    device_ = tinyDevice(2);
    program_ = loadImageModel(GetParam(), ::testing::TempDir() + (isLlama4_ ? "l4" : "ml") +
                                              std::to_string(getpid()) + ".l4x");
    make();
  }
  void make(EngineOptions options = {}) {
    engine_.reset();
    Result<std::unique_ptr<Engine>> engine = Engine::create(program_, *device_, options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = engine.take();
  }
  /// A text with pictures of so many tiles each, between `around` tokens.
  std::pair<std::vector<int32_t>, PromptImages> text(const std::vector<uint32_t> &tiles,
                                                     size_t around, uint32_t seed) {
    std::vector<int32_t> ids = plain(around, seed);
    PromptImages images;
    for (uint32_t count : tiles) {
      images.images.push_back(makePicture(count, ++seed));
      ids.push_back(isLlama4_ ? llama4ImageToken : mllamaImageToken);
      for (uint32_t i = 0; isLlama4_ && i < count * 4; ++i)
        ids.push_back(llama4PatchToken);
      for (int32_t id : plain(around, ++seed))
        ids.push_back(id);
    }
    ImagePreparer preparer = ImagePreparer::create(program_->desc().images).take();
    uint64_t units = tiles.size();
    for (size_t i = 0; isLlama4_ && i < tiles.size(); ++i)
      units += tiles[i] - 1;
    Result<ImagePlaces> places = preparer.findPlaces(ids, units);
    EXPECT_TRUE(places.ok()) << places.status().message();
    images.places = places.take();
    return {std::move(ids), std::move(images)};
  }
  /// Text without the ids of pictures.
  static std::vector<int32_t> plain(size_t count, uint32_t seed) {
    std::vector<int32_t> ids = tinyText(count, seed);
    for (int32_t &id : ids)
      id = id == llama4ImageToken || id == llama4PatchToken ? 1 : id;
    return ids;
  }
  std::unique_ptr<Sequence> sequence(std::span<const int32_t> ids, const PromptImages &images) {
    std::unique_ptr<Sequence> made = engine_->createSequence(ids.size() + 40).take();
    Status status = made->append(ids);
    EXPECT_TRUE(status.ok()) << status.message();
    if (!images.images.empty()) {
      status = engine_->setImages(*made, images).status();
      EXPECT_TRUE(status.ok()) << status.message();
    }
    return made;
  }
  /// Processes all that is pending in steps and compares every row.
  void expectAll(std::span<const std::unique_ptr<Sequence>> sequences, uint32_t chunk,
                 std::span<const std::vector<Hidden>> wanted) {
    StepPlanner planner(*engine_, chunk);
    while (planner.plan(sequences)) {
      std::vector<uint64_t> first;
      for (const PlannedChunk &part : planner.planned())
        first.push_back(sequences[part.sequence]->processed());
      Status status = engine_->step(planner.chunks());
      ASSERT_TRUE(status.ok()) << status.message();
      for (size_t i = 0; i < planner.planned().size(); ++i) {
        const PlannedChunk &part = planner.planned()[i];
        for (uint32_t t = 0; t < part.tokens; ++t)
          for (size_t d = 0; d < 8; ++d)
            ASSERT_EQ(engine_->hidden(part.firstRow + t)[d], wanted[part.sequence][first[i] + t][d])
                << "sequence " << part.sequence << ", token " << first[i] + t << ", column " << d;
      }
    }
  }

  bool isLlama4_ = false;
  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(ImageTest, ChunksCutThroughPictures) {
  auto [ids, images] = text({1, 4, 3}, 6, 11);
  const std::vector<Hidden> wanted[] = {imageReference(GetParam(), ids, images)};
  for (uint32_t chunk : {0u, 1u, 3u, 7u}) {
    make();
    std::unique_ptr<Sequence> sequences[] = {sequence(ids, images)};
    ASSERT_NO_FATAL_FAILURE(expectAll(sequences, chunk, wanted)) << "chunks of " << chunk;
  }
}

TEST_P(ImageTest, MixesEqualSolo) {
  std::mt19937 random(5);
  const std::vector<std::vector<uint32_t>> kinds = {{}, {1}, {4}, {1, 2}};
  for (uint32_t round = 0; round < 6; ++round) {
    std::vector<std::unique_ptr<Sequence>> sequences;
    std::vector<std::vector<Hidden>> wanted;
    for (uint32_t i = 0; i < 4; ++i) {
      auto [ids, images] = text(kinds[(i + round) % kinds.size()], random() % 9 + 1, random() % 99);
      // Tokens behind the prompt, as those that were generated.
      const std::vector<int32_t> more = plain(random() % 5, random());
      ids.insert(ids.end(), more.begin(), more.end());
      wanted.push_back(imageReference(GetParam(), ids, images));
      sequences.push_back(sequence(ids, images));
    }
    ASSERT_NO_FATAL_FAILURE(expectAll(sequences, random() % 12, wanted)) << "round " << round;
  }
}

TEST_P(ImageTest, ThePictureIsEncodedOnce) {
  auto [ids, images] = text({2, 3}, 4, 21);
  const std::vector<Hidden> wanted[] = {imageReference(GetParam(), ids, images)};
  {
    std::unique_ptr<Sequence> sequences[] = {sequence(ids, images)};
    ASSERT_NO_FATAL_FAILURE(expectAll(sequences, 0, wanted));
  }
  const uint64_t units = isLlama4_ ? 5 : 2;
  EXPECT_EQ(engine_->images()->encodedUnits(), units);
  EXPECT_EQ(engine_->images()->room().usedUnits(), 0u);
  // Again, as after a preemption, and at the same time in another text, in another order.
  auto [other, swapped] = text({3, 2}, 7, 4);
  swapped.images = {images.images[1], images.images[0]};
  std::unique_ptr<Sequence> both[] = {sequence(ids, images), sequence(other, swapped)};
  const std::vector<Hidden> bothWanted[] = {wanted[0], imageReference(GetParam(), other, swapped)};
  ASSERT_NO_FATAL_FAILURE(expectAll(both, 5, bothWanted));
  EXPECT_EQ(engine_->images()->encodedUnits(), units);
}

TEST_P(ImageTest, PicturesInUseAreKept) {
  auto [ids, images] = text({4, 4}, 3, 31);
  std::unique_ptr<Sequence> sequences[] = {sequence(ids, images)};
  const std::vector<Hidden> wanted[] = {imageReference(GetParam(), ids, images)};
  // Others come and go, more than there is room for beside it.
  for (uint32_t i = 0; i < 12; ++i) {
    std::vector<ImagePixels> one = {makePicture(1, 100 + i)};
    Result<std::shared_ptr<const PooledImages>> held = engine_->encodeImages(one);
    ASSERT_TRUE(held.ok()) << held.status().message();
  }
  std::vector<ImagePixels> many;
  for (uint32_t i = 0; i < imageUnits; ++i)
    many.push_back(makePicture(1, 200 + i));
  EXPECT_FALSE(engine_->imagesFit(many));
  EXPECT_TRUE(engine_->imagesFit(many, /*alone=*/true));
  Result<std::shared_ptr<const PooledImages>> refused = engine_->encodeImages(many);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().kind(), StatusKind::OutOfMemory);
  EXPECT_EQ(engine_->images()->room().usedUnits(), isLlama4_ ? 8u : 2u);
  ASSERT_NO_FATAL_FAILURE(expectAll(sequences, 4, wanted));
  sequences[0].reset();
  EXPECT_TRUE(engine_->encodeImages(many).ok());
}

TEST_P(ImageTest, ACutTextForgetsItsPlaces) {
  auto [ids, images] = text({2}, 4, 41);
  std::unique_ptr<Sequence> sequences[] = {sequence(ids, images)};
  const size_t cut = 4 + 3; // inside the features of Llama 4
  std::vector<int32_t> other(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(cut));
  const std::vector<int32_t> more = plain(9, 5);
  other.insert(other.end(), more.begin(), more.end());
  PromptImages left = images;
  for (std::vector<int32_t> *places :
       {&left.places.featureRows, &left.places.first, &left.places.count})
    places->resize(std::min(places->size(), cut));
  const std::vector<Hidden> before[] = {imageReference(GetParam(), ids, images)};
  ASSERT_NO_FATAL_FAILURE(expectAll(sequences, 0, before));
  ASSERT_TRUE(sequences[0]->truncate(cut).ok());
  ASSERT_TRUE(sequences[0]->append(more).ok());
  const std::vector<Hidden> after[] = {imageReference(GetParam(), other, left)};
  ASSERT_NO_FATAL_FAILURE(expectAll(sequences, 0, after));
}

TEST_P(ImageTest, PicturesTellPrefixesApart) {
  auto [ids, images] = text({1}, 20, 51);
  PromptImages others = images;
  others.images = {makePicture(1, 77)};
  std::unique_ptr<Sequence> first[] = {sequence(ids, images)};
  const std::vector<Hidden> wanted[] = {imageReference(GetParam(), ids, images)};
  ASSERT_NO_FATAL_FAILURE(expectAll(first, 0, wanted));
  std::unique_ptr<Sequence> same = sequence(ids, images), other = sequence(ids, others);
  EXPECT_EQ(same->reusePrefix(), 32u);
  EXPECT_EQ(other->reusePrefix(), 16u); // the picture comes at token 20
  std::unique_ptr<Sequence> second[] = {std::move(other)};
  const std::vector<Hidden> otherWanted[] = {imageReference(GetParam(), ids, others)};
  ASSERT_NO_FATAL_FAILURE(expectAll(second, 0, otherWanted));
}

TEST_P(ImageTest, RequestsWaitForRoom) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 5; ++i) {
    auto [ids, images] = text(isLlama4_ ? std::vector<uint32_t>{3, 2} : std::vector(5, 1u), 3, i);
    requests.push_back({ids, 6});
    requests.back().images = std::make_shared<PromptImages>(std::move(images));
  }
  Result<std::vector<Generation>> together = generate(*engine_, requests, {});
  ASSERT_TRUE(together.ok()) << together.status().message();
  for (size_t i = 0; i < requests.size(); ++i) {
    make();
    Result<std::vector<Generation>> alone = generate(*engine_, {&requests[i], 1}, {});
    ASSERT_TRUE(alone.ok()) << alone.status().message();
    EXPECT_EQ((*together)[i].tokens, (*alone)[0].tokens) << "request " << i;
    EXPECT_EQ((*alone)[0].tokens.size(), 6u);
  }
}

TEST_P(ImageTest, StepsAllocateNothing) {
  auto [ids, images] = text({1, 2}, 5, 61);
  std::unique_ptr<Sequence> sequences[] = {sequence(ids, images)};
  StepPlanner planner(*engine_, 4);
  ASSERT_TRUE(planner.plan(sequences));
  ASSERT_TRUE(engine_->step(planner.chunks()).ok());
  const uint64_t before = allocationCount();
  while (planner.plan(sequences))
    ASSERT_TRUE(engine_->step(planner.chunks()).ok());
  EXPECT_EQ(allocationCount(), before);
}

TEST_P(ImageTest, WrongPicturesAreRefused) {
  auto refused = [&](std::vector<ImagePixels> images, StatusKind kind) {
    Result<std::shared_ptr<const PooledImages>> result = engine_->encodeImages(images);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().kind(), kind) << result.status().message();
  };
  ImagePixels cut = makePicture(2, 1), none;
  cut.pixels.pop_back();
  refused({cut}, StatusKind::InvalidInput);
  refused({none}, StatusKind::InvalidInput);
  std::vector<ImagePixels> many;
  for (uint32_t i = 0; i <= imageUnits; ++i)
    many.push_back(makePicture(1, i));
  refused(many, StatusKind::Usage);
  EXPECT_EQ(engine_->images()->room().usedUnits(), 0u);
  // Places of what is not there.
  auto [ids, images] = text({1}, 2, 1);
  (isLlama4_ ? images.places.featureRows : images.places.count).assign(ids.size(), 9);
  std::unique_ptr<Sequence> sequence = engine_->createSequence().take();
  EXPECT_FALSE(engine_->setImages(*sequence, images).ok());
  EXPECT_EQ(engine_->images()->room().usedUnits(), 0u);
}

TEST_P(ImageTest, MemoryIsCounted) {
  const Engine::Memory memory = engine_->memory();
  const uint64_t rows = imageUnits * (isLlama4_ ? 4u : 2 * 20u);
  EXPECT_GE(memory.images, rows * 64);
  EXPECT_EQ(memory.images, engine_->images()->bytes());
}

INSTANTIATE_TEST_SUITE_P(Families, ImageTest, ::testing::ValuesIn(families), [](const auto &info) {
  return info.param == ImageFamily::Llama4 ? "Llama4" : "Mllama";
});

TEST(Images, AreNothingForATextModel) {
  std::unique_ptr<Device> device = tinyDevice(1);
  std::shared_ptr<const Program> program = loadTiny(::testing::TempDir() + "text.l4x");
  std::unique_ptr<Engine> engine = Engine::create(program, *device).take();
  std::vector<ImagePixels> one = {makePicture(1, 1)};
  EXPECT_EQ(engine->encodeImages(one).status().kind(), StatusKind::InvalidInput);
  EXPECT_FALSE(engine->imagesFit(one));
  EXPECT_EQ(engine->memory().images, 0u);
  EXPECT_FALSE(ImagePreparer::create(program->desc().images).ok());
}

// Entries that don't fit the facts are refused when the engine is made.
TEST(Images, EntriesThatDoNotFitAreRefused) {
  using Change = void (*)(ProgramDesc &);
  const std::pair<ImageFamily, Change> cases[] = {
      {ImageFamily::Llama4, [](ProgramDesc &p) { p.images.imageSize = 8; }},
      {ImageFamily::Llama4, [](ProgramDesc &p) { p.images.family = ImageFamily::Mllama; }},
      {ImageFamily::Llama4, [](ProgramDesc &p) { p.entries.back().function = "other"; }},
      {ImageFamily::Llama4, [](ProgramDesc &p) { p.entries.back().inputs[0].name = "other"; }},
      {ImageFamily::Llama4, [](ProgramDesc &p) { p.entries[0].inputs.back().name = "other"; }},
      {ImageFamily::Mllama, [](ProgramDesc &p) { p.entries.back().outputs[0].rowsPerSymbol = 21; }},
      {ImageFamily::Mllama, [](ProgramDesc &p) { p.entries.back().function = "other"; }},
      {ImageFamily::Mllama, [](ProgramDesc &p) { p.entries[0].inputs[8].rowsFixed = 10; }},
      {ImageFamily::Mllama, [](ProgramDesc &p) { p.images = {}; }},
  };
  std::unique_ptr<Device> device = tinyDevice(1);
  for (size_t i = 0; i < std::size(cases); ++i) {
    ProgramDesc desc = imageProgram(cases[i].first);
    cases[i].second(desc);
    if (desc.images.present()) { // what the loader checks stays right
      ImageInfo &images = desc.images;
      const uint32_t patches = images.imageSize / 2 * (images.imageSize / 2);
      images.tokensPerTile = patches + (images.family == ImageFamily::Mllama ? 1 : 0);
      images.maxFeatureRows = 10000;
    }
    std::shared_ptr<const Program> program =
        loadProgram(desc, ::testing::TempDir() + "refused.l4x");
    Result<std::unique_ptr<Engine>> engine = Engine::create(program, *device);
    ASSERT_FALSE(engine.ok()) << "case " << i;
    EXPECT_EQ(engine.status().kind(), StatusKind::InvalidInput);
  }
}

TEST(Images, MetasIntervals) {
  ImagePreparer preparer = ImagePreparer::create(imageProgram(ImageFamily::Mllama).images).take();
  constexpr int32_t mark = mllamaImageToken;
  // Nothing, then two pictures that touch, then a third one, which is seen to the end.
  const std::vector<int32_t> ids = {1, mark, mark, 2, 3, mark, 4};
  Result<ImagePlaces> places = preparer.findPlaces(ids, 3);
  ASSERT_TRUE(places.ok()) << places.status().message();
  EXPECT_EQ(places->first, (std::vector<int32_t>{0, 0, 0, 0, 0, 2, 2}));
  EXPECT_EQ(places->count, (std::vector<int32_t>{0, 1, 2, 2, 2, 1, 1}));
  EXPECT_FALSE(preparer.findPlaces(ids, 2).ok());
  EXPECT_FALSE(preparer.findPlaces(ids, 4).ok());
}

TEST(Images, PromptsOfLlama4) {
  ImagePreparer preparer = ImagePreparer::create(imageProgram(ImageFamily::Llama4).images).take();
  const image::RgbImage wide = {{8, 4}, std::vector<uint8_t>(8 * 4 * 3, 200)};
  PreparedImage prepared = preparer.prepare(wide).take();
  EXPECT_EQ(prepared.pixels.tiles, 3u); // two beside each other and the global one
  EXPECT_EQ(prepared.grid, (image::Grid{1, 2}));
  const std::vector<int32_t> ids = {1, llama4ImageToken, 2};
  Result<ImagePrompt> prompt = preparer.place(ids, {prepared});
  ASSERT_TRUE(prompt.ok()) << prompt.status().message();
  constexpr int32_t p = llama4PatchToken;
  EXPECT_EQ(prompt->ids, (std::vector<int32_t>{1, 8, p, p, p, p, 10, p, p, p, p, 11,
                                               llama4ImageToken, p, p, p, p, 9, 2}));
  EXPECT_EQ(prompt->images->places, *preparer.findPlaces(prompt->ids, 3));
  // What is whole already stays as it is.
  Result<ImagePrompt> again = preparer.place(prompt->ids, {prepared});
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->ids, prompt->ids);
  EXPECT_EQ(again->images->places, prompt->images->places);
  EXPECT_FALSE(preparer.place(ids, {}).ok());
  EXPECT_FALSE(preparer.place(ids, {prepared, prepared}).ok());
  const std::vector<int32_t> bare = {1, 2};
  EXPECT_FALSE(preparer.place(bare, {prepared}).ok());
  EXPECT_EQ(preparer.place(bare, {})->images, nullptr);
}

} // namespace
} // namespace llama4::test
