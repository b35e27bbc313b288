//===- Interrupt.cpp - Ctrl-C as something to ask for ---------------------===//

#include "tools/llama4-run/Interrupt.h"

#include <csignal>

namespace llama4::run {

static volatile std::sig_atomic_t interrupted = 0;

void watchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr); // without SA_RESTART
}

bool takeInterrupt() {
  const bool was = interrupted != 0;
  interrupted = 0;
  return was;
}

} // namespace llama4::run
