//===- PlanReport.h - what a planned program needs --------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_PLANREPORT_H
#define LLAMA4_COMPILER_DRIVER_PLANREPORT_H

#include "runtime/format/ProgramDesc.h"

#include <string>

namespace llama4 {

/// Parameters, weights, transients and cache of a program, read off its description: as lines for
/// people, or as one JSON object. Sizes are bytes. The memory of the cache is what max_batch_size
/// sequences of max_length tokens need; an engine with less gives them less.
std::string planReport(const ProgramDesc &program, bool json);

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_PLANREPORT_H
