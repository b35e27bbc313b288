//===- TokenIds.h - the tokens that begin and end a text --------*- C++ -*-===//
#ifndef LLAMA4_MODELS_TOKENIDS_H
#define LLAMA4_MODELS_TOKENIDS_H

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/graph/Graph.h"

#include <optional>
#include <vector>

namespace llama4::models {

struct TokenIds {
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;  ///< as the configuration lists them
  std::vector<int64_t> stop; ///< eos and those that generation_config.json adds, ascending
};

/// The ids that `config` (a section of the checkpoint's configuration) and generation_config.json
/// name. Errors: InvalidInput for ids outside of the vocabulary.
Result<TokenIds> readTokenIds(const Checkpoint &checkpoint, const Config &config,
                              int64_t vocabularySize);

/// Writes them to the graph's facts: bos_id, eos_ids, stop_ids.
void writeTokenIds(const TokenIds &tokens, graph::Graph &graph);

} // namespace llama4::models

#endif // LLAMA4_MODELS_TOKENIDS_H
