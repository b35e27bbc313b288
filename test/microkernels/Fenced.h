//===- Fenced.h - memory that nobody may leave -------------------*- C++ -*-===//
#ifndef LLAMA4_TEST_MICROKERNELS_FENCED_H
#define LLAMA4_TEST_MICROKERNELS_FENCED_H

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace llama4::microkernels {

/// Floats that end at a page which cannot be touched, with 64 bytes before them that isIntact
/// watches. Aligned to 64 bytes where `count` is a multiple of 16.
class Fenced {
public:
  explicit Fenced(size_t count, float value = 0.0f) : count_(count) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t used = (count * sizeof(float) + sizeof(float) * kBefore + page - 1) / page * page;
    bytes_ = used + page;
    base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED || mprotect(static_cast<char *>(base_) + used, page, PROT_NONE) != 0)
      std::abort();
    data_ = static_cast<float *>(base_) + used / sizeof(float) - count;
    std::fill(data_ - kBefore, data_, kCanary);
    std::fill(data_, data_ + count, value);
  }
  explicit Fenced(const std::vector<float> &values) : Fenced(values.size()) {
    std::copy(values.begin(), values.end(), data_);
  }
  ~Fenced() { munmap(base_, bytes_); }
  Fenced(const Fenced &) = delete;
  Fenced &operator=(const Fenced &) = delete;

  float *data() const { return data_; }
  size_t size() const { return count_; }
  float &operator[](int64_t i) const { return data_[i]; }
  /// Nothing was written before the first float.
  bool isIntact() const {
    return std::all_of(data_ - kBefore, data_, [](float x) { return x == kCanary; });
  }

private:
  static constexpr size_t kBefore = 16;
  static constexpr float kCanary = 1234.5f;

  size_t count_, bytes_ = 0;
  void *base_ = nullptr;
  float *data_ = nullptr;
};

} // namespace llama4::microkernels

#endif // LLAMA4_TEST_MICROKERNELS_FENCED_H
