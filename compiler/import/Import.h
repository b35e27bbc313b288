//===- Import.h - a declared model as an lm module --------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_IMPORT_IMPORT_H
#define LLAMA4_COMPILER_IMPORT_IMPORT_H

#include "compiler/graph/Graph.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace llama4 {

/// The module of the lm dialect that `graph` declares; it verifies. Every op's location is the C++
/// line that declared it, named by its module ("model.layers.0.self_attn.q_proj"). Loads the
/// dialects it needs into `context`. Null, with a diagnostic, only where the graph breaks a rule of
/// the dialect; a graph in error (Graph::status) must not be imported.
mlir::OwningOpRef<mlir::ModuleOp> importGraph(mlir::MLIRContext &context,
                                              const graph::Graph &graph);

} // namespace llama4

#endif // LLAMA4_COMPILER_IMPORT_IMPORT_H
