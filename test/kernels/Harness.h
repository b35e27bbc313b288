//===- Harness.h - compile kernels, load them, call them ---------*- C++ -*-===//
//
// A test writes cmd.kernel text, compiles it for one CPU level, loads the shared object from memory
// as the runtime does and calls it with bindings of its own. Every tensor is followed by guard
// bytes; a run is cut into uneven ranges of tiles.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_KERNELS_HARNESS_H
#define LLAMA4_TEST_KERNELS_HARNESS_H

#include "compiler/microkernels/Microkernels.h"
#include "runtime/base/Status.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/format/Rows.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace llama4::test {

/// Levels that this machine runs.
std::vector<std::string> runnableLevels();

/// `text` with every "$NAME" of `values` replaced.
std::string fill(std::string text, const std::vector<std::pair<std::string, std::string>> &values);

/// Memory of one tensor: rows of `columns` elements, padded as Rows.h says, or any bytes.
class Tensor {
public:
  Tensor(ElementType type, int64_t rows, int64_t columns);
  /// `bytes` bytes without rows.
  explicit Tensor(size_t bytes);
  /// Copies `bytes`.
  explicit Tensor(const std::vector<std::byte> &bytes);

  void *data() const { return data_; }
  size_t bytes() const { return bytes_; }
  ElementType type() const { return type_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t rowBytes() const { return rowBytes_; }
  template <typename T> T *row(int64_t index) const {
    return reinterpret_cast<T *>(static_cast<char *>(data_) + index * rowBytes_);
  }
  /// f32 and bf16 tensors.
  float at(int64_t row, int64_t column) const;
  void set(int64_t row, int64_t column, float value);
  /// Normal numbers times `scale`.
  Tensor &randomize(std::mt19937 &random, float scale = 1.0f);
  /// False when something wrote behind the end.
  bool guardIntact() const;

private:
  std::shared_ptr<char> memory_;
  void *data_ = nullptr;
  size_t bytes_ = 0;
  ElementType type_ = ElementType::F32;
  int64_t rows_ = 0, columns_ = 0, rowBytes_ = 0;
};

/// What one q8_32 or q8_128 row says.
struct QuantizedRow {
  std::vector<int> quants; ///< 32 or 128 per block
  std::vector<float> scales;
  std::vector<float> scaledSums; ///< none in q8_128
  std::vector<int> sums;
  std::vector<int> partSums; ///< of each 32 columns; none in q8_32
};
QuantizedRow readQuantized(const Tensor &tensor, int64_t row);
/// The definition of KernelAbi.h, in scalar code.
QuantizedRow quantize(const std::vector<float> &row, ElementType type = ElementType::Q8_32);
void writeQuantized(Tensor &tensor, int64_t row, const QuantizedRow &values);

uint16_t toBf16(float value);
float fromBf16(uint16_t bits);

/// A step buffer over vectors that live here.
struct Step {
  std::vector<int64_t> position, length;
  std::vector<int32_t> sequence, start, pages[L4_MAX_KV_KINDS];
  l4_step step = {};
  /// Sequences with `past[i]` tokens in the cache before the step and `counts[i]` in it. Every kind
  /// has page tables of its own, handed out in a scattered order and with rows of its own length.
  Step(const std::vector<int64_t> &past, const std::vector<int32_t> &counts);
  /// `tokens` tokens of one new sequence.
  explicit Step(int32_t tokens) : Step({0}, {tokens}) {}
  int64_t numPages(int kind) const { return static_cast<int64_t>(pages[kind].size()); }
  /// The page of kind `kind` that holds `position` of `sequence`.
  int64_t page(int kind, int64_t sequence, int64_t position) const;
};

/// The kernels of one module for one level, loaded.
class Kernels {
public:
  /// Fails the test on an error.
  Kernels(const std::string &text, const std::string &level);
  ~Kernels();
  Kernels(const Kernels &) = delete;
  Kernels &operator=(const Kernels &) = delete;

  /// Runs all tiles of `name` for `step`.
  void run(const std::string &name, const Step &step, const std::vector<Tensor> &bindings);

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Compiles without loading, for tests of errors and of determinism.
Result<std::vector<std::byte>> compileText(const std::string &text, const std::string &level,
                                           const std::string &dumpDir = "");

/// A test that runs once per level.
class LevelTest : public testing::TestWithParam<std::string> {
protected:
  std::mt19937 random_{20240711};
};
#define LLAMA4_FOR_ALL_LEVELS(suite)                                                               \
  INSTANTIATE_TEST_SUITE_P(Levels, suite, testing::ValuesIn(::llama4::test::runnableLevels()),     \
                           [](const auto &info) {                                                  \
                             std::string name;                                                     \
                             for (char c : info.param)                                             \
                               name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';      \
                             return name;                                                          \
                           })

} // namespace llama4::test

#endif // LLAMA4_TEST_KERNELS_HARNESS_H
