//===- WeightPages.cpp - which memory holds the weights of a file ---------===//

#include "runtime/program/WeightPages.h"

#include "runtime/base/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <sys/mman.h>

namespace llama4 {

using Form = WeightsReport::Form;

static constexpr uint64_t smallPage = 4096;

static uint64_t wholePages(uint64_t bytes) {
  return (bytes + smallPage - 1) / smallPage * smallPage;
}

WeightPages::WeightPages(const MappedFile &file, uint64_t offset, uint64_t bytes)
    : file_(file), offset_(offset),
      weights_(file.bytes().subspan(static_cast<size_t>(offset), static_cast<size_t>(bytes))) {
  // A kernel without huge pages for files ignores it.
  (void)::madvise(const_cast<std::byte *>(weights_.data()), weights_.size(), MADV_HUGEPAGE);
}

WeightPages::~WeightPages() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable())
    thread_.join();
  releaseStaging();
}

void WeightPages::say(Form form, std::string reason) {
  std::lock_guard lock(mutex_);
  form_ = form;
  reason_ = std::move(reason);
}

void WeightPages::stay(std::string reason) { say(Form::Mapped, std::move(reason)); }

/// Memory as long as the weights, at a multiple of a huge page and not a byte longer: where pieces
/// have left it, other memory may come to lie.
Status WeightPages::reserve() {
  const size_t bytes = wholePages(weights_.size());
  void *all = ::mmap(nullptr, bytes + hugePageSize, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED)
    return Status::error(StatusKind::OutOfMemory, file_.path() + ": cannot reserve " +
                                                      std::to_string(bytes) +
                                                      " bytes for a copy of the weights; leave "
                                                      "them mapped with --weights map.");
  auto *begin = static_cast<std::byte *>(all);
  const size_t head =
      (hugePageSize - reinterpret_cast<uintptr_t>(all) % hugePageSize) % hugePageSize;
  if (head != 0)
    ::munmap(begin, head);
  ::munmap(begin + head + bytes, hugePageSize - head);
  staging_ = {begin + head, bytes};
  (void)::madvise(staging_.data(), staging_.size(), MADV_HUGEPAGE);
  return {};
}

/// Ends the copying: what is staged changes places, the rest of the memory is given back.
void WeightPages::releaseStaging() {
  std::lock_guard lock(gate_);
  switchStaged();
  const uint64_t gone = switched_;
  staged_ = gone;
  if (gone < staging_.size())
    ::munmap(staging_.data() + gone, static_cast<size_t>(staging_.size() - gone));
  staging_ = {};
}

/// Reads the piece that starts at `begin` into the staging memory, read-only from then on.
Status WeightPages::readPiece(uint64_t begin) {
  const uint64_t end = std::min<uint64_t>(begin + pieceBytes, weights_.size());
  std::span<std::byte> piece =
      staging_.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  LLAMA4_RETURN_IF_ERROR(file_.readAt(offset_ + begin, piece));
  (void)::mprotect(piece.data(), static_cast<size_t>(pieceEnd(begin) - begin), PROT_READ);
  return {};
}

/// Puts what is staged in the place of the mapping; gate_ is held alone.
void WeightPages::switchStaged() {
  const uint64_t end = staged_.load(std::memory_order_acquire);
  while (switched_ < end && !broken_) {
    const uint64_t begin = switched_;
    const auto bytes = static_cast<size_t>(pieceEnd(begin) - begin);
    auto *to = const_cast<std::byte *>(weights_.data()) + begin;
    if (::mremap(staging_.data() + begin, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
        MAP_FAILED) {
      // The kernel may have taken the mapping away before it failed.
      broken_ = !file_.mapAgain(offset_ + begin, bytes);
      staged_ = begin;
      return;
    }
    switched_ = begin + bytes;
  }
}

Status WeightPages::copyNow() {
  LLAMA4_RETURN_IF_ERROR(reserve());
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<ThreadPool> pool, ThreadPool::create(0));
  std::atomic<uint64_t> next = 0;
  Status failed;
  pool->run([&](unsigned) {
    for (uint64_t begin = next.fetch_add(pieceBytes); begin < weights_.size();
         begin = next.fetch_add(pieceBytes))
      if (Status status = readPiece(begin); !status.ok()) {
        std::lock_guard lock(mutex_);
        failed = std::move(status);
        next = weights_.size();
      }
  });
  if (failed.ok()) {
    std::lock_guard lock(gate_);
    staged_ = staging_.size();
    switchStaged();
    if (switched_ != staging_.size())
      failed = Status::error(StatusKind::OutOfMemory,
                             file_.path() + ": the system cannot move the copy of the weights to "
                                            "its place; leave them mapped with --weights map.");
  }
  releaseStaging();
  LLAMA4_RETURN_IF_ERROR(failed);
  say(Form::Copied);
  return {};
}

void WeightPages::copyLater(uint32_t steps, Available available, bool evenHuge) {
  available_ = std::move(available);
  evenHuge_ = evenHuge;
  stepsLeft_ = std::max(steps, 1u);
  thread_ = std::thread([this] { work(); });
}

void WeightPages::work() {
  {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return started_ || ending_; });
    if (ending_)
      return;
  }
  const PageUse use = pageUse(weights_);
  if (!evenHuge_ && use.resident != 0 && use.inHugePages >= use.resident / 10 * 9)
    return stay("huge pages map the file");
  if (!evenHuge_ && collapse())
    return stay("the file's pages have become huge ones");
  say(Form::Copying);
  if (Status status = copyPieces(); !status.ok())
    say(switched_ == 0 ? Form::Mapped : Form::Copying, status.message());
  releaseStaging();
}

/// Makes huge pages of the file's own, where the kernel can.
bool WeightPages::collapse() const {
  for (size_t begin = 0; begin < weights_.size(); begin += pieceBytes) {
    const size_t bytes = std::min<size_t>(pieceBytes, weights_.size() - begin);
    if (bytes >= hugePageSize &&
        !collapseIntoHugePages(weights_.subspan(begin, bytes / hugePageSize * hugePageSize)))
      return false;
  }
  return weights_.size() >= hugePageSize;
}

Status WeightPages::copyPieces() {
  LLAMA4_RETURN_IF_ERROR(reserve());
  for (uint64_t begin = 0; begin < staging_.size(); begin = pieceEnd(begin)) {
    const uint64_t free = available_(), least = weights_.size() / 16 + pieceBytes;
    if (free < least)
      return Status::error(StatusKind::OutOfMemory, "memory became short: found " +
                                                        std::to_string(free) + " bytes, expected " +
                                                        std::to_string(least));
    LLAMA4_RETURN_IF_ERROR(readPiece(begin));
    staged_.store(pieceEnd(begin), std::memory_order_release);
    offer();
    std::lock_guard lock(mutex_);
    if (ending_)
      return {};
    if (staged_ < pieceEnd(begin))
      return Status::error(StatusKind::OutOfMemory, "the system cannot move memory");
  }
  say(Form::Copied);
  return {};
}

/// Lets pieces change places between two steps, and waits while too many are there twice.
void WeightPages::offer() {
  const uint64_t most = weights_.size() / 64;
  for (;;) {
    if (gate_.try_lock()) {
      switchStaged();
      gate_.unlock();
    }
    const uint64_t staged = staged_, twice = staged - std::min<uint64_t>(switched_, staged);
    if (twice == 0 || (twice <= most && staged != staging_.size()))
      return;
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, std::chrono::milliseconds(1), [this] { return ending_; }))
      return;
  }
}

void WeightPages::finish() {
  {
    std::lock_guard lock(mutex_);
    started_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

Result<WeightPages::Hold> WeightPages::hold() {
  if (stepsLeft_ != 0 && --stepsLeft_ == 0) {
    std::lock_guard lock(mutex_);
    started_ = true;
    wake_.notify_all();
  }
  if (staged_.load(std::memory_order_relaxed) != switched_ && gate_.try_lock()) {
    switchStaged();
    gate_.unlock();
  }
  Hold hold(gate_);
  if (broken_)
    return Status::internal(file_.path() + ": cannot map the weights again after a copy of them "
                                           "failed; restart with --weights map.");
  return hold;
}

WeightsReport WeightPages::report() const {
  WeightsReport report;
  report.bytes = weights_.size();
  report.copied = std::min<uint64_t>(switched_, weights_.size());
  report.inHugePages = pageUse(weights_).inHugePages;
  std::lock_guard lock(mutex_);
  report.form = form_;
  report.reason = reason_;
  return report;
}

} // namespace llama4
