//===- main.cpp - llama4-run: runs compiled models ------------------------===//
//
// Results go to stdout, everything else to stderr. The exit code is 0 (diff: 1 where files differ),
// 2 for a wrong command line, or the kind of the error (runtime/base/Status.h).
//
//===----------------------------------------------------------------------===//

#include "tools/llama4-run/Common.h"

#include <algorithm>
#include <cctype>
#include <exception>
#include <new>

using namespace llama4;

/// Every long option can be set by an environment variable, LLAMA4_ARG_MAX_NEW_TOKENS.
static void nameEnvironment(CLI::App &command) {
  for (CLI::Option *option : command.get_options()) {
    if (option->get_lnames().empty() || option == command.get_help_ptr())
      continue;
    std::string name = "LLAMA4_ARG_" + option->get_lnames()[0];
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return c == '-' ? '_' : static_cast<char>(std::toupper(c));
    });
    option->envname(name);
  }
}

static Status runAction(const run::Action &action) {
  Status status = action();
  if (status.ok() && (std::fflush(stdout) != 0 || std::ferror(stdout)))
    return Status::error(StatusKind::Io, "stdout: cannot be written to.");
  return status;
}

int main(int argc, char **argv) {
  (void)run::programStart();
  CLI::App app("Runs models compiled by llama4-compile.", "llama4-run");
  app.require_subcommand(1);
  app.set_version_flag("--version",
                       run::format("llama4-run, format %u.%u", formatMajor, formatMinor));
  try {
    run::Action action;
    run::addGenerate(app, action);
    run::addInvoke(app, action);
    run::addTokenize(app, action);
    run::addBench(app, action);
    run::addPerplexity(app, action);
    run::addInspect(app, action);
    run::addVerify(app, action);
    run::addDiff(app, action);
    run::addServe(app, action);
    for (CLI::App *command : app.get_subcommands(nullptr))
      nameEnvironment(*command);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
      return app.exit(error) == 0 ? 0 : static_cast<int>(StatusKind::Usage);
    }
    Status status = runAction(action);
    if (!status.ok())
      run::note("error: " + status.message());
    return status.ok() ? run::exitCodeWhenDone() : status.exitCode();
  } catch (const std::bad_alloc &) {
    run::note("error: out of memory; give a smaller model, batch or length.");
    return static_cast<int>(StatusKind::OutOfMemory);
  } catch (const std::exception &error) {
    run::note(std::string("error: ") + error.what());
    return static_cast<int>(StatusKind::Internal);
  }
}
