//===- KvCacheTest.cpp - pages and who holds them -------------------------===//

#include "runtime/engine/KvCache.h"

#include "test/engine/TinyModel.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

namespace llama4::test {
namespace {

class KvCacheTest : public ::testing::Test {
protected:
  void SetUp() override { device_ = tinyDevice(1); }
  std::unique_ptr<KvCache> make(const KvCacheOptions &options) {
    Result<std::unique_ptr<KvCache>> cache = KvCache::create(tinyProgram(), *device_, options);
    EXPECT_TRUE(cache.ok()) << cache.status().message();
    return cache.take();
  }
  std::unique_ptr<Device> device_;
  const uint64_t pageBytes_ = kvPageBytes(ElementType::F32, 2, 8);
};

TEST_F(KvCacheTest, PagesAreWhatIsNeeded) {
  std::unique_ptr<KvCache> cache = make({100, 3, 20, uint64_t{1} << 30});
  EXPECT_EQ(cache->pages(0), 21u);     // 3 * ceil(100 / 16)
  EXPECT_EQ(cache->pages(1), 3u * 4u); // 3 * ceil((31 + 20) / 16)
  EXPECT_EQ(cache->stride(0), 7u);
  EXPECT_EQ(cache->bytes(), (21 * 2 + 12) * pageBytes_);
  EXPECT_EQ(cache->pools().size(), 3u);
  EXPECT_EQ(cache->maxLength(), 100u);
}

TEST_F(KvCacheTest, PagesAreNeededAtSomePositionAndNeverMore) {
  // Chunks that begin anywhere in a page, at its start, and at a few places; one that never ends.
  for (uint32_t chunk : {1u, 5u, 8u, 16u, 24u, 32u, 40u, 128u, 1000u})
    for (uint32_t step : {1u, 2u, 15u, 20u, 40u, 200u})
      for (uint64_t length : {1u, 16u, 17u, 47u, 100u, 333u}) {
        ProgramDesc program = tinyProgram();
        program.kvKinds[1].chunkTokens = chunk;
        std::unique_ptr<KvCache> cache =
            KvCache::create(program, *device_, {length, 1, step, uint64_t{1} << 30}).take();
        const uint32_t slot = *cache->acquire();
        uint32_t most[2] = {};
        for (uint64_t at = 0; at < length; ++at) {
          ASSERT_TRUE(cache->reserve(slot, std::min(at + step, length), at).ok())
              << "chunks of " << chunk << ", steps of " << step << ", at " << at;
          for (uint32_t kind : {0u, 1u})
            most[kind] = std::max(most[kind], cache->heldPages(kind, slot));
          ASSERT_TRUE(cache->truncate(slot, at).ok());
          ASSERT_TRUE(cache->reserve(slot, at + 1, at).ok());
          cache->retire(slot, at + 1);
        }
        EXPECT_EQ(most[0], cache->pages(0));
        EXPECT_EQ(most[1], cache->pages(1))
            << "chunks of " << chunk << ", steps of " << step << ", " << length << " tokens";
      }
}

TEST_F(KvCacheTest, PagesAreWhatFits) {
  // Needs 21 * 2 + 12 = 54 pages; a third of them fits.
  std::unique_ptr<KvCache> cache = make({100, 3, 20, 18 * pageBytes_});
  EXPECT_EQ(cache->pages(0), 7u);
  EXPECT_EQ(cache->pages(1), 4u);
  EXPECT_LE(cache->bytes(), 18 * pageBytes_);
  EXPECT_EQ(cache->maxLength(), 100u);
  cache = make({100, 3, 20, 10 * pageBytes_});
  EXPECT_EQ(cache->pages(0), 3u);
  EXPECT_EQ(cache->maxLength(), 48u); // three pages, whoever has them
  Result<std::unique_ptr<KvCache>> none =
      KvCache::create(tinyProgram(), *device_, {100, 3, 20, 2 * pageBytes_});
  EXPECT_EQ(none.status().kind(), StatusKind::OutOfMemory);
}

TEST_F(KvCacheTest, NoPageIsHeldTwice) {
  std::unique_ptr<KvCache> cache = make({100, 3, 20, uint64_t{1} << 30});
  uint32_t slots[] = {*cache->acquire(), *cache->acquire(), *cache->acquire()};
  EXPECT_EQ(cache->acquire(), std::nullopt);
  for (uint64_t length : {1, 16, 17, 33, 60}) {
    for (uint32_t slot : slots)
      ASSERT_TRUE(cache->reserve(slot, length).ok());
    std::set<int32_t> held;
    for (uint32_t slot : slots)
      for (uint32_t page = 0; page < cache->rowPages(0, slot); ++page) {
        int32_t id = cache->row(0, slot)[page];
        EXPECT_GE(id, 0);
        EXPECT_LT(id, static_cast<int32_t>(cache->pages(0)));
        EXPECT_TRUE(held.insert(id).second) << "page " << id;
      }
    EXPECT_EQ(held.size(), 3 * ((length + 15) / 16));
    EXPECT_EQ(cache->freePages(0), cache->pages(0) - held.size());
  }
  for (uint32_t slot : slots)
    cache->release(slot);
  EXPECT_EQ(cache->freePages(0), cache->pages(0));
  EXPECT_EQ(cache->freePages(1), cache->pages(1));
}

TEST_F(KvCacheTest, ReserveIsAllOrNothing) {
  std::unique_ptr<KvCache> cache = make({100, 3, 20, 23 * pageBytes_}); // 8 and 5 pages
  uint32_t a = *cache->acquire(), b = *cache->acquire();
  ASSERT_TRUE(cache->reserve(a, 64).ok());
  // Kind 0 has four free pages, kind 1 only one.
  EXPECT_EQ(cache->reserve(b, 32).kind(), StatusKind::OutOfMemory);
  EXPECT_EQ(cache->freePages(0), 4u);
  EXPECT_EQ(cache->freePages(1), 1u);
  EXPECT_EQ(cache->reserve(a, 101).kind(), StatusKind::Usage);
  cache->retire(a, 64); // both chunks have ended
  EXPECT_EQ(cache->freePages(1), 5u);
  EXPECT_EQ(cache->freePages(0), 4u);
  EXPECT_TRUE(cache->reserve(b, 32).ok());
}

/// A text that goes on a token at a time takes as many pages as was said, whether or not another
/// holds what it gives back.
TEST_F(KvCacheTest, DemandIsWhatIsTaken) {
  for (uint32_t chunk : {8u, 24u, 32u, 40u})
    for (uint64_t from : {1u, 15u, 16u, 31u, 33u, 40u, 50u})
      for (uint64_t to : {51u, 64u, 65u, 120u})
        for (bool isShared : {false, true}) {
          ProgramDesc program = tinyProgram();
          program.kvKinds[1].chunkTokens = chunk;
          std::unique_ptr<KvCache> cache =
              KvCache::create(program, *device_, {120, 2, 20, uint64_t{1} << 30}).take();
          const uint32_t slot = *cache->acquire(), other = *cache->acquire();
          for (uint64_t length = 1; length <= from; ++length) {
            ASSERT_TRUE(cache->reserve(slot, length, length - 1).ok());
            cache->retire(slot, length);
          }
          if (isShared)
            cache->share(slot, other, from);
          const uint32_t free[] = {cache->freePages(0), cache->freePages(1)};
          const uint64_t said[] = {cache->demand(0, slot, from, to, 1),
                                   cache->demand(1, slot, from, to, 1)};
          uint64_t taken[2] = {};
          for (uint64_t length = from + 1; length <= to; ++length) {
            ASSERT_TRUE(cache->reserve(slot, length, length - 1).ok());
            for (uint32_t kind : {0u, 1u})
              if (free[kind] > cache->freePages(kind))
                taken[kind] = std::max<uint64_t>(taken[kind], free[kind] - cache->freePages(kind));
            cache->retire(slot, length);
          }
          for (uint32_t kind : {0u, 1u})
            EXPECT_EQ(said[kind], taken[kind])
                << "kind " << kind << ", chunks of " << chunk << ", " << from << " to " << to
                << (isShared ? ", shared" : "");
        }
}

TEST_F(KvCacheTest, EntriesWithoutPageAreZero) {
  std::unique_ptr<KvCache> cache = make({100, 2, 20, uint64_t{1} << 30});
  uint32_t slot = *cache->acquire();
  ASSERT_TRUE(cache->reserve(slot, 50).ok());
  cache->retire(slot, 40); // pages 0 and 1 are dead in the chunked kind
  EXPECT_EQ(cache->row(1, slot)[0], 0);
  EXPECT_EQ(cache->row(1, slot)[1], 0);
  EXPECT_NE(cache->row(1, slot)[2], 0);
  ASSERT_TRUE(cache->truncate(slot, 40).ok());
  EXPECT_EQ(cache->row(0, slot)[3], 0);
  EXPECT_EQ(cache->truncate(slot, 31).kind(), StatusKind::Internal);
  ASSERT_TRUE(cache->truncate(slot, 32).ok());
  EXPECT_EQ(cache->freePages(1), cache->pages(1));
  ASSERT_TRUE(cache->reserve(slot, 33).ok());
  EXPECT_EQ(cache->freePages(1), cache->pages(1) - 1);
}

} // namespace
} // namespace llama4::test
