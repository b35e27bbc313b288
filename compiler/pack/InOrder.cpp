//===- InOrder.cpp - pieces made by several threads, taken in order -------===//

#include "compiler/pack/InOrder.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace llama4::pack {

namespace {

class Line {
public:
  Line(size_t count, unsigned threads, const MakePiece &make)
      : count_(count), make_(make), slots_(std::min<size_t>(count, size_t{2} * threads)) {
    for (unsigned worker = 0; worker < threads; ++worker)
      try {
        threads_.emplace_back([this, worker] { work(worker); });
      } catch (const std::system_error &) {
        break; // the system has no more threads
      }
  }
  ~Line() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread &thread : threads_)
      thread.join();
  }
  bool hasThreads() const { return !threads_.empty(); }

  Status takeAll(const TakePiece &take) {
    for (size_t index = 0; index < count_; ++index) {
      Slot &slot = slots_[index % slots_.size()];
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return slot.made; });
      }
      LLAMA4_RETURN_IF_ERROR(slot.status);
      LLAMA4_RETURN_IF_ERROR(take(slot.bytes));
      {
        std::lock_guard lock(mutex_);
        slot.made = false;
        taken_ = index + 1;
      }
      changed_.notify_all();
    }
    return {};
  }

private:
  struct Slot {
    std::vector<std::byte> bytes;
    Status status;
    bool made = false; ///< under mutex_
  };

  void work(unsigned worker) {
    for (;;) {
      std::unique_lock lock(mutex_);
      const size_t index = next_++;
      changed_.wait(lock, [&] { return ended_ || index < taken_ + slots_.size(); });
      if (ended_ || index >= count_)
        return;
      lock.unlock();
      Slot &slot = slots_[index % slots_.size()];
      slot.status = make_(worker, index, slot.bytes);
      lock.lock();
      slot.made = true;
      lock.unlock();
      changed_.notify_all();
    }
  }

  const size_t count_;
  const MakePiece &make_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t next_ = 0, taken_ = 0; ///< under mutex_
  bool ended_ = false;          ///< under mutex_
  std::vector<std::thread> threads_;
};

} // namespace

Status inOrder(size_t count, unsigned threads, const MakePiece &make, const TakePiece &take) {
  threads = static_cast<unsigned>(std::min<size_t>(threads, count));
  if (threads > 1) {
    Line line(count, threads, make);
    if (line.hasThreads())
      return line.takeAll(take);
  }
  std::vector<std::byte> bytes;
  for (size_t index = 0; index < count; ++index) {
    LLAMA4_RETURN_IF_ERROR(make(0, index, bytes));
    LLAMA4_RETURN_IF_ERROR(take(bytes));
  }
  return {};
}

} // namespace llama4::pack
