//===- Scheduler.cpp - one thread that runs everybody's requests ----------===//

#include "runtime/engine/Scheduler.h"

#include "runtime/base/ThreadPool.h"
#include "runtime/base/TimeSlice.h"
#include "runtime/format/KernelAbi.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>

namespace llama4 {

namespace {

using Clock = std::chrono::steady_clock;

BatcherOptions withClock(BatcherOptions options) {
  if (!options.clock)
    options.clock = [] {
      return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
    };
  return options;
}

uint64_t promptTokens(const ScheduledRequest &request) {
  return uint64_t{request.choices} * request.prompt.size();
}

} // namespace

Scheduler::Scheduler(std::unique_ptr<Engine> engine, SchedulerOptions options)
    : engine_(std::move(engine)), options_(std::move(options)),
      batcher_(*engine_, withClock(options_.batcher)) {
  if (options_.maxWaitingTokens != 0)
    return;
  uint64_t pages = 0;
  for (uint32_t kind = 0; kind < engine_->cache().kinds(); ++kind)
    pages = std::max<uint64_t>(pages, engine_->cache().pages(kind));
  options_.maxWaitingTokens = 4 * pages * L4_PAGE_TOKENS;
}

Result<std::unique_ptr<Scheduler>> Scheduler::create(std::unique_ptr<Engine> engine,
                                                     SchedulerOptions options) {
  std::unique_ptr<Scheduler> scheduler(new Scheduler(std::move(engine), std::move(options)));
  try {
    scheduler->thread_ = std::thread(&Scheduler::run, scheduler.get());
  } catch (const std::system_error &) {
    return Status::error(StatusKind::OutOfMemory, "threads: found that the system starts no more, "
                                                  "expected one for the scheduler.");
  }
  return scheduler;
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(mutex_);
    closed_ = stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

/// Whether the request may wait too. One that comes when none waits is taken whatever its size: it
/// fits, says check().
bool Scheduler::hasRoom(const ScheduledRequest &request) const {
  const uint64_t tokens = promptTokens(request);
  if (waiting_.answers == 0 || (waiting_.answers + request.choices <= options_.maxWaiting &&
                                waiting_.tokens + tokens <= options_.maxWaitingTokens))
    return true;
  const auto mine = waiters_.find(request.key);
  const Load load = mine == waiters_.end() ? Load() : mine->second;
  const uint64_t keys = waiters_.size() + (mine == waiters_.end());
  return keys > 1 && load.answers + request.choices <= options_.maxWaiting / keys &&
         load.tokens + tokens <= options_.maxWaitingTokens / keys;
}

Result<uint64_t> Scheduler::submit(ScheduledRequest request, RequestListener listener) {
  LLAMA4_RETURN_IF_ERROR(batcher_.check(request));
  uint64_t id;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || failed_)
      return Status::error(StatusKind::Unavailable, failed_ ? "the engine has failed: restart it."
                                                            : "the engine takes no more requests.");
    if (!hasRoom(request)) {
      ++stats_.refused;
      return Status::error(StatusKind::Unavailable, "too many requests wait already: found " +
                                                        std::to_string(waiting_.answers) +
                                                        "; try again later.");
    }
    id = ++lastId_;
    const uint64_t tokens = promptTokens(request);
    mailed_.add(request.choices, tokens);
    waiting_.add(request.choices, tokens);
    waiters_[request.key].add(request.choices, tokens);
    mail_.push_back({Message::Kind::Submit, id, std::move(request), std::move(listener)});
  }
  wake_.notify_one();
  return id;
}

void Scheduler::cancel(uint64_t id) {
  {
    std::lock_guard lock(mutex_);
    if (failed_)
      return;
    mail_.push_back({Message::Kind::Cancel, id, {}, {}});
  }
  wake_.notify_one();
}

void Scheduler::dropPrefixCache() {
  {
    std::lock_guard lock(mutex_);
    if (failed_)
      return;
    mail_.push_back({Message::Kind::DropCache, 0, {}, {}});
  }
  wake_.notify_one();
}

void Scheduler::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

bool Scheduler::idle() const {
  std::lock_guard lock(mutex_);
  return mail_.empty() && stats_.running == 0 && stats_.waiting == 0;
}

bool Scheduler::failed() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

SchedulerStats Scheduler::stats() const {
  std::lock_guard lock(mutex_);
  SchedulerStats stats = stats_;
  stats.waiting += mailed_.answers;
  return stats;
}

/// Sleeps while there is nothing to do; false when the scheduler ends.
bool Scheduler::waitForWork() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return stopping_ || !mail_.empty() || !batcher_.idle(); });
  return !stopping_;
}

void Scheduler::takeMail() {
  taken_.clear();
  {
    std::lock_guard lock(mutex_);
    taken_.swap(mail_);
    stats_.waiting += mailed_.answers;
    mailed_ = {};
  }
  for (Message &message : taken_) {
    switch (message.kind) {
    case Message::Kind::Submit:
      batcher_.add(message.id, std::move(message.request), std::move(message.listener));
      break;
    case Message::Kind::Cancel:
      batcher_.cancel(message.id);
      break;
    case Message::Kind::DropCache:
      engine_->dropPrefixCache();
      break;
    }
  }
}

void Scheduler::publish() {
  const KvCache &cache = engine_->cache();
  double held = 0, kept = 0;
  for (uint32_t kind = 0; kind < cache.kinds(); ++kind) {
    const double all = std::max(1u, cache.pages(kind));
    held = std::max(held, (cache.pages(kind) - cache.freePages(kind)) / all);
    kept = std::max(kept, cache.unheldPages(kind) / all);
  }
  std::lock_guard lock(mutex_);
  const Batcher::Totals &totals = batcher_.totals();
  stats_.running = batcher_.running();
  stats_.waiting = batcher_.waiting();
  stats_.waitingKeys = batcher_.waitingKeys();
  stats_.cacheUse = held;
  stats_.cachedUse = kept;
  stats_.promptTokens = totals.promptTokens;
  stats_.generatedTokens = totals.generatedTokens;
  stats_.preemptions = totals.preemptions;
  stats_.prefixQueries = totals.prefixQueries;
  stats_.prefixHits = totals.prefixHits;
  stats_.timeouts = totals.timeouts;
  ++stats_.steps;
  // What came meanwhile is in the mail.
  waiters_.clear();
  waiting_ = mailed_;
  for (const Message &message : mail_)
    if (message.kind == Message::Kind::Submit)
      waiters_[message.request.key].add(message.request.choices, promptTokens(message.request));
  batcher_.forEachWaiting([&](const std::string &key, uint64_t answers, uint64_t tokens) {
    waiting_.add(answers, tokens);
    waiters_[key].add(answers, tokens);
  });
}

Status Scheduler::runStep() {
  try {
    batcher_.expire(Clock::now());
    return batcher_.step();
  } catch (const std::bad_alloc &) {
    return Status::error(StatusKind::OutOfMemory,
                         "the scheduler: found no memory left, expected some; give the cache less "
                         "with --memory.");
  }
}

void Scheduler::run() {
  askForTimeSlice(ThreadPool::timeSlice);
  Status end = Status::error(StatusKind::Unavailable, "the server is stopping.");
  while (waitForWork()) {
    takeMail();
    Status status = runStep();
    publish();
    if (status.ok())
      continue;
    end = status;
    std::lock_guard lock(mutex_);
    failed_ = true; // from here on submit() takes nothing
    break;
  }
  takeMail();
  batcher_.failAll(end);
  publish();
}

} // namespace llama4
