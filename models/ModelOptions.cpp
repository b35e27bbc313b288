//===- ModelOptions.cpp - what a compile fixes about a model --------------===//

#include "models/ModelOptions.h"

#include "runtime/format/Quoted.h"

namespace llama4::models {

using graph::Element;

/// A bound of the options, or why it is wrong.
static Status checkBound(const char *name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max)
    return {};
  return Status::error(StatusKind::Usage, std::string(name) + ": found " + std::to_string(value) +
                                              ", expected 1 to " + std::to_string(max) + ".");
}

Status checkOptions(const ModelOptions &options, int64_t maxPosition) {
  const int64_t length = options.maxLength ? options.maxLength : maxPosition;
  LLAMA4_RETURN_IF_ERROR(checkBound("max-length", length, maxPosition));
  LLAMA4_RETURN_IF_ERROR(checkBound("max-batch-size", options.maxBatchSize, 65536));
  LLAMA4_RETURN_IF_ERROR(checkBound("max-step-tokens", options.maxStepTokens, 1 << 20));
  LLAMA4_RETURN_IF_ERROR(checkBound("max-step-tiles", options.maxStepTiles, 4096));
  if (options.maxFeatureRows)
    LLAMA4_RETURN_IF_ERROR(checkBound("max-feature-rows", options.maxFeatureRows, 1 << 24));
  if (options.kvType != Element::F32 && options.kvType != Element::BF16)
    return Status::error(StatusKind::Usage, "kv-type: found " +
                                                std::string(elementName(options.kvType)) +
                                                ", expected float32 or bfloat16.");
  if (options.compute != "float32" && options.compute != "bfloat16")
    return Status::error(StatusKind::Usage, "compute: found " + quoteName(options.compute) +
                                                ", expected float32 or bfloat16.");
  return {};
}

void writeOptions(const ModelOptions &options, int64_t maxPosition, graph::Graph &graph) {
  graph.options["compute"] = options.compute;
  graph.options["kv_type"] = options.kvType == Element::F32 ? "float32" : "bfloat16";
  graph.options["max_length"] = options.maxLength ? options.maxLength : maxPosition;
  graph.options["max_batch_size"] = options.maxBatchSize;
  graph.options["max_step_tokens"] = options.maxStepTokens;
}

} // namespace llama4::models
