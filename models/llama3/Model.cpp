//===- Model.cpp - Llama 3 text models ------------------------------------===//

#include "models/llama3/Model.h"

#include "models/Rope.h"
#include "models/llama3/Weights.h"

#include <ranges>

namespace llama4::llama3 {

using graph::Entry;
using graph::Graph;
using graph::Tensor;
using models::ModelOptions;

using Decoder = models::Decoder<DecoderLayer, StepInputs>;

static void declareStep(const Decoder &decoder, const ModelConfig &config,
                        const ModelOptions &options) {
  Entry &entry = decoder.graph().addEntry("step", "T", options.maxStepTokens);
  StepInputs step;
  Tensor ids = models::declareTokens(entry, config, step.cos, step.sin);
  step.batch = entry.batch();
  step.kv = entry.kv({"full", 0, config.layers, config.kvHeads, config.headDim, options.kvType});
  entry.output(decoder.hidden(ids, step));
}

Result<std::unique_ptr<Graph>> build(const Checkpoint &checkpoint, const ModelOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(const ModelConfig config, readConfig(checkpoint));
  LLAMA4_RETURN_IF_ERROR(models::checkOptions(options, config.maxPosition));
  auto weights = std::make_shared<Weights>(checkpoint, config, options);
  auto graph =
      std::make_unique<Graph>([weights](const std::string &name, std::span<const int64_t> dims) {
        return weights->resolve(name, dims);
      });
  LLAMA4_ASSIGN_OR_RETURN(std::vector<float> invFreq,
                          models::computeInvFreq(checkpoint, config.rope, config.headDim));
  graph->addRopeTable(models::kRopeTable, std::move(invFreq));
  const graph::Module root(*graph);
  const Decoder decoder(root, "model", config, std::views::iota(int64_t{0}, config.layers));
  const graph::Linear head = models::makeHead(root, decoder.embedding(), config);
  declareStep(decoder, config, options);
  models::declareLogits(*graph, decoder.norm(), head, config, options);
  LLAMA4_RETURN_IF_ERROR(graph->status());
  LLAMA4_RETURN_IF_ERROR(weights->checkAllUsed());
  graph->close();
  models::describe(*graph, "llama3", config.layers, config, options);
  for (std::string &remark : weights->remarks())
    graph->remark(std::move(remark));
  return graph;
}

} // namespace llama4::llama3
