//===- Cmd.h - the command dialect ------------------------------*- C++ -*-===//
#ifndef LLAMA4_DIALECTS_CMD_CMD_H
#define LLAMA4_DIALECTS_CMD_CMD_H

#include "dialects/lm/Lm.h"

#include "dialects/cmd/CmdDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/cmd/CmdTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/cmd/CmdOps.h.inc"

namespace llama4::cmd {

/// True for what a kernel receives as a pointer: everything but the batch.
bool isBinding(mlir::Type type);
/// True for workspace that every dispatch finds zero and leaves zero: a tensor, or a buffer of one,
/// with `#target.zero`.
bool isZero(mlir::Type type);

} // namespace llama4::cmd

#endif // LLAMA4_DIALECTS_CMD_CMD_H
