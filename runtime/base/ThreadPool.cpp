//===- ThreadPool.cpp - a fixed team of threads and its barrier -----------===//

#include "runtime/base/ThreadPool.h"

#include "runtime/base/TimeSlice.h"

#include <chrono>
#include <exception>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace llama4 {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) &&
              std::atomic<uint32_t>::is_always_lock_free);

/// Sleeps while `word` holds `value`; may return early.
static void futexWait(const std::atomic<uint32_t> &word, uint32_t value) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

static void futexWakeAll(const std::atomic<uint32_t> &word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

static void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// True when the generation has changed within the time.
bool Barrier::spin(uint32_t generation) const {
  if (spinNanoseconds_ == 0)
    return generation_.load(std::memory_order_acquire) != generation;
  using Clock = std::chrono::steady_clock;
  Clock::time_point end = Clock::now() + std::chrono::nanoseconds(spinNanoseconds_);
  do {
    for (int i = 0; i < 64; ++i) {
      if (generation_.load(std::memory_order_acquire) != generation)
        return true;
      relax();
    }
  } while (Clock::now() < end);
  return false;
}

bool Barrier::arrive(uint32_t generation) {
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 != count_)
    return false;
  arrived_.store(0, std::memory_order_relaxed);
  // Sequentially consistent with the sleepers below: either the last one sees that somebody
  // sleeps, or the sleeper sees the new generation before it does.
  generation_.store(generation + 1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0)
    futexWakeAll(generation_);
  return true;
}

void Barrier::arrive() { arrive(generation_.load(std::memory_order_relaxed)); }

void Barrier::arriveAndWait() {
  // It cannot change before this thread has arrived.
  uint32_t generation = generation_.load(std::memory_order_relaxed);
  if (arrive(generation) || spin(generation))
    return;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (generation_.load(std::memory_order_seq_cst) == generation)
    futexWait(generation_, generation);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

unsigned availableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<unsigned>(CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(unsigned workers, Pinning pinning) {
  constexpr unsigned mostWorkers = 1024;
  constexpr uint32_t spinNanoseconds = 50'000;
  unsigned processors = availableProcessors();
  if (workers == 0)
    workers = std::min(processors, mostWorkers);
  if (workers > mostWorkers)
    return Status::error(StatusKind::Usage, "threads: found " + std::to_string(workers) +
                                                ", expected at most " +
                                                std::to_string(mostWorkers) + ".");
  // With fewer processors than workers, spinning only keeps away the one that is waited for.
  std::unique_ptr<ThreadPool> pool(
      new ThreadPool(workers, workers <= processors ? spinNanoseconds : 0));
  try {
    pool->threads_.reserve(workers - 1);
    for (unsigned worker = 1; worker < workers; ++worker)
      pool->threads_.emplace_back(&ThreadPool::work, pool.get(), worker);
  } catch (const std::exception &) {
    return Status::error(StatusKind::OutOfMemory, "threads: found that the system starts only " +
                                                      std::to_string(pool->threads_.size() + 1) +
                                                      ", expected " + std::to_string(workers) +
                                                      "; use fewer threads.");
  }
  if (workers == processors ? pinning != Pinning::Never
                            : workers < processors && pinning == Pinning::Always)
    pool->pinWorkers();
  return pool;
}

ThreadPool::~ThreadPool() {
  // The caller arrives, and every thread that could not be started.
  task_ = nullptr;
  for (size_t missing = workers_ - threads_.size(); missing != 0; --missing)
    gate_.arrive();
  for (std::thread &thread : threads_)
    thread.join();
}

/// Binds each worker to its place among the processors this process may use. What the system
/// refuses stays as it is.
void ThreadPool::pinWorkers() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (workers_ == 1 || ::sched_getaffinity(0, sizeof(set), &set) != 0)
    return;
  size_t worker = 0;
  for (int processor = 0; processor < CPU_SETSIZE && worker < workers_; ++processor) {
    if (!CPU_ISSET(processor, &set))
      continue;
    if (worker++ == 0) {
      callersProcessor_ = processor;
      continue;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    ::pthread_setaffinity_np(threads_[worker - 2].native_handle(), sizeof(one), &one);
  }
}

/// Two calls of the system before and one after the task. Threads that the caller starts at other
/// times don't inherit it.
void ThreadPool::runPinned(Task task, void *context) {
  cpu_set_t before, one;
  CPU_ZERO(&before);
  CPU_ZERO(&one);
  CPU_SET(callersProcessor_, &one);
  const bool isPinned = ::sched_getaffinity(0, sizeof(before), &before) == 0 &&
                        ::sched_setaffinity(0, sizeof(one), &one) == 0;
  task(context, 0);
  if (isPinned)
    ::sched_setaffinity(0, sizeof(before), &before);
}

void ThreadPool::runTask(Task task, void *context) {
  if (workers_ == 1) {
    task(context, 0);
    return;
  }
  task_ = task;
  context_ = context;
  gate_.arriveAndWait();
  if (callersProcessor_ >= 0)
    runPinned(task, context);
  else
    task(context, 0);
  gate_.arriveAndWait();
}

void ThreadPool::work(unsigned worker) {
  askForTimeSlice(timeSlice);
  while (true) {
    gate_.arriveAndWait();
    if (!task_)
      return;
    task_(context_, worker);
    gate_.arriveAndWait();
  }
}

} // namespace llama4
