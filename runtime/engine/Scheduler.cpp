//===- Scheduler.cpp - one thread that runs everybody's requests ----------===//

#include "runtime/engine/Scheduler.h"

#include "runtime/format/KernelAbi.h"

#include <algorithm>
#include <new>
#include <system_error>

namespace llama4 {

Scheduler::Scheduler(std::unique_ptr<Engine> engine, SchedulerOptions options)
    : engine_(std::move(engine)), options_(std::move(options)),
      batcher_(*engine_, options_.batcher) {
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

Result<uint64_t> Scheduler::submit(ScheduledRequest request, RequestListener listener) {
  LLAMA4_RETURN_IF_ERROR(batcher_.check(request));
  uint64_t id;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || failed_)
      return Status::error(StatusKind::Unavailable, failed_ ? "the engine has failed: restart it."
                                                            : "the engine takes no more requests.");
    // A request that comes to an empty queue is taken whatever its size: it fits, says check().
    const size_t answers = stats_.waiting + mailed_;
    const uint64_t tokens = uint64_t{request.choices} * request.prompt.size();
    if (answers != 0 && (answers + request.choices > options_.maxWaiting ||
                         waitingTokens_ + mailedTokens_ + tokens > options_.maxWaitingTokens)) {
      ++stats_.refused;
      return Status::error(StatusKind::Unavailable, "too many requests wait already: found " +
                                                        std::to_string(answers) +
                                                        "; try again later.");
    }
    id = ++lastId_;
    mailed_ += request.choices;
    mailedTokens_ += tokens;
    mail_.push_back({id, false, std::move(request), std::move(listener)});
  }
  wake_.notify_one();
  return id;
}

void Scheduler::cancel(uint64_t id) {
  {
    std::lock_guard lock(mutex_);
    if (failed_)
      return;
    mail_.push_back({id, true, {}, {}});
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
  stats.waiting += mailed_;
  return stats;
}

double Scheduler::cacheUse() const {
  double use = 0;
  const KvCache &cache = engine_->cache();
  for (uint32_t kind = 0; kind < cache.kinds(); ++kind)
    use = std::max(use, 1 - static_cast<double>(cache.freePages(kind)) /
                                std::max(1u, cache.pages(kind)));
  return use;
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
    stats_.waiting += mailed_;
    waitingTokens_ += mailedTokens_;
    mailed_ = 0;
    mailedTokens_ = 0;
  }
  for (Message &message : taken_) {
    if (message.cancels)
      batcher_.cancel(message.id);
    else
      batcher_.add(message.id, std::move(message.request), std::move(message.listener));
  }
}

void Scheduler::publish() {
  std::lock_guard lock(mutex_);
  stats_.running = batcher_.running();
  stats_.waiting = batcher_.waiting();
  stats_.cacheUse = cacheUse();
  stats_.promptTokens = batcher_.promptTokens();
  stats_.generatedTokens = batcher_.generatedTokens();
  stats_.preemptions = batcher_.preemptions();
  ++stats_.steps;
  waitingTokens_ = batcher_.waitingTokens();
}

Status Scheduler::runStep() {
  try {
    return batcher_.step();
  } catch (const std::bad_alloc &) {
    return Status::error(StatusKind::OutOfMemory,
                         "the scheduler: found no memory left, expected some; give the cache less "
                         "with --memory.");
  }
}

void Scheduler::run() {
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
