//===- ThreadPoolTest.cpp - shares, regions and barriers ------------------===//

#include "runtime/base/ThreadPool.h"

#include "runtime/base/TileShares.h"
#include "runtime/base/TimeSlice.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <numeric>
#include <sched.h>
#include <set>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace llama4 {
namespace {

TEST(TileRange, CoversEachTileOnceInOrder) {
  for (unsigned workers : {1u, 2u, 3u, 7u, 64u})
    for (uint32_t tiles : {0u, 1u, 2u, 3u, 10u, 63u, 64u, 65u, 1000u}) {
      uint32_t next = 0;
      for (unsigned worker = 0; worker < workers; ++worker) {
        TileRange range = tileRange(tiles, worker, workers);
        ASSERT_EQ(range.begin, next);
        ASSERT_LE(range.end - range.begin, (tiles + workers - 1) / workers);
        ASSERT_GE(range.end - range.begin, tiles / workers);
        next = range.end;
      }
      ASSERT_EQ(next, tiles);
      if (tiles == 1)
        ASSERT_EQ(tileRange(tiles, 0, workers).end, 1u);
    }
  // The product of tiles and workers does not fit 32 bits.
  EXPECT_EQ(tileRange(1u << 30, 63, 64).end, 1u << 30);
  EXPECT_EQ(tileRange(1u << 30, 32, 64).begin, 1u << 29);
}

class Pool : public ::testing::TestWithParam<unsigned> {
protected:
  std::unique_ptr<ThreadPool> pool = ThreadPool::create(GetParam()).take();
};
INSTANTIATE_TEST_SUITE_P(Workers, Pool, ::testing::Values(1u, 2u, 3u, 8u));

TEST_P(Pool, EachWorkerOncePerRegion) {
  std::vector<int> calls(pool->workers());
  for (int region = 0; region < 500; ++region)
    pool->run([&](unsigned worker) { ++calls[worker]; });
  for (int count : calls)
    EXPECT_EQ(count, 500);
}

// Plain counters: a tile that two workers take shows here, and as a race under the thread
// sanitizer.
TEST_P(Pool, SharesHoldEachTileOnce) {
  const unsigned workers = pool->workers();
  TileShares shares(workers);
  const std::vector<uint32_t> sizes = {1, 0, 3, 4 * workers, 4 * workers + 1, 1000, 1, 1, 5000};
  std::vector<std::vector<int>> taken;
  for (uint32_t size : sizes)
    taken.emplace_back(size);
  for (int round = 0; round < 50; ++round) {
    for (unsigned worker = 0; worker < workers; ++worker)
      shares.set(0, worker, sizes[0]);
    pool->run([&](unsigned worker) {
      for (size_t i = 0; i < sizes.size(); ++i) {
        if (i != 0) {
          shares.set(i, worker, sizes[i]);
          pool->barrier();
        }
        shares.run(i, worker, sizes[i], [&](uint32_t begin, uint32_t end) {
          ASSERT_LT(begin, end);
          for (uint32_t tile = begin; tile < end; ++tile)
            ++taken[i][tile];
        });
      }
    });
  }
  for (size_t i = 0; i < sizes.size(); ++i)
    EXPECT_EQ(taken[i], std::vector<int>(sizes[i], 50)) << sizes[i] << " tiles";
}

// Worker 0 stays in its first piece until the others have done all the rest.
TEST_P(Pool, OthersTakeWhatAWorkerLeaves) {
  const unsigned workers = pool->workers();
  if (workers == 1)
    return;
  constexpr uint32_t tiles = 1000;
  TileShares shares(workers);
  for (unsigned worker = 0; worker < workers; ++worker)
    shares.set(0, worker, tiles);
  std::atomic<uint32_t> done = 0;
  std::atomic<bool> began = false;
  bool rested = false;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto waitFor = [&](auto holds) {
    while (!holds() && std::chrono::steady_clock::now() < limit)
      std::this_thread::yield();
    return holds();
  };
  pool->run([&](unsigned worker) {
    shares.run(0, worker, tiles, [&](uint32_t begin, uint32_t end) {
      if (worker != 0) {
        waitFor([&] { return began.load(); });
      } else if (!began.exchange(true)) {
        rested = waitFor([&] { return done == tiles - (end - begin); });
      }
      done += end - begin;
    });
  });
  EXPECT_TRUE(rested);
  EXPECT_EQ(done, tiles);
}

// Plain variables, written by one worker and read by all after a barrier: a broken barrier shows
// as a wrong value here and as a race under the thread sanitizer.
TEST_P(Pool, BarrierOrdersPlainMemory) {
  constexpr int rounds = 2000;
  unsigned workers = pool->workers();
  std::vector<int> values(workers), wrong(workers);
  for (int region = 0; region < 3; ++region)
    pool->run([&](unsigned worker) {
      for (int round = 0; round < rounds; ++round) {
        values[worker] = round;
        pool->barrier();
        for (int value : values)
          wrong[worker] += value != round;
        pool->barrier();
      }
    });
  EXPECT_EQ(std::accumulate(wrong.begin(), wrong.end(), 0), 0);
}

// One worker comes late, so that the others go to sleep and must be woken.
TEST_P(Pool, SleepersWakeUp) {
  unsigned workers = pool->workers();
  int value = 0;
  std::vector<int> seen(workers);
  for (int round = 1; round <= 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2)); // workers sleep at the gate
    pool->run([&](unsigned worker) {
      if (worker == workers - 1) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        value = round;
      }
      pool->barrier();
      seen[worker] = value;
    });
    for (int one : seen)
      ASSERT_EQ(one, round);
  }
}

TEST(ThreadPool, StartsAndEndsWithoutWork) {
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(ThreadPool::create(3, i % 2 == 0 ? Pinning::Always : Pinning::Never).ok());
}

TEST(ThreadPool, DefaultsAndLimits) {
  EXPECT_EQ((*ThreadPool::create(0))->workers(), availableProcessors());
  auto many = ThreadPool::create(1025);
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.status().kind(), StatusKind::Usage);
}

/// The processors that the calling thread may use.
std::set<int> processorsNow() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
  std::set<int> found;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set))
      found.insert(i);
  return found;
}

/// Whether the system lets threads choose their processors.
bool mayChooseProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 &&
         ::sched_setaffinity(0, sizeof(set), &set) == 0;
}

/// Which processors each worker may use inside a region of a new team.
std::vector<std::set<int>> processorsOfWorkers(unsigned workers, Pinning pinning) {
  auto pool = ThreadPool::create(workers, pinning).take();
  std::vector<std::set<int>> found(pool->workers());
  pool->run([&](unsigned worker) { found[worker] = processorsNow(); });
  return found;
}

TEST(ThreadPool, BindsEachWorkerToAProcessorOfItsOwn) {
  const std::set<int> mine = processorsNow();
  if (mine.size() < 2 || !mayChooseProcessors())
    GTEST_SKIP() << "one processor, or a system that lets none be chosen";
  for (Pinning pinning : {Pinning::WholeMachine, Pinning::Always}) {
    std::set<int> all;
    for (const std::set<int> &one : processorsOfWorkers(0, pinning)) {
      EXPECT_EQ(one.size(), 1u);
      all.insert(one.begin(), one.end());
    }
    EXPECT_EQ(all, mine);
    EXPECT_EQ(processorsNow(), mine); // the caller is free again
  }
  for (const std::set<int> &one : processorsOfWorkers(0, Pinning::Never))
    EXPECT_EQ(one, mine);
  // More workers than processors, and one alone.
  const auto more = static_cast<unsigned>(mine.size() + 1);
  for (unsigned workers : {more, 1u})
    for (const std::set<int> &one : processorsOfWorkers(workers, Pinning::Always))
      EXPECT_EQ(one, mine);
}

TEST(ThreadPool, BindsToPartOfTheMachineOnlyWhereAsked) {
  const std::set<int> mine = processorsNow();
  if (mine.size() < 3 || !mayChooseProcessors())
    GTEST_SKIP() << "two processors have no part that two workers fit into, or none can be chosen";
  for (const std::set<int> &one : processorsOfWorkers(2, Pinning::WholeMachine))
    EXPECT_EQ(one, mine);
  for (const std::set<int> &one : processorsOfWorkers(2, Pinning::Always))
    EXPECT_EQ(one.size(), 1u);
}

/// The time slice of the calling thread in nanoseconds, 0 where the system has none.
uint64_t sliceNow() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {};
  EXPECT_EQ(::syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0), 0);
  return attributes.runtime;
}

TEST(TimeSlice, IsWhatWasAskedForAndNothingElseChanges) {
  const bool known = sliceNow() != 0; // Linux 6.12 and later
  if (!known)
    GTEST_SKIP() << "this system has no time slices to ask for";
  std::thread([] {
    ASSERT_EQ(::setpriority(PRIO_PROCESS, 0, 3), 0); // of this thread alone
    askForTimeSlice(std::chrono::microseconds(700));
    EXPECT_EQ(sliceNow(), 700'000u);
    EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), 3);
    EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
  }).join();
  const uint64_t mine = sliceNow();
  auto pool = ThreadPool::create(2).take();
  uint64_t theirs[2] = {};
  pool->run([&](unsigned worker) { theirs[worker] = sliceNow(); });
  EXPECT_EQ(theirs[0], mine); // the caller's is the caller's affair
  EXPECT_EQ(std::chrono::nanoseconds(theirs[1]), ThreadPool::timeSlice);
}

// Not a limit (the machine may be busy), a number for the log.
TEST(ThreadPool, BarrierCost) {
  auto pool = ThreadPool::create(2).take();
  constexpr int rounds = 20000;
  double best = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat)
    pool->run([&](unsigned worker) {
      auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < rounds; ++i)
        pool->barrier();
      std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
      if (worker == 0)
        best = std::min(best, spent.count() / rounds);
    });
  RecordProperty("nanoseconds_per_barrier", static_cast<int>(best));
  std::printf("two workers: %.0f ns per barrier\n", best);
}

} // namespace
} // namespace llama4
