//===- TokenIds.cpp - the tokens that begin and end a text ----------------===//

#include "models/TokenIds.h"

#include <algorithm>

namespace llama4::models {

static void addIds(std::vector<int64_t> &to, const std::vector<int64_t> &from) {
  to.insert(to.end(), from.begin(), from.end());
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

Result<TokenIds> readTokenIds(const Checkpoint &checkpoint, const Config &config,
                              int64_t vocabularySize) {
  TokenIds tokens;
  const int64_t last = vocabularySize - 1;
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> bos, config.integers("bos_token_id", 0, last));
  if (bos.size() > 1)
    return config.error("bos_token_id", std::to_string(bos.size()) + " ids", "one id");
  if (!bos.empty())
    tokens.bos = bos[0];
  LLAMA4_ASSIGN_OR_RETURN(tokens.eos, config.integers("eos_token_id", 0, last));
  addIds(tokens.stop, tokens.eos);
  if (!checkpoint.generationConfig())
    return tokens;
  LLAMA4_ASSIGN_OR_RETURN(Config generation,
                          Config::parse(*checkpoint.generationConfig(), "generation_config.json"));
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> more, generation.integers("eos_token_id", 0, last));
  addIds(tokens.stop, more);
  return tokens;
}

void writeTokenIds(const TokenIds &tokens, graph::Graph &graph) {
  if (tokens.bos)
    graph.model["bos_id"] = *tokens.bos;
  graph.model["eos_ids"] = tokens.eos;
  graph.model["stop_ids"] = tokens.stop;
}

} // namespace llama4::models
