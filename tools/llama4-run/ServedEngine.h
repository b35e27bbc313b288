//===- ServedEngine.h - a model behind a scheduler ---------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_SERVEDENGINE_H
#define LLAMA4_TOOLS_LLAMA4_RUN_SERVEDENGINE_H

#include "runtime/serve/ServedModel.h"
#include "runtime/serve/Service.h"
#include "tools/llama4-run/Common.h"

namespace llama4::run {

/// Flags of the subcommands that answer many requests at once.
struct ServedEngineOptions {
  ModelOptions model;
  std::vector<std::string> names;
  uint64_t maxLength = 0;
  uint32_t maxSequences = 0, promptTokens = 64;
  uint32_t maxWaiting = 256;
  uint64_t maxWaitingTokens = 0; ///< as in SchedulerOptions
  bool noPrefixCache = false;
  serve::ImageRules images;
  std::string imageAlpha = "white"; ///< "white" or "drop"
};

void addServedEngineOptions(CLI::App &command, ServedEngineOptions &options);

/// What a service is made of; outlives it.
struct ServedEngine {
  Session session;
  std::unique_ptr<const text::Tokenizer> tokenizer; ///< the scheduler's
  std::optional<serve::ServedModel> model;
  std::unique_ptr<Scheduler> scheduler;
  uint32_t maxSequences = 0;
  std::string summary; ///< memory and sizes, for people
};

Result<ServedEngine> openServedEngine(const ServedEngineOptions &options);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_SERVEDENGINE_H
