//===- fuzz_dump.cpp - dumps that a person changed -------------------------===//
//
// The first byte says of which phase the text behind it is the dump ('1' lm, '2' lm-opt, '3' cmd,
// '4' plan). It is read as --from-phase reads it and taken to a program, machine code left out; in
// a process of its own, because the packaged MLIR writes to freed memory when an op with a region
// fails to parse whose values were named before it. What kills that process counts.
//
//===----------------------------------------------------------------------===//

#include "compiler/driver/Phases.h"
#include "test/fuzz/Fuzz.h"

#include "mlir/IR/MLIRContext.h"

#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace llama4;

static Status compileDump(mlir::MLIRContext &context, Phase phase, const std::string &file) {
  DriverOptions options;
  options.fromPhase = phase;
  options.fromFile = file;
  LLAMA4_ASSIGN_OR_RETURN(ModuleRef module, readModule(context, options));
  LLAMA4_RETURN_IF_ERROR(advanceModule(*module, phase, Phase::Plan));
  ProgramDesc program;
  std::vector<WeightPlan> weights;
  return describeProgram(*module, program, weights);
}

/// How the child ended: its exit status.
enum Verdict : int { Taken = 0, Refused = 1, NoSentence = 2 };

static Verdict judge(Phase phase, const std::string &file) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  const Status status = compileDump(context, phase, file);
  if (status.ok())
    return Taken;
  const bool isKind =
      status.kind() == StatusKind::InvalidInput || status.kind() == StatusKind::Usage;
  if (isKind && fuzz::isSentence(status.message()))
    return Refused;
  std::fprintf(stderr, "fuzz: found a refusal of kind %d that is no sentence: %s\n",
               status.exitCode(), status.message().c_str());
  return NoSentence;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0 || data[0] < '1' || data[0] > '4')
    return 0;
  static const std::string file = std::filesystem::temp_directory_path() /
                                  ("llama4_dump_" + std::to_string(::getpid()) + ".mlir");
  std::ofstream(file, std::ios::binary) << std::string(data + 1, data + size);
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit seconds = {10, 10}, memory = {uint64_t{4} << 30, uint64_t{4} << 30};
    ::setrlimit(RLIMIT_CPU, &seconds);
    ::setrlimit(RLIMIT_AS, &memory);
    ::_exit(judge(static_cast<Phase>(data[0] - '0'), file));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::unlink(file.c_str());
  if (!WIFEXITED(status) || WEXITSTATUS(status) == NoSentence)
    std::abort();
  ++(WEXITSTATUS(status) == Taken ? fuzz::tally.taken : fuzz::tally.refused);
  return 0;
}
