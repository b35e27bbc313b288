//===- TileShares.h - tiles of a dispatch, divided among workers -*- C++ -*-===//
//
// Every worker begins with its contiguous share and takes it in pieces, the first tiles first. One
// that has no tiles left takes from the end of another's share. So a worker that another program
// keeps from its processor, or whose tiles take longer (a prompt's later tokens have more keys),
// does not keep the team waiting. Which worker computes a tile never changes what it computes.
//
// There are two sets of shares by turns. A worker sets its own share of a dispatch before the
// barrier in front of it; by then nobody takes from the set of the dispatch before the last.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_BASE_TILESHARES_H
#define LLAMA4_RUNTIME_BASE_TILESHARES_H

#include "runtime/base/ThreadPool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace llama4 {

class TileShares {
public:
  explicit TileShares(unsigned workers) : workers_(workers), shares_(2 * size_t{workers}) {}

  /// Gives `worker` its share of the tiles of dispatch `dispatch` of a list.
  void set(size_t dispatch, unsigned worker, uint32_t tiles) {
    const TileRange range = tileRange(tiles, worker, workers_);
    at(dispatch, worker).store(pack(range.begin, range.end), std::memory_order_relaxed);
  }

  /// Calls `body(begin, end)` on pieces of the dispatch's tiles until there are none to take.
  template <typename Body>
  void run(size_t dispatch, unsigned worker, uint32_t tiles, const Body &body) {
    // A few tiles are over before they could be divided better.
    if (workers_ == 1 || tiles < leastTiles * workers_) {
      const TileRange range = tileRange(tiles, worker, workers_);
      if (range.begin != range.end)
        body(range.begin, range.end);
      return;
    }
    TileRange range = {};
    while (take(at(dispatch, worker), /*atEnd=*/false, range))
      body(range.begin, range.end);
    const unsigned others = std::min(workers_ - 1, mostVictims);
    for (unsigned step = 1; step <= others; ++step)
      while (take(at(dispatch, (worker + step) % workers_), /*atEnd=*/true, range))
        body(range.begin, range.end);
  }

private:
  static constexpr uint32_t leastTiles = 4; ///< for each worker, where they are taken in pieces
  static constexpr uint32_t manyTiles = 32;
  static constexpr unsigned mostVictims = 7;

  struct alignas(64) Share {
    std::atomic<uint64_t> tiles = 0; ///< begin | end << 32
  };

  static constexpr uint64_t pack(uint32_t begin, uint32_t end) {
    return begin | uint64_t{end} << 32;
  }

  std::atomic<uint64_t> &at(size_t dispatch, unsigned worker) {
    return shares_[dispatch % 2 * workers_ + worker].tiles;
  }

  /// Takes a quarter of many tiles, half of a few, at least one: a piece more costs as much as the
  /// tail of a small dispatch may wait. False when nothing is left.
  static bool take(std::atomic<uint64_t> &share, bool atEnd, TileRange &range) {
    uint64_t found = share.load(std::memory_order_relaxed), left = 0;
    do {
      const auto begin = static_cast<uint32_t>(found), end = static_cast<uint32_t>(found >> 32);
      if (begin >= end)
        return false;
      const uint32_t size = end - begin, count = size > manyTiles ? size / 4 : (size + 1) / 2;
      range = atEnd ? TileRange{end - count, end} : TileRange{begin, begin + count};
      left = atEnd ? pack(begin, end - count) : pack(begin + count, end);
    } while (!share.compare_exchange_weak(found, left, std::memory_order_relaxed));
    return true;
  }

  const unsigned workers_;
  std::vector<Share> shares_; ///< of even dispatches, then of odd ones
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_TILESHARES_H
