//===- MemoryPlan.h - what memory a planned program needs -------*- C++ -*-===//
//
// The numbers behind every report: read off the program's description, nothing estimated. Sizes are
// bytes; sums that overflow stay at the largest number.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REPORT_MEMORYPLAN_H
#define LLAMA4_COMPILER_REPORT_MEMORYPLAN_H

#include "runtime/format/ProgramDesc.h"

#include <map>
#include <string>
#include <vector>

namespace llama4 {

/// a * b and a + b, the largest number on overflow.
uint64_t saturatingMul(uint64_t a, uint64_t b);
uint64_t saturatingAdd(uint64_t a, uint64_t b);

/// Weights of one kind.
struct WeightSum {
  uint64_t tensors = 0, parameters = 0, bytes = 0;

  void count(const Weight &weight);
};

/// The cache of one kind of layers.
struct KvNeed {
  const KvKind *kind;        ///< of the program
  uint64_t perTokenAndLayer; ///< bytes of keys and values of one layer
  uint64_t perToken;         ///< bytes of all layers of the kind
  uint64_t perSequence;      ///< bytes of the longest sequence
  uint64_t bytes;            ///< of all sequences
};

/// What one side of a program with images needs: the image tower, or everything else. Transients
/// are shared by the sides, the memory has those of the larger one.
struct SideNeed {
  WeightSum weights;
  uint64_t arena = 0;
  uint64_t step = 0; ///< inputs and outputs; of the image side also the pool that steps read and
                     ///< the pixels of its pictures
};

/// What max_batch_size sequences of max_length tokens need; an engine with less memory gives them
/// less.
struct MemoryPlan {
  WeightSum weights;
  std::map<std::string, WeightSum> encodings;
  std::vector<KvNeed> kv;
  uint64_t arena = 0;   ///< transients of the entry that needs most
  uint64_t scratch = 0; ///< of each thread
  uint64_t step = 0;    ///< inputs and outputs of the entries
  uint64_t cache = 0;
  uint64_t host = 0;     ///< everything else of a process, as stated (HostMemory.h)
  uint64_t memory = 0;   ///< the bound: weights, arena, step, cache and host
  SideNeed vision, text; ///< both together are the sums above; arena: the larger
};

/// Refers to `program`, which must outlive it.
MemoryPlan planMemory(const ProgramDesc &program);

} // namespace llama4

#endif // LLAMA4_COMPILER_REPORT_MEMORYPLAN_H
