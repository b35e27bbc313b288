//===- ByteBudget.h - memory that many share ---------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_BYTEBUDGET_H
#define LLAMA4_RUNTIME_SERVE_BYTEBUDGET_H

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace llama4::serve {

/// So many bytes, and how many of them are lent out. Thread-safe.
class ByteBudget {
public:
  explicit ByteBudget(size_t limit) : limit_(limit) {}
  /// Lends `bytes`; false, and nothing changed, where that would leave fewer than `spare`.
  bool take(size_t bytes, size_t spare = 0) {
    size_t used = used_.load();
    do {
      if (spare > limit_ - used || bytes > limit_ - used - spare)
        return false;
    } while (!used_.compare_exchange_weak(used, used + bytes));
    return true;
  }
  void give(size_t bytes) { used_ -= bytes; }
  size_t used() const { return used_; }
  size_t limit() const { return limit_; }

private:
  const size_t limit_;
  std::atomic<size_t> used_ = 0;
};

/// What one holder has of a budget; given back with it. Not thread-safe itself.
class ByteLease {
public:
  ByteLease() = default;
  explicit ByteLease(std::shared_ptr<ByteBudget> budget) : budget_(std::move(budget)) {}
  ByteLease(ByteLease &&other) noexcept
      : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
  ByteLease &operator=(ByteLease &&other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    other.release();
    return *this;
  }
  ~ByteLease() { release(); }

  /// Holds `bytes` more; false where the budget would then have fewer than `spare` left. Without a
  /// budget there is no end.
  bool grow(size_t bytes, size_t spare = 0) {
    if (budget_ && !budget_->take(bytes, spare))
      return false;
    bytes_ += bytes;
    return true;
  }
  void shrink(size_t bytes) {
    bytes_ -= bytes;
    if (budget_)
      budget_->give(bytes);
  }
  void release() { shrink(bytes_); }
  size_t bytes() const { return bytes_; }
  /// Of the whole budget; 0 without one.
  size_t limit() const { return budget_ ? budget_->limit() : 0; }

private:
  std::shared_ptr<ByteBudget> budget_;
  size_t bytes_ = 0;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_BYTEBUDGET_H
