//===- KvPrefixTest.cpp - pages that are found again and shared -----------===//

#include "runtime/engine/KvCache.h"

#include "test/engine/TinyModel.h"

#include <gtest/gtest.h>
#include <random>
#include <set>

namespace llama4::test {
namespace {

constexpr uint64_t plenty = uint64_t{1} << 30;

/// A program with these chunks of attention, a kind each; 0: full attention.
ProgramDesc withKinds(std::initializer_list<uint32_t> chunks) {
  ProgramDesc program = tinyProgram();
  const KvKind kind = program.kvKinds[0];
  program.kvKinds.clear();
  for (uint32_t chunk : chunks) {
    program.kvKinds.push_back(kind);
    program.kvKinds.back().name = "chunk" + std::to_string(chunk);
    program.kvKinds.back().chunkTokens = chunk;
  }
  return program;
}

/// A text that is written to a cache, a number for each position that depends on all before it.
struct Text {
  uint32_t slot = 0;
  std::vector<int32_t> tokens;
  std::vector<PromptContent> contents;
  uint64_t processed = 0;

  KvText view() const { return {tokens, contents}; }
  std::vector<uint32_t> numbers() const {
    std::vector<uint32_t> all;
    uint32_t number = 1;
    for (size_t i = 0; i < tokens.size(); ++i) {
      number = number * 16777619u + static_cast<uint32_t>(tokens[i]) + 1;
      for (const PromptContent &content : contents)
        if (content.position == i)
          number = number * 16777619u + static_cast<uint32_t>(content.key.low);
      all.push_back(number);
    }
    return all;
  }
};

class KvPrefixTest : public ::testing::Test {
protected:
  void SetUp() override { device_ = tinyDevice(1); }
  void make(const ProgramDesc &program, const KvCacheOptions &options) {
    program_ = program;
    auto cache = KvCache::create(program, *device_, options);
    ASSERT_TRUE(cache.ok()) << cache.status().message();
    cache_ = cache.take();
  }
  uint32_t *place(uint32_t pool, uint32_t kind, uint32_t slot, uint64_t position) const {
    const auto page = static_cast<uint64_t>(cache_->row(kind, slot)[position / L4_PAGE_TOKENS]);
    auto *bytes = static_cast<std::byte *>(cache_->pools()[pool]);
    return reinterpret_cast<uint32_t *>(bytes + page * program_.kvKinds[kind].pageBytes) +
           position % L4_PAGE_TOKENS;
  }
  template <typename Use> void forPools(Use use) const {
    for (uint32_t kind = 0, pool = 0; kind < cache_->kinds(); ++kind)
      for (uint32_t layer = 0; layer < program_.kvKinds[kind].layers; ++layer)
        use(pool++, kind);
  }
  /// What a step does: pages, numbers into them, and what follows. False when there are no pages.
  bool step(Text &text, uint64_t count) {
    const uint64_t end = text.processed + count;
    Status status = cache_->reserve(text.slot, end, text.processed);
    EXPECT_TRUE(status.ok() || status.kind() == StatusKind::OutOfMemory) << status.message();
    if (!status.ok())
      return false;
    const std::vector<uint32_t> numbers = text.numbers();
    forPools([&](uint32_t pool, uint32_t kind) {
      for (uint64_t i = text.processed; i < end; ++i)
        *place(pool, kind, text.slot, i) = numbers[i] + pool;
    });
    text.processed = end;
    cache_->publish(text.slot, text.view(), end);
    cache_->retire(text.slot, end);
    return true;
  }
  /// Whether the next token would see its text's numbers in every layer.
  void check(const Text &text) const {
    const std::vector<uint32_t> numbers = text.numbers();
    forPools([&](uint32_t pool, uint32_t kind) {
      const uint64_t chunk = program_.kvKinds[kind].chunkTokens;
      for (uint64_t i = chunk ? text.processed / chunk * chunk : 0; i < text.processed; ++i)
        ASSERT_EQ(*place(pool, kind, text.slot, i), numbers[i] + pool)
            << "kind " << kind << " position " << i << " of " << text.processed;
    });
  }
  Text begin(std::vector<int32_t> tokens, std::vector<PromptContent> contents = {}) {
    Text text = {*cache_->acquire(), std::move(tokens), std::move(contents)};
    text.processed = cache_->reuse(text.slot, text.view());
    return text;
  }
  void finish(Text &text, uint64_t atOnce = 16) {
    while (text.processed < text.tokens.size()) {
      ASSERT_TRUE(step(text, std::min<uint64_t>(atOnce, text.tokens.size() - text.processed)));
      ASSERT_NO_FATAL_FAILURE(check(text));
    }
  }
  /// Tokens that a text finds; nothing stays of it.
  uint64_t found(std::vector<int32_t> tokens, std::vector<PromptContent> contents = {}) {
    Text text = begin(std::move(tokens), std::move(contents));
    check(text);
    cache_->release(text.slot);
    return text.processed;
  }

  ProgramDesc program_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<KvCache> cache_;
};

std::vector<int32_t> firstOf(const std::vector<int32_t> &tokens, size_t count) {
  return {tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(count)};
}

TEST_F(KvPrefixTest, WholePagesAreFoundButNeverAllOfAText) {
  make(withKinds({0}), {200, 3, 40, plenty, true});
  const std::vector<int32_t> tokens = tinyText(100, 1);
  Text text = begin(tokens);
  EXPECT_EQ(text.processed, 0u);
  finish(text);
  for (size_t length :
       {15u, 16u, 17u, 32u, 33u, 96u, 97u, 100u}) // while its text is there, and later
    EXPECT_EQ(found(firstOf(tokens, length)), (length - 1) / 16 * 16) << length;
  cache_->release(text.slot);
  EXPECT_EQ(cache_->freePages(0), cache_->pages(0));
  EXPECT_EQ(cache_->unheldPages(0), 6u);
  EXPECT_EQ(found(tokens), 96u);
  std::vector<int32_t> other = tokens;
  other[40] = (other[40] + 1) % static_cast<int32_t>(tinyVocab);
  EXPECT_EQ(found(other), 32u);
  other = tokens;
  other[0] = (other[0] + 1) % static_cast<int32_t>(tinyVocab);
  EXPECT_EQ(found(other), 0u);
  cache_->dropUnheld();
  EXPECT_EQ(cache_->unheldPages(0), 0u);
  EXPECT_EQ(cache_->freePages(0), cache_->pages(0));
  EXPECT_EQ(found(tokens), 0u);
}

TEST_F(KvPrefixTest, OtherContentIsAnotherText) {
  make(withKinds({0}), {200, 3, 40, plenty, true});
  const std::vector<int32_t> tokens = tinyText(100, 1);
  const PromptContent cat = {20, {7, 1}}, dog = {20, {7, 2}};
  Text text = begin(tokens, {cat});
  finish(text);
  EXPECT_EQ(found(tokens, {cat}), 96u);
  EXPECT_EQ(found(tokens, {dog}), 16u);
  EXPECT_EQ(found(tokens, {{21, cat.key}}), 16u);
  EXPECT_EQ(found(tokens), 16u);
  EXPECT_EQ(found(tokens, {cat, {50, {7, 1}}}), 48u);
}

/// A chunk whose pages are gone is reused no further than where none of them is needed.
TEST_F(KvPrefixTest, ChunksWhosePagesAreGoneShortenTheReuse) {
  // 20 pages of full attention; 6 of chunks of 64: of the first chunk only page 0 stays.
  make(withKinds({0, 64}), {320, 1, 32, plenty, true});
  ASSERT_EQ(cache_->pages(1), 6u);
  const std::vector<int32_t> tokens = tinyText(144, 1);
  Text text = begin(tokens);
  finish(text);
  cache_->release(text.slot);
  const std::pair<size_t, uint64_t> wanted[] = {
      {17, 16},   // page 0 is there
      {63, 16},   // pages 1 to 3 are not
      {64, 16},   // the last token is never reused, so this ends in the first chunk too
      {65, 64},   // a border: the next token sees nothing of the first chunk
      {100, 96},  // pages 4 and 5 are there
      {128, 112}, //
      {131, 128},
  };
  for (auto [length, reused] : wanted)
    EXPECT_EQ(found(firstOf(tokens, length)), reused) << length;
}

TEST_F(KvPrefixTest, TheLongestUnusedTextGoesFirstAndFromItsEnd) {
  make(withKinds({0}), {160, 1, 16, plenty, true}); // ten pages
  const std::vector<int32_t> older = tinyText(64, 1), newer = tinyText(64, 2);
  for (const auto &tokens : {older, newer}) {
    Text text = begin(tokens);
    finish(text);
    cache_->release(text.slot);
  }
  EXPECT_EQ(cache_->unheldPages(0), 8u);
  Text third = begin(tinyText(65, 3));
  finish(third); // five pages, three of which were known
  cache_->release(third.slot);
  auto longer = [](std::vector<int32_t> tokens) {
    tokens.push_back(0);
    return tokens;
  };
  EXPECT_EQ(found(longer(newer)), 64u);
  EXPECT_EQ(found(longer(older)), 16u);
}

TEST_F(KvPrefixTest, APartlyFilledPageIsCopiedWhenWritten) {
  make(withKinds({0, 32}), {200, 3, 40, plenty, true});
  Text one = begin(tinyText(72, 1));
  finish(one);
  Text other = {*cache_->acquire(), one.tokens, {}, one.processed};
  cache_->share(one.slot, other.slot, one.processed);
  EXPECT_EQ(cache_->freePages(0), cache_->pages(0) - 5);
  ASSERT_NO_FATAL_FAILURE(check(other));
  other.tokens.push_back(3);
  one.tokens.push_back(4);
  finish(other);
  EXPECT_EQ(cache_->freePages(0), cache_->pages(0) - 6); // its own last page
  finish(one);
  EXPECT_EQ(cache_->freePages(0), cache_->pages(0) - 6); // nobody else has the first one by now
  ASSERT_NO_FATAL_FAILURE(check(one));
  ASSERT_NO_FATAL_FAILURE(check(other));
  cache_->release(one.slot);
  ASSERT_NO_FATAL_FAILURE(check(other));
}

TEST_F(KvPrefixTest, AKnownPageIsNotWrittenAfterACut) {
  make(withKinds({0}), {200, 3, 40, plenty, true});
  const std::vector<int32_t> tokens = tinyText(48, 1);
  Text text = begin(tokens);
  finish(text);
  ASSERT_TRUE(cache_->truncate(text.slot, 40).ok());
  text.tokens.resize(40);
  text.processed = 40;
  for (int32_t id = 0; id < 20; ++id)
    text.tokens.push_back(id);
  finish(text);
  std::vector<int32_t> longer = tokens;
  longer.push_back(1);
  EXPECT_EQ(found(longer), 48u); // and its numbers are those of its own text
}

TEST_F(KvPrefixTest, EqualTextsComeToTheSamePages) {
  make(withKinds({0, 32}), {200, 3, 40, plenty, true});
  Text one = begin(tinyText(60, 1)), other = begin(tinyText(60, 1));
  EXPECT_EQ(other.processed, 0u); // nothing was published when it came
  finish(one, 7);
  finish(other, 9);
  EXPECT_EQ(cache_->freePages(0), cache_->pages(0) - 5); // three together, one each
}

TEST_F(KvPrefixTest, WithoutPrefixesNothingIsFound) {
  make(withKinds({0}), {200, 3, 40, plenty, false});
  Text text = begin(tinyText(60, 1));
  finish(text);
  EXPECT_EQ(found(tinyText(60, 1)), 0u);
  cache_->release(text.slot);
  EXPECT_EQ(cache_->unheldPages(0), 0u);
}

/// Whatever happens in whatever order, each text sees its own numbers, and no page is lost.
class RandomTexts : public KvPrefixTest,
                    public ::testing::WithParamInterface<std::vector<uint32_t>> {
protected:
  void one(std::mt19937 &random) {
    const uint32_t what = random() % 16;
    if (texts_.empty() || (what < 4 && texts_.size() < 6))
      return join(random);
    Text &text = texts_[random() % texts_.size()];
    if (what < 11)
      return advance(text, random);
    if (what == 11 && texts_.size() < 6)
      return fork(text);
    if (what == 12)
      return cut(text, random);
    if (what == 13 && random() % 8 == 0)
      return cache_->dropUnheld();
    if (what >= 14)
      leave(static_cast<size_t>(&text - texts_.data()));
  }
  /// Few tokens and few beginnings, so that texts meet.
  void join(std::mt19937 &random) {
    std::vector<int32_t> tokens = tinyText(1 + random() % 150, random() % 4);
    for (size_t i = tokens.size() - std::min<size_t>(tokens.size(), random() % 40);
         i < tokens.size(); ++i)
      tokens[i] = static_cast<int32_t>(random() % 2);
    std::vector<PromptContent> contents;
    if (random() % 4 == 0)
      contents.push_back({random() % 40, {random() % 2, 0}});
    texts_.push_back(begin(std::move(tokens), std::move(contents)));
    reused_ += texts_.back().processed;
    check(texts_.back());
  }
  void advance(Text &text, std::mt19937 &random) {
    if (text.processed == text.tokens.size())
      text.tokens.push_back(static_cast<int32_t>(random() % 2));
    const uint64_t most = std::min<uint64_t>(text.tokens.size() - text.processed, 40);
    const uint64_t count = 1 + random() % most;
    if (text.processed + count > cache_->maxLength() || !step(text, count))
      leave(static_cast<size_t>(&text - texts_.data()));
    else
      check(text);
  }
  void fork(const Text &text) {
    Text made = text;
    made.tokens.resize(text.processed);
    std::erase_if(made.contents, [&](const auto &one) { return one.position >= text.processed; });
    made.slot = *cache_->acquire();
    cache_->share(text.slot, made.slot, text.processed);
    check(made);
    texts_.push_back(std::move(made));
  }
  void cut(Text &text, std::mt19937 &random) {
    const uint64_t length = random() % (text.processed + 1);
    if (length == text.processed || !cache_->truncate(text.slot, length).ok())
      return;
    text.tokens.resize(length);
    std::erase_if(text.contents, [&](const auto &one) { return one.position >= length; });
    text.processed = length;
    check(text);
  }
  void leave(size_t index) {
    cache_->release(texts_[index].slot);
    texts_.erase(texts_.begin() + static_cast<ptrdiff_t>(index));
  }
  void countPages() const {
    for (uint32_t kind = 0; kind < cache_->kinds(); ++kind) {
      std::set<int32_t> held;
      for (const Text &text : texts_) {
        const uint32_t end = cache_->rowPages(kind, text.slot);
        for (uint32_t page = end - cache_->heldPages(kind, text.slot); page < end; ++page)
          held.insert(cache_->row(kind, text.slot)[page]);
      }
      ASSERT_EQ(cache_->freePages(kind) + held.size(), cache_->pages(kind));
    }
  }

  std::vector<Text> texts_;
  uint64_t reused_ = 0;
};

TEST_P(RandomTexts, SeeTheirOwnNumbers) {
  ProgramDesc program = withKinds({});
  for (uint32_t chunk : GetParam())
    program.kvKinds.push_back(withKinds({chunk}).kvKinds[0]);
  const uint64_t pageBytes = program.kvKinds[0].pageBytes * program.kvKinds[0].layers;
  for (uint64_t pages : {20, 40, 200}) {
    reused_ = 0;
    make(program, {200, 6, 40, pages * pageBytes * GetParam().size(), true});
    std::mt19937 random(static_cast<uint32_t>(pages));
    for (int i = 0; i < 4000; ++i) {
      ASSERT_NO_FATAL_FAILURE(one(random)) << "operation " << i;
      ASSERT_NO_FATAL_FAILURE(countPages()) << "operation " << i;
    }
    while (!texts_.empty())
      leave(0);
    ASSERT_NO_FATAL_FAILURE(countPages());
    cache_->dropUnheld();
    for (uint32_t kind = 0; kind < cache_->kinds(); ++kind)
      EXPECT_EQ(cache_->unheldPages(kind), 0u);
    EXPECT_GT(reused_, 1000u) << "hardly anything was found again";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, RandomTexts,
                         ::testing::Values(std::vector<uint32_t>{0}, std::vector<uint32_t>{0, 16},
                                           std::vector<uint32_t>{0, 24},
                                           std::vector<uint32_t>{0, 32, 64},
                                           std::vector<uint32_t>{32}, std::vector<uint32_t>{40},
                                           std::vector<uint32_t>{0, 0}));

} // namespace
} // namespace llama4::test
