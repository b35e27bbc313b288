//===- SamplingOptions.h - flags that say how tokens are chosen --*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_SAMPLINGOPTIONS_H
#define LLAMA4_TOOLS_LLAMA4_RUN_SAMPLINGOPTIONS_H

#include "runtime/engine/Sampler.h"
#include "tools/llama4-run/Common.h"

#include <optional>
#include <string>
#include <vector>

namespace llama4::run {

/// What the command line says; what it doesn't say is empty.
struct SamplingOptions {
  std::optional<float> temperature, topP, minP;
  std::optional<float> frequencyPenalty, presencePenalty, repetitionPenalty;
  std::optional<uint32_t> topK;
  std::optional<uint64_t> seed;
  std::vector<std::string> logitBias; ///< ID=B
  std::vector<std::string> stop;
};

void addSamplingOptions(CLI::App &command, SamplingOptions &options);

/// Each parameter is that of the command line, else that of the model's generation_config, else
/// greedy decoding. Where tokens are drawn and no seed is given, one is made up and noted on
/// stderr. Errors: Usage, naming the flag.
Result<SamplingParameters> samplingParameters(const SamplingOptions &options,
                                              const ProgramDesc &program);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_SAMPLINGOPTIONS_H
