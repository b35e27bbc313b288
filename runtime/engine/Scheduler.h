//===- Scheduler.h - one thread that runs everybody's requests ---*- C++ -*-===//
//
// The thread owns the engine; all others send it messages. Requests are refused at once when they
// are wrong or too many wait; what was taken is answered through its listener. A cancelled request,
// or one whose deadline has passed, is out of the batch before the next step.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_SCHEDULER_H
#define LLAMA4_RUNTIME_ENGINE_SCHEDULER_H

#include "runtime/engine/Batcher.h"

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace llama4 {

struct SchedulerOptions {
  BatcherOptions batcher = {};
  /// Answers that wait at most. When they do, a key that has less than an equal share of them may
  /// still add to them, so that nobody shuts the door for others.
  uint32_t maxWaiting = 256;
  /// Tokens of their prompts, likewise; 0: four times what the cache holds.
  uint64_t maxWaitingTokens = 0;
};

/// A moment's numbers.
struct SchedulerStats {
  size_t running = 0, waiting = 0; ///< answers
  size_t waitingKeys = 0;          ///< keys of requests that wait
  double cacheUse = 0;             ///< share of the fullest kind's pages that requests hold
  /// Share of pages that nobody holds and that are known for their text; they are at hand for all.
  double cachedUse = 0;
  uint64_t promptTokens = 0, generatedTokens = 0, preemptions = 0;
  uint64_t prefixQueries = 0, prefixHits = 0; ///< prompt tokens looked up in the cache, and found
  uint64_t timeouts = 0;                      ///< requests whose deadline has passed
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
  /// Forgets all texts that no request holds. Any thread.
  void dropPrefixCache();
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
    enum class Kind { Submit, Cancel, DropCache } kind = Kind::Submit;
    uint64_t id = 0;
    ScheduledRequest request;
    RequestListener listener;
  };
  /// What waits, of one key or of all.
  struct Load {
    uint64_t answers = 0, tokens = 0;
    void add(uint64_t moreAnswers, uint64_t moreTokens) {
      answers += moreAnswers;
      tokens += moreTokens;
    }
  };

  Scheduler(std::unique_ptr<Engine> engine, SchedulerOptions options);
  void run();
  Status runStep();
  bool waitForWork();
  bool hasRoom(const ScheduledRequest &request) const;
  void takeMail();
  void publish();

  std::unique_ptr<Engine> engine_;
  SchedulerOptions options_;
  Batcher batcher_; ///< the thread's, but for check()

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Message> mail_;
  Load mailed_;                         ///< what the mail asks for
  Load waiting_;                        ///< the same and what waited after the last step
  std::map<std::string, Load> waiters_; ///< the same by key
  SchedulerStats stats_;                ///< as of the last step
  uint64_t lastId_ = 0;
  bool closed_ = false, stopping_ = false, failed_ = false;

  std::vector<Message> taken_; ///< the thread's own
  std::thread thread_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SCHEDULER_H
