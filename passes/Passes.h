//===- Passes.h - all passes of the compiler --------------------*- C++ -*-===//
#ifndef LLAMA4_PASSES_PASSES_H
#define LLAMA4_PASSES_PASSES_H

#include "dialects/cmd/Cmd.h"

#include "mlir/Pass/Pass.h"

namespace llama4 {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace llama4

#endif // LLAMA4_PASSES_PASSES_H
