//===- PlaceWeights.cpp - which memory the weights get --------------------===//

#include "runtime/engine/PlaceWeights.h"

#include "runtime/program/Program.h"

namespace llama4 {

Status placeWeights(const Program &program, const WeightsOptions &options, uint64_t others) {
  WeightPages *pages = program.weightPages();
  if (!pages || options.form == WeightsForm::Map)
    return {};
  // A cache of the default size leaves a tenth; the rest of that is for other processes.
  const uint64_t available = options.available(), most = available - available / 16;
  const uint64_t needed = program.weightsBytes() + others;
  if (needed > most) {
    const std::string found = "found " + std::to_string(most) + " bytes, expected " +
                              std::to_string(needed) + " for weights and everything reserved";
    if (options.form == WeightsForm::Copy)
      return Status::error(StatusKind::OutOfMemory,
                           program.name() + ": no memory for a copy of the weights: " + found +
                               "; leave them mapped with --weights map.");
    pages->stay("memory is short: " + found);
    return {};
  }
  if (options.form == WeightsForm::Copy)
    return pages->copyNow();
  pages->copyLater(options.stepsBeforeCopy, options.available, options.evenHuge);
  return {};
}

} // namespace llama4
