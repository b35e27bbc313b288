//===- PoolBacking.h - memory of the pools before a step needs it *- C++ -*-===//
//
// Pools are reserved at once and get their memory from the system as they are touched, in extents
// of one huge page. As the pools of all layers are filled alike, all of them would come to their
// next extent in the same step, which would wait while the system clears as many huge pages as
// there are layers. So when half of an extent is used, a thread of least priority takes the next
// one of each pool from the system, beside the steps. Never more than that: what no text will need
// stays untouched, and so does everything while texts are short.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_POOLBACKING_H
#define LLAMA4_RUNTIME_ENGINE_POOLBACKING_H

#include "runtime/base/HugePages.h"
#include "runtime/device/Device.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace llama4 {

class PoolBacking {
public:
  /// Bytes of one pool that are backed together.
  static constexpr uint64_t extentBytes = hugePageSize;
  /// So many bytes behind those in use are backed, and the rest of the last of their extents.
  static constexpr uint64_t aheadBytes = extentBytes / 2;
  /// The pools of one kind of layers, of equal size; they outlive this.
  using Pools = std::vector<DeviceBuffer *>;

  /// Starts a thread, unless no pool is longer than an extent. Where the system starts no thread,
  /// or a device backs nothing, steps wait for their memory.
  explicit PoolBacking(std::vector<Pools> kinds);
  /// Ends the thread, which may be at an extent of one pool.
  ~PoolBacking();
  PoolBacking(const PoolBacking &) = delete;
  PoolBacking &operator=(const PoolBacking &) = delete;

  /// Steps write to the first `bytes` of each pool of `kind` from now on: what follows them is
  /// backed. Allocates nothing and does not wait; one thread at a time.
  void use(uint32_t kind, uint64_t bytes);
  /// Returns when everything that use() has asked for is backed, or cannot be. Any thread.
  void finish();

private:
  /// Extents [next, end) are to be backed, those before were or are touched by steps.
  struct Kind {
    Pools pools;
    uint64_t bytes = 0; ///< of a pool
    uint64_t next = 0, end = 0;
    uint64_t asked = 0; ///< `end`, for the thread of use()
  };

  void work();
  bool backNext(Kind &kind, std::unique_lock<std::mutex> &lock);

  std::vector<Kind> kinds_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  bool ending_ = false, stopped_ = false;
  std::thread thread_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_POOLBACKING_H
