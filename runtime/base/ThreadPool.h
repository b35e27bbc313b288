//===- ThreadPool.h - a fixed team of threads and its barrier ----*- C++ -*-===//
//
// Made for step loops: a region runs on all workers at once, the caller being worker 0, and inside
// it workers meet at barriers. Waiting spins for a bounded time and then sleeps in the kernel, so
// that a barrier costs well below a microsecond when every worker has a processor and costs no
// processor time when it has not. Nothing is queued, nothing is allocated after creation.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_BASE_THREADPOOL_H
#define LLAMA4_RUNTIME_BASE_THREADPOOL_H

#include "runtime/base/Status.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace llama4 {

/// Where `count` threads wait for each other, again and again.
class Barrier {
public:
  /// `spinNanoseconds`: how long a waiter burns its processor before it sleeps.
  Barrier(unsigned count, uint32_t spinNanoseconds)
      : count_(count), spinNanoseconds_(spinNanoseconds) {}
  /// Returns when all threads have called it. What they wrote before is visible to all after.
  void arriveAndWait();
  /// Counts as one thread that has come and does not wait.
  void arrive();

private:
  bool arrive(uint32_t generation);
  bool spin(uint32_t generation) const;

  const unsigned count_;
  const uint32_t spinNanoseconds_;
  alignas(64) std::atomic<uint32_t> arrived_ = 0;
  alignas(64) std::atomic<uint32_t> generation_ = 0;
  std::atomic<uint32_t> sleepers_ = 0;
};

/// Tiles [begin, end) of one worker.
struct TileRange {
  uint32_t begin, end;
};

/// The contiguous share of `worker` when `tiles` are divided among `workers`: sizes differ by at
/// most one, lower workers first, so that a single tile belongs to worker 0.
constexpr TileRange tileRange(uint32_t tiles, unsigned worker, unsigned workers) {
  auto start = [=](uint64_t w) {
    return static_cast<uint32_t>((uint64_t{tiles} * w + workers - 1) / workers);
  };
  return {start(worker), start(uint64_t{worker} + 1)};
}

/// Number of processors this process may run on.
unsigned availableProcessors();

/// Whether each worker keeps to a processor of its own. Workers that are bound to two processors
/// are never left on one, where each would wait for the other at every barrier, which the system
/// does when others compute as well.
enum class Pinning {
  Never,
  WholeMachine, ///< where there are as many workers as processors
  Always,       ///< where there are no more workers than processors
};

class ThreadPool {
public:
  /// A team of `workers` (0: one for each available processor), the later caller of run() among
  /// them. Errors: OutOfMemory (a thread cannot be started), Usage (more than 1024).
  static Result<std::unique_ptr<ThreadPool>> create(unsigned workers,
                                                    Pinning pinning = Pinning::Never);
  ~ThreadPool();

  unsigned workers() const { return workers_; }

  /// Time slices of workers, for the caller of run() to ask for as well: the others wait for one
  /// that was woken at a barrier.
  static constexpr std::chrono::microseconds timeSlice{500};

  /// Calls `body(worker)` on every worker, and returns when all have returned. One thread at a
  /// time may call it; `body` must not throw. The caller is bound to its processor for so long.
  template <typename Body> void run(Body &&body) {
    runTask([](void *context, unsigned worker) { (*static_cast<Body *>(context))(worker); }, &body);
  }
  /// Inside a region: waits until every worker is here.
  void barrier() {
    if (workers_ > 1)
      barrier_.arriveAndWait();
  }

private:
  using Task = void (*)(void *context, unsigned worker);

  explicit ThreadPool(unsigned workers, uint32_t spinNanoseconds)
      : workers_(workers), barrier_(workers, spinNanoseconds), gate_(workers, spinNanoseconds * 4) {
  }
  void runTask(Task task, void *context);
  void work(unsigned worker);
  void pinWorkers();
  void runPinned(Task task, void *context);

  const unsigned workers_;
  int callersProcessor_ = -1; ///< where workers are bound
  Barrier barrier_;           ///< inside regions
  Barrier gate_;              ///< before and after regions
  Task task_ = nullptr;       ///< of the current region; null ends the workers
  void *context_ = nullptr;
  std::vector<std::thread> threads_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_THREADPOOL_H
