//===- PoolBacking.cpp - memory of the pools before a step needs it -------===//

#include "runtime/engine/PoolBacking.h"

#include "runtime/base/Checked.h"
#include "runtime/base/TimeSlice.h"

#include <algorithm>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>

namespace llama4 {

PoolBacking::PoolBacking(std::vector<Pools> kinds) {
  bool isLong = false;
  for (Pools &pools : kinds) {
    const uint64_t bytes = pools.empty() ? 0 : pools.front()->bytes();
    isLong |= bytes > extentBytes;
    kinds_.push_back({std::move(pools), bytes});
  }
  stopped_ = true;
  if (!isLong)
    return;
  try {
    stopped_ = false;
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error &) {
    stopped_ = true;
  }
}

PoolBacking::~PoolBacking() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

void PoolBacking::use(uint32_t k, uint64_t bytes) {
  Kind &kind = kinds_[k];
  const uint64_t end = ceilDiv(std::min(bytes + aheadBytes, kind.bytes), extentBytes);
  const uint64_t used = std::max<uint64_t>(ceilDiv(bytes, extentBytes), 1);
  if (end <= std::max(kind.asked, used))
    return;
  kind.asked = end;
  {
    std::lock_guard lock(mutex_);
    kind.next = std::max(kind.next, used);
    kind.end = end;
  }
  wake_.notify_all();
}

void PoolBacking::finish() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] {
    return stopped_ || std::all_of(kinds_.begin(), kinds_.end(),
                                   [](const Kind &kind) { return kind.next >= kind.end; });
  });
}

/// Backs one extent of all pools of the kind, without the lock. False where that is not possible.
bool PoolBacking::backNext(Kind &kind, std::unique_lock<std::mutex> &lock) {
  const uint64_t extent = kind.next, begin = extent * extentBytes;
  for (DeviceBuffer *pool : kind.pools) {
    lock.unlock();
    const bool isBacked = pool->back(begin, std::min(extentBytes, kind.bytes - begin));
    lock.lock();
    if (!isBacked || ending_)
      return isBacked;
  }
  kind.next = std::max(kind.next, extent + 1);
  return true;
}

void PoolBacking::work() {
  // It takes what the steps leave, in small pieces of time: they wait for each other at barriers.
  constexpr int leastPriority = 19;
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), leastPriority);
  askForTimeSlice(std::chrono::microseconds(100));
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto kind = std::find_if(kinds_.begin(), kinds_.end(),
                                   [](const Kind &kind) { return kind.next < kind.end; });
    if (kind == kinds_.end())
      wake_.wait(lock);
    else if (!backNext(*kind, lock))
      break;
    done_.notify_all();
  }
  stopped_ = true;
  done_.notify_all();
}

} // namespace llama4
