//===- Options.h - what a compile was asked for -----------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_OPTIONS_H
#define LLAMA4_COMPILER_DRIVER_OPTIONS_H

#include "compiler/report/ExplainOptions.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llama4 {

/// The forms a program has on its way, in order. Each can be printed; from lm on each can be read
/// back and the compile continued.
enum class Phase { Graph, Lm, LmOpt, Cmd, Plan };

/// "graph", "lm", "lm-opt", "cmd", "plan"; nothing for another name.
std::optional<Phase> parsePhase(std::string_view name);
std::string_view phaseName(Phase phase);

/// A compile. What is absent takes its default; with `fromPhase` the module's own attributes hold,
/// and an option that contradicts them is an error.
struct DriverOptions {
  std::string checkpoint;              ///< folder or .gguf
  std::string output;                  ///< the .l4x; may be empty with dumpPhase
  std::optional<std::string> compute;  ///< float32 or bfloat16 (default)
  std::optional<std::string> kvType;   ///< default: float32 with compute float32, else bfloat16
  std::optional<std::string> encoding; ///< as-stored (default) or an encoding
  std::optional<std::string> visionEncoding; ///< of the image tower; as-stored (default)
  std::optional<std::string> library;        ///< none (default) or onednn
  bool textOnly = false;                     ///< without the image part of the checkpoint
  /// Regular expressions and encodings of the parameters in whose name they are found; the last one
  /// that matches counts.
  std::vector<std::pair<std::string, std::string>> encodingFor;
  std::optional<std::vector<std::string>> targets; ///< CPU levels; default: all
  std::optional<int64_t> maxLength, maxBatchSize, maxStepTokens, maxStepTiles;
  std::vector<std::string> disabledPasses;
  /// Weights are made up when the program is loaded: a text of weightSourceText(). The checkpoint
  /// then needs no weights.
  std::optional<std::string> syntheticWeights;
  std::optional<Phase> dumpPhase; ///< print that phase to stdout and stop
  std::optional<Phase> fromPhase; ///< continue from `fromFile`
  std::string fromFile;
  std::string dumpKernels; ///< folder for the stages of every kernel; empty: none
  unsigned threads = 0;    ///< of the machine code's levels; 0: one for each processor
  bool verbose = false;    ///< times and sizes on stderr
  bool planOnly = false;   ///< print what the plan needs and stop; weights may be missing
  bool json = false;       ///< print that as JSON
  /// Print every dispatch and what it costs, and stop; weights may be missing.
  std::optional<ExplainOptions> explain;
};

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_OPTIONS_H
