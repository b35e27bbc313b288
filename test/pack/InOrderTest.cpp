//===- InOrderTest.cpp - pieces of several threads come in order ----------===//

#include "compiler/pack/InOrder.h"

#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace llama4::pack::test {
namespace {

class InOrder : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, InOrder, ::testing::Values(0u, 1u, 2u, 5u));

/// Piece `index`: its number, written `index % 3` times.
Status makeNumbers(unsigned, size_t index, std::vector<std::byte> &bytes) {
  bytes.assign(index % 3, static_cast<std::byte>(index));
  return {};
}

TEST_P(InOrder, EveryPieceOnceAndInTheCallersThread) {
  for (size_t count : {0u, 1u, 2u, 97u}) {
    std::vector<std::byte> wanted, found;
    std::vector<std::byte> piece;
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(makeNumbers(0, i, piece).ok());
      wanted.insert(wanted.end(), piece.begin(), piece.end());
    }
    const auto caller = std::this_thread::get_id();
    const Status status =
        inOrder(count, GetParam(), makeNumbers, [&](std::span<const std::byte> bytes) -> Status {
          EXPECT_EQ(std::this_thread::get_id(), caller);
          found.insert(found.end(), bytes.begin(), bytes.end());
          return {};
        });
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(found, wanted) << count << " pieces";
  }
}

TEST_P(InOrder, NoTwoCallsHaveTheSameWorkerAndFewPiecesWait) {
  std::mutex mutex;
  std::set<unsigned> busy;
  std::atomic<size_t> made = 0, taken = 0;
  const unsigned threads = GetParam();
  const Status status = inOrder(
      60, threads,
      [&](unsigned worker, size_t index, std::vector<std::byte> &bytes) -> Status {
        {
          std::lock_guard lock(mutex);
          EXPECT_TRUE(busy.insert(worker).second);
          EXPECT_LT(worker, std::max(threads, 1u));
        }
        EXPECT_LT(index, taken + std::max(2 * threads, 1u));
        bytes.assign(1, std::byte{0});
        ++made;
        std::lock_guard lock(mutex);
        busy.erase(worker);
        return {};
      },
      [&](std::span<const std::byte>) -> Status {
        ++taken;
        return {};
      });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(made, 60u);
}

TEST_P(InOrder, TheFirstErrorEndsIt) {
  size_t taken = 0;
  auto make = [](unsigned, size_t index, std::vector<std::byte> &bytes) -> Status {
    bytes.assign(1, std::byte{0});
    return index < 20 ? Status() : Status::invalidInput("piece " + std::to_string(index));
  };
  auto take = [&](std::span<const std::byte>) -> Status {
    ++taken;
    return {};
  };
  EXPECT_EQ(inOrder(50, GetParam(), make, take).message(), "piece 20");
  EXPECT_EQ(taken, 20u);

  taken = 0;
  auto refuse = [&](std::span<const std::byte>) -> Status {
    return ++taken == 7 ? Status::invalidInput("full") : Status();
  };
  EXPECT_EQ(inOrder(50, GetParam(), makeNumbers, refuse).message(), "full");
  EXPECT_EQ(taken, 7u);
}

} // namespace
} // namespace llama4::pack::test
