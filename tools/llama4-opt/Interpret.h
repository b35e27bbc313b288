//===- Interpret.h - llama4-opt's own modes ---------------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_OPT_INTERPRET_H
#define LLAMA4_TOOLS_LLAMA4_OPT_INTERPRET_H

namespace llama4 {

/// `llama4-opt --import`: prints the lm module of a checkpoint. Returns the exit code.
int importMain(int argc, char **argv);

/// `llama4-opt --interpret`: runs an lm module on tensors of a file. Returns the exit code.
int interpretMain(int argc, char **argv);

} // namespace llama4

#endif // LLAMA4_TOOLS_LLAMA4_OPT_INTERPRET_H
