//===- BenchReport.h - what a bench has measured, for people and programs -*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_BENCHREPORT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_BENCHREPORT_H

#include "runtime/engine/Bench.h"
#include "tools/llama4-run/Common.h"

namespace llama4::run {

/// Everything that is reported of one bench.
struct BenchReport {
  const Engine &engine;
  const Device &device;
  const BenchOptions &options;
  BenchResult result;
  double firstToken = 0; ///< seconds from the start of the program
};

/// The object that docs/bench.md describes.
nlohmann::ordered_json benchJson(const BenchReport &report);
/// Some lines and, of a profile, two tables on stdout.
void printBench(const BenchReport &report);

/// Limits by themselves: "read" and "macs".
nlohmann::ordered_json limitsJson(const Limits &limits,
                                  const std::array<std::string_view, macKinds> &instructions);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_BENCHREPORT_H
