//===- MadeUpWeights.h - weights that no file holds --------------*- C++ -*-===//
//
// Memory in place of the Weights section, filled by rule (WeightSource.h). The bytes are in the
// packed form of each weight's encoding, with scales that keep activations finite. Every byte is
// determined by source, name, encoding, shape and its place in the weight: machine, number of
// threads and other weights have no influence.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_PROGRAM_MADEUPWEIGHTS_H
#define LLAMA4_RUNTIME_PROGRAM_MADEUPWEIGHTS_H

#include "runtime/base/Status.h"
#include "runtime/format/ProgramDesc.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>

namespace llama4 {

/// Writes the packed bytes of panels [first, first + count) of `weight` to `out`, its whole memory;
/// a weight that is no matrix is one panel. `out` was zero: padding is not written.
void makeUpPanels(const WeightSource &source, const Weight &weight, uint64_t first, uint64_t count,
                  std::span<std::byte> out);

/// Panels of 16 rows in a weight's memory, of all its matrices; 1 for a vector.
uint64_t panelCount(const Weight &weight);

/// The weights of one program. Thread-safe.
class MadeUpWeights {
public:
  MadeUpWeights() = default;
  ~MadeUpWeights();
  MadeUpWeights(const MadeUpWeights &) = delete;
  MadeUpWeights &operator=(const MadeUpWeights &) = delete;

  /// `bytes` bytes that hold every weight at its offset, made at the first call by all processors.
  /// The program has been checked. Errors: OutOfMemory, at every call the same.
  Result<std::span<const std::byte>> get(const ProgramDesc &program, uint64_t bytes);
  /// What get() has made so far; empty before.
  std::span<const std::byte> made() const;

private:
  Status reserve(uint64_t bytes);
  Status fill(const ProgramDesc &program);

  mutable std::mutex mutex_;
  bool tried_ = false;
  Status status_;
  void *mapping_ = nullptr;
  size_t mappingBytes_ = 0;
  std::span<std::byte> memory_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_PROGRAM_MADEUPWEIGHTS_H
