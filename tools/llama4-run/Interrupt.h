//===- Interrupt.h - Ctrl-C as something to ask for --------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_INTERRUPT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_INTERRUPT_H

namespace llama4::run {

/// From here on SIGINT is remembered and ends nothing; a read that waits is cut short.
void watchInterrupts();

/// True once for the interrupts since the last call.
bool takeInterrupt();

/// Waits until there is something to read, or the end of it. False with `errno` EINTR when an
/// interrupt comes, or has come and was not taken yet.
bool waitForInput(int file);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_INTERRUPT_H
