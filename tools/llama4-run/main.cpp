//===- main.cpp - llama4-run: runs compiled models ------------------------===//
//
// Results go to stdout, everything else to stderr. The exit code is 0 (diff: 1 where files differ),
// 2 for a wrong command line, 78 for a wrong file of --config, or the kind of the error
// (runtime/base/Status.h).
//
//===----------------------------------------------------------------------===//

#include "runtime/device/cpu/CpuFeatures.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Config.h"
#include "tools/manual/Version.h"

#include <exception>
#include <new>

using namespace llama4;

/// What this program is, what it reads, and what this machine can run of it.
static std::string versionText() {
  std::vector<std::string> levels;
  std::string best = "none of them";
  for (const CpuLevel &level : cpuLevels()) { // ascending
    levels.emplace_back(level.name);
    if (levelRuns(level.name, cpuHas))
      best = level.name;
  }
  return manual::versionText(
      "llama4-run",
      {{"file format", run::format("%u.%u, reads %u.0 to %u.%u", formatMajor, formatMinor,
                                   formatMajor, formatMajor, formatMinor)},
       {"CPU levels", manual::listed(levels)},
       {"this machine", best}});
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
  app.set_version_flag("--version", versionText, "print version, file format and CPU levels");
  try {
    run::Action action;
    run::addGenerate(app, action);
    run::addChat(app, action);
    run::addInvoke(app, action);
    run::addTokenize(app, action);
    run::addBench(app, action);
    run::addPerplexity(app, action);
    run::addInspect(app, action);
    run::addVerify(app, action);
    run::addDiff(app, action);
    run::addServe(app, action);
    run::addBatch(app, action);
    run::addManual(app, action); // last: it describes the others
    run::readEnvironment(app);
    Status config;
    run::addConfig(app, config);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
      if (!config.ok()) {
        run::note("error: " + config.message());
        return config.exitCode();
      }
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
