//===- PoolBackingTest.cpp - memory is there before it is used ------------===//

#include "runtime/engine/PoolBacking.h"

#include "runtime/engine/KvCache.h"
#include "test/engine/TinyModel.h"

#include <algorithm>
#include <condition_variable>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <thread>

namespace llama4::test {
namespace {

constexpr uint64_t extent = PoolBacking::extentBytes;

/// Memory that remembers what was asked to be backed.
class RecordedBuffer : public DeviceBuffer {
public:
  explicit RecordedBuffer(uint64_t bytes, bool works = true, bool hasMemory = false)
      : bytes_(bytes), works_(works), memory_(hasMemory ? bytes : 0) {}
  void *data() const override { return const_cast<std::byte *>(memory_.data()); }
  uint64_t bytes() const override { return bytes_; }
  bool back(uint64_t offset, uint64_t bytes) override {
    std::unique_lock lock(mutex_);
    ++calls_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    EXPECT_LE(offset + bytes, bytes_);
    EXPECT_EQ(offset % extent, 0u);
    EXPECT_TRUE(backed_.emplace(offset / extent, bytes).second) << "extent " << offset / extent;
    return works_;
  }
  /// Extents that are backed, and their bytes.
  std::map<uint64_t, uint64_t> backed() const {
    std::lock_guard lock(mutex_);
    return backed_;
  }
  void hold(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void awaitCall() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return calls_ != 0; });
  }

private:
  const uint64_t bytes_;
  const bool works_;
  std::vector<std::byte> memory_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int calls_ = 0;
  std::map<uint64_t, uint64_t> backed_;
};

using Extents = std::map<uint64_t, uint64_t>;

TEST(PoolBacking, ShortTextsTakeNothing) {
  RecordedBuffer pool(3 * extent);
  PoolBacking backing({{&pool}});
  for (uint64_t bytes : {uint64_t{0}, uint64_t{1}, extent / 4, extent / 2})
    backing.use(0, bytes);
  backing.finish();
  EXPECT_EQ(pool.backed(), Extents());
}

TEST(PoolBacking, EveryPoolOfTheKindGetsItsNextExtent) {
  RecordedBuffer a(3 * extent), b(3 * extent), other(3 * extent), small(extent);
  PoolBacking backing({{&a, &b}, {&other}, {&small}, {}});
  backing.use(2, extent);
  backing.use(0, extent / 2 + 1);
  backing.finish();
  EXPECT_EQ(a.backed(), (Extents{{1, extent}}));
  EXPECT_EQ(b.backed(), (Extents{{1, extent}}));
  EXPECT_EQ(other.backed(), Extents());
  EXPECT_EQ(small.backed(), Extents());
}

TEST(PoolBacking, WhatIsUsedNextIsBackedAndNoMore) {
  const uint64_t page = 12288, pages = 5 * extent / page + 7, end = pages * page;
  RecordedBuffer pool(end);
  PoolBacking backing({{&pool}});
  for (uint64_t used = page; used <= end; used += page) {
    // It was backed before, but for what the first step touches.
    const Extents before = pool.backed();
    ASSERT_TRUE((used - 1) / extent == 0 || before.contains((used - 1) / extent)) << used;
    backing.use(0, used);
    backing.finish();
    const uint64_t least = std::min(used + PoolBacking::aheadBytes, end);
    ASSERT_EQ(pool.backed().size(), (least + extent - 1) / extent - 1) << used;
  }
  EXPECT_EQ(pool.backed(),
            (Extents{{1, extent}, {2, extent}, {3, extent}, {4, extent}, {5, end - 5 * extent}}));
}

TEST(PoolBacking, WhatStepsTouchIsLeftToThem) {
  RecordedBuffer pool(20 * extent);
  PoolBacking backing({{&pool}});
  backing.use(0, 3 * extent + extent / 4); // a long prompt
  backing.finish();
  EXPECT_EQ(pool.backed(), Extents());
  backing.use(0, 3 * extent + extent / 4 * 3);
  backing.finish();
  EXPECT_EQ(pool.backed(), (Extents{{4, extent}}));
  backing.use(0, 7 * extent);
  backing.finish();
  EXPECT_EQ(pool.backed(), (Extents{{4, extent}, {7, extent}}));
}

TEST(PoolBacking, ADeviceThatBacksNothingIsNotAskedAgain) {
  RecordedBuffer pool(9 * extent, /*works=*/false), second(9 * extent);
  PoolBacking backing({{&pool, &second}});
  for (uint64_t used = 0; used <= 9 * extent; used += extent / 2) {
    backing.use(0, used);
    backing.finish();
  }
  EXPECT_EQ(pool.backed(), (Extents{{1, extent}}));
  EXPECT_EQ(second.backed(), Extents());
}

TEST(PoolBacking, EndsInTheMiddle) {
  RecordedBuffer pool(9 * extent), second(9 * extent);
  auto backing = std::make_unique<PoolBacking>(std::vector<PoolBacking::Pools>{{&pool, &second}});
  pool.hold(true);
  backing->use(0, extent);
  pool.awaitCall();
  backing->use(0, 2 * extent); // doesn't wait for the thread
  std::thread ending([&] { backing.reset(); });
  pool.hold(false);
  ending.join();
  EXPECT_TRUE(pool.backed().contains(1));
  EXPECT_LE(second.backed().size(), 2u);
}

/// A device of recorded buffers, on which nothing runs.
class RecordingMemory : public Device {
public:
  std::string_view target() const override { return "memory"; }
  std::string describe() const override { return "memory"; }
  Result<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) override {
    auto buffer = std::make_unique<RecordedBuffer>(bytes, true, /*hasMemory=*/true);
    buffers.push_back(buffer.get());
    return std::unique_ptr<DeviceBuffer>(std::move(buffer));
  }
  Result<std::unique_ptr<DeviceBuffer>> import(std::span<const std::byte>) override { return no(); }
  Status write(DeviceBuffer &, uint64_t, std::span<const std::byte>) override { return no(); }
  Status read(const DeviceBuffer &, uint64_t, std::span<std::byte>) override { return no(); }
  Result<std::unique_ptr<CodeModule>> loadCode(std::span<const CodeView>) override { return no(); }
  Status reserveScratch(uint64_t) override { return no(); }
  Status submit(std::span<const Dispatch>, std::span<uint64_t>) override { return no(); }
  Status wait() override { return no(); }

  std::vector<RecordedBuffer *> buffers;

private:
  static Status no() { return Status::internal("found a use of memory alone."); }
};

TEST(PoolBacking, FollowsTheHighestPageThatACacheHandsOut) {
  RecordingMemory device;
  const ProgramDesc program = tinyProgram();
  const KvKind &full = program.kvKinds[0], &chunked = program.kvKinds[1];
  const uint64_t half = extent / 2 / full.pageBytes; // pages
  const uint64_t length = 6 * half * L4_PAGE_TOKENS;
  std::unique_ptr<KvCache> cache =
      KvCache::create(program, device, {length, 2, tinyStepTokens, uint64_t{1} << 30}).take();
  std::map<const void *, RecordedBuffer *> byData;
  for (RecordedBuffer *buffer : device.buffers)
    byData[buffer->data()] = buffer;
  auto backed = [&](size_t pool) { return byData.at(cache->pools()[pool])->backed().size(); };
  ASSERT_EQ(full.layers, 2u);
  ASSERT_EQ(chunked.layers, 1u);
  const uint32_t a = *cache->acquire(), b = *cache->acquire();
  auto reserve = [&](uint32_t slot, uint64_t pages) {
    for (uint64_t page = cache->rowPages(0, slot) + 1; page <= pages; ++page) {
      ASSERT_TRUE(cache->reserve(slot, page * L4_PAGE_TOKENS).ok());
      cache->retire(slot, page * L4_PAGE_TOKENS);
    }
    cache->backing().finish();
  };
  auto expectBacked = [&](size_t extents) {
    EXPECT_EQ(backed(0), extents);
    EXPECT_EQ(backed(1), extents);
    EXPECT_EQ(backed(2), 0u); // a chunk has few pages
  };
  reserve(a, half / 2);
  reserve(b, half - half / 2);
  expectBacked(0); // half of the extent
  reserve(a, half / 2 + 1);
  expectBacked(1);
  cache->release(a); // a text that takes the pages of another takes no memory
  const uint32_t c = *cache->acquire();
  reserve(c, half / 2 + 1);
  expectBacked(1);
  reserve(b, 3 * half - half / 2 - 1);
  expectBacked(1);
  reserve(b, 3 * half - half / 2 + 3); // a page cut by the edge is among them
  expectBacked(2);
}

TEST(PoolBacking, ACacheOfTheProcessorGetsMemory) {
  std::unique_ptr<Device> device = tinyDevice(1);
  std::unique_ptr<DeviceBuffer> first = device->allocate(4 * extent).take();
  if (!first->back(0, extent))
    GTEST_SKIP() << "the system backs no memory ahead";
  std::unique_ptr<KvCache> cache =
      KvCache::create(tinyProgram(), *device, {uint64_t{1} << 16, 1, 40, uint64_t{1} << 30}).take();
  const uint64_t pageBytes = tinyProgram().kvKinds[0].pageBytes;
  auto isResident = [&](uint64_t begin) {
    unsigned char state = 0;
    EXPECT_EQ(::mincore(static_cast<std::byte *>(cache->pools()[0]) + begin, 4096, &state), 0);
    return (state & 1) != 0;
  };
  if (isResident(2 * extent))
    GTEST_SKIP() << "the system doesn't tell what is in memory";
  const uint32_t slot = *cache->acquire();
  for (uint64_t pages = 0; pages * pageBytes <= extent / 2 + pageBytes; ++pages) {
    ASSERT_TRUE(cache->reserve(slot, pages * L4_PAGE_TOKENS).ok());
    cache->retire(slot, pages * L4_PAGE_TOKENS);
  }
  cache->backing().finish();
  EXPECT_FALSE(isResident(0)); // a step would have touched it
  EXPECT_TRUE(isResident(extent));
  EXPECT_TRUE(isResident(2 * extent - 4096));
  EXPECT_FALSE(isResident(2 * extent));
}

} // namespace
} // namespace llama4::test
