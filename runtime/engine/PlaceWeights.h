//===- PlaceWeights.h - which memory the weights get -------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_PLACEWEIGHTS_H
#define LLAMA4_RUNTIME_ENGINE_PLACEWEIGHTS_H

#include "runtime/base/Status.h"
#include "runtime/engine/SystemMemory.h"
#include "runtime/program/WeightPages.h"

#include <cstdint>

namespace llama4 {

class Program;

/// How the weights of a file come to lie in memory.
struct WeightsOptions {
  WeightsForm form = WeightsForm::Map;
  /// Executions of an entry before a copy beside them begins. A copy costs about what these gain by
  /// it, so that a short run loses nothing and a long one little.
  uint32_t stepsBeforeCopy = 64;
  bool evenHuge = false; ///< copy also where the file's own pages are huge
  WeightPages::Available available = availableMemory;
};

/// Does what `options` say, before the first step. `others`: bytes that are reserved beside the
/// weights and will be written. Made-up weights, and those of no file, stay where they are. Errors:
/// those of WeightPages::copyNow(), OutOfMemory where a copy was asked for and does not fit.
Status placeWeights(const Program &program, const WeightsOptions &options, uint64_t others);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PLACEWEIGHTS_H
