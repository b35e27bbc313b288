//===- FairQueue.h - who is next, when many ask ------------------*- C++ -*-===//
//
// Items wait in lanes, one for each key. Within a lane the first to come is the first to go; among
// the lanes it is the turn of the one that was served least, measured in whatever is charged to it.
// A lane that had nothing to do starts at what the least served of the others has had: nobody
// saves up turns by waiting, and nobody who asks for much keeps another one out.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_FAIRQUEUE_H
#define LLAMA4_RUNTIME_ENGINE_FAIRQUEUE_H

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace llama4 {

template <typename Item> class FairQueue {
public:
  void push(const std::string &key, Item item) { lane(key).items.push_back(std::move(item)); }
  /// To the front of its lane.
  void pushFront(const std::string &key, Item item) { lane(key).items.push_front(std::move(item)); }

  /// The item whose turn it is, or null when none waits.
  const Item *next() const {
    const Lane *lane = nextLane();
    return lane ? &lane->items.front() : nullptr;
  }
  /// Takes it out; next() is not null.
  Item pop() {
    auto *lane = const_cast<Lane *>(nextLane());
    Item item = std::move(lane->items.front());
    lane->items.pop_front();
    return item;
  }

  /// A lane is busy from the first to the last of as many enter() and leave(), also when nothing
  /// waits in it.
  void enter(const std::string &key) { ++lane(key).busy; }
  void leave(const std::string &key) {
    --lane(key).busy;
    tidy();
  }
  /// The key has been served so much; it waits or is busy.
  void charge(const std::string &key, uint64_t cost) { lane(key).served += cost; }

  template <typename Predicate> void eraseIf(Predicate predicate) {
    for (auto &[key, lane] : lanes_)
      std::erase_if(lane.items, predicate);
    tidy();
  }
  template <typename Use> void forEach(Use use) const {
    for (const auto &[key, lane] : lanes_)
      for (const Item &item : lane.items)
        use(item);
  }
  bool empty() const { return nextLane() == nullptr; }
  /// Keys of which something waits.
  size_t keys() const {
    return static_cast<size_t>(std::count_if(
        lanes_.begin(), lanes_.end(), [](const auto &one) { return !one.second.items.empty(); }));
  }

private:
  struct Lane {
    std::deque<Item> items;
    uint64_t served = 0, busy = 0;
    uint64_t turn = 0; ///< of equally served lanes the one first here is first
    bool idle() const { return items.empty() && busy == 0; }
  };

  const Lane *nextLane() const {
    const Lane *best = nullptr;
    for (const auto &[key, lane] : lanes_)
      if (!lane.items.empty() &&
          (!best || std::pair(lane.served, lane.turn) < std::pair(best->served, best->turn)))
        best = &lane;
    return best;
  }
  /// What the least served of the lanes with something to do has had.
  uint64_t floor() const {
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (const auto &[key, lane] : lanes_)
      if (!lane.idle())
        least = std::min(least, lane.served);
    return least;
  }
  Lane &lane(const std::string &key) {
    auto [found, isNew] = lanes_.try_emplace(key);
    Lane &lane = found->second;
    if (lane.idle()) {
      const uint64_t least = floor();
      if (least != std::numeric_limits<uint64_t>::max())
        lane.served = std::max(lane.served, least);
      lane.turn = ++turns_;
    }
    return lane;
  }
  /// Forgets the lanes that would start anew anyway.
  void tidy() {
    const uint64_t least = floor();
    std::erase_if(lanes_, [least](const auto &one) {
      return one.second.idle() && one.second.served <= least;
    });
  }

  std::map<std::string, Lane> lanes_;
  uint64_t turns_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_FAIRQUEUE_H
