//===- Interrupt.cpp - Ctrl-C as something to ask for ---------------------===//

#include "tools/llama4-run/Interrupt.h"

#include <cerrno>
#include <csignal>
#include <poll.h>

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

bool waitForInput(int file) {
  sigset_t interrupts, before;
  sigemptyset(&interrupts);
  sigaddset(&interrupts, SIGINT);
  sigprocmask(SIG_BLOCK, &interrupts, &before);
  pollfd input = {file, POLLIN, 0};
  int found = 0;
  // SIGINT comes through in ppoll() only, so that none is lost between the question and the wait.
  while (!interrupted && (found = ppoll(&input, 1, nullptr, &before)) < 0 && errno == EINTR) {
  }
  const int error = interrupted ? EINTR : errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return found > 0;
}

} // namespace llama4::run
