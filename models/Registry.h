//===- Registry.h - the list of architectures -------------------*- C++ -*-===//
//
// From the name of an architecture, as config.json gives it, to the function that declares the
// model. A new model is one folder and one row of the table in Registry.cpp.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_REGISTRY_H
#define LLAMA4_MODELS_REGISTRY_H

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/graph/Graph.h"
#include "models/ModelOptions.h"

#include <memory>

namespace llama4::models {

/// Declares the model of `checkpoint`. The graph holds no reference to the checkpoint. Fields of
/// the configuration that nobody reads are remarks of the graph. Errors: Usage for options that
/// contradict the model; InvalidInput for an unknown architecture, a configuration that can't be
/// honoured, and missing, unknown or misshapen tensors.
Result<std::unique_ptr<graph::Graph>> buildModel(const Checkpoint &checkpoint,
                                                 const ModelOptions &options);

} // namespace llama4::models

#endif // LLAMA4_MODELS_REGISTRY_H
