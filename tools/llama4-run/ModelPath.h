//===- ModelPath.h - a checkpoint where a program is expected ----*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_MODELPATH_H
#define LLAMA4_TOOLS_LLAMA4_RUN_MODELPATH_H

#include "runtime/base/Status.h"

#include <string>

namespace llama4::run {

/// The path of a compiled program for MODEL: MODEL itself, unless it is a directory or a .gguf
/// file. Those are compiled by llama4-compile, which lies beside this executable, and kept under
/// $XDG_CACHE_HOME/llama4 (or ~/.cache/llama4) by path, sizes and times of the checkpoint's files
/// and of the compiler. Errors: NotFound, Io, and the kind of the compiler's own exit code.
Result<std::string> compiledModelPath(const std::string &model);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_MODELPATH_H
