//===- Scheduler.h - one thread that runs everybody's requests ---*- C++ -*-===//
//
// The thread owns the engine; all others send it messages. Requests are refused at once when they
// are wrong or too many wait; what was taken is answered through its listener. A cancelled request
// is out of the batch before the next step.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_SCHEDULER_H
#define LLAMA4_RUNTIME_ENGINE_SCHEDULER_H

#include "runtime/engine/Batcher.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace llama4 {

struct SchedulerOptions {
  BatcherOptions batcher = {};
  uint32_t maxWaiting = 256;     ///< answers that wait at most
  uint64_t maxWaitingTokens = 0; ///< of their prompts; 0: four times what the cache holds
};

/// A moment's numbers.
struct SchedulerStats {
  size_t running = 0, waiting = 0; ///< answers
  double cacheUse = 0;             ///< share of the fullest kind's pages that is held
  uint64_t promptTokens = 0, generatedTokens = 0, preemptions = 0;
  uint64_t steps = 0;
  uint64_t refused = 0; ///< requests for which there was no room
};

class Scheduler {
public:
  /// Starts the thread. Errors: OutOfMemory (no thread).
  static Result<std::unique_ptr<Scheduler>> create(std::unique_ptr<Engine> engine,
                                                   SchedulerOptions options);
  /// Ends everything that runs or waits; listeners hear of it.
  ~Scheduler();
  Scheduler(const Scheduler &) = delete;
  Scheduler &operator=(const Scheduler &) = delete;

  /// Takes a request; the id is for cancel(). Any thread. Errors: InvalidInput and Usage (the
  /// request is wrong or can never fit), Unavailable (too many wait, or the scheduler was closed or
  /// has failed: try again later).
  Result<uint64_t> submit(ScheduledRequest request, RequestListener listener);
  /// Ends a request. Any thread, also a listener; an id that is unknown or has ended is ignored.
  /// What the listener hears after that is of the step that was under way.
  void cancel(uint64_t id);
  /// Takes no more requests; those taken go on.
  void close();
  /// Nothing runs or waits.
  bool idle() const;
  /// The engine has failed; the requests that ran were told.
  bool failed() const;

  SchedulerStats stats() const;
  /// Constant numbers only: the rest of the engine is the thread's.
  uint64_t maxLength() const { return engine_->maxLength(); }
  const Program &program() const { return engine_->program(); }

private:
  struct Message {
    uint64_t id = 0;
    bool cancels = false;
    ScheduledRequest request;
    RequestListener listener;
  };

  Scheduler(std::unique_ptr<Engine> engine, SchedulerOptions options);
  void run();
  Status runStep();
  bool waitForWork();
  void takeMail();
  void publish();
  double cacheUse() const;

  std::unique_ptr<Engine> engine_;
  SchedulerOptions options_;
  Batcher batcher_; ///< the thread's, but for check()

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Message> mail_;
  size_t mailed_ = 0;         ///< answers asked for in the mail
  uint64_t mailedTokens_ = 0; ///< of their prompts
  SchedulerStats stats_;      ///< as of the last step
  uint64_t waitingTokens_ = 0;
  uint64_t lastId_ = 0;
  bool closed_ = false, stopping_ = false, failed_ = false;

  std::vector<Message> taken_; ///< the thread's own
  std::thread thread_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SCHEDULER_H
