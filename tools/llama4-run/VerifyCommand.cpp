//===- VerifyCommand.cpp - llama4-run verify ------------------------------===//

#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/program/Executor.h"
#include "runtime/text/ChatTemplate.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Prompt.h"

namespace llama4::run {

namespace {

Status checkText(const Program &program) {
  if (!program.tokenizer().empty()) {
    LLAMA4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, openTokenizer(program));
    LLAMA4_RETURN_IF_ERROR(tokenizer.verify().in(program.name()));
  }
  if (program.chatTemplate().empty())
    return {};
  return text::ChatTemplate::fromSection(program.chatTemplate()).status().in(program.name());
}

/// Loads the code and resolves every kernel, where this machine can run it.
Result<std::string> checkCode(std::shared_ptr<const Program> program) {
  CpuOptions options;
  options.threads = 1;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, createCpuDevice(options));
  Result<std::string> level = Executable::loadableLevel(program, *device);
  if (level.ok())
    return "code " + *level + " loads";
  if (level.status().kind() == StatusKind::Unavailable)
    return std::string("none of its code runs on this machine");
  return level.status();
}

Status run(const std::string &path) {
  LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const Program> program,
                          Program::load(path, VerifyMode::Full));
  double seconds = secondsSinceStart();
  LLAMA4_RETURN_IF_ERROR(checkText(*program));
  LLAMA4_ASSIGN_OR_RETURN(std::string code, checkCode(program));
  const WeightSource &weights = program->desc().weightSource;
  std::printf(
      "%s: good, content %s, %s%s\n", path.c_str(), program->contentId().c_str(), code.c_str(),
      weights.isStored() ? "" : (", weights made up: " + weightSourceText(weights)).c_str());
  note(format("compared %s with their checksums in %.2f s",
              humanBytes(program->fileBytes()).c_str(), seconds));
  return {};
}

} // namespace

void addVerify(CLI::App &app, Action &action) {
  auto path = std::make_shared<std::string>();
  CLI::App *command =
      app.add_subcommand("verify", "compare every byte of a file with its checksums");
  command->add_option("FILE", *path, "a compiled model (.l4x)")->required();
  command->callback([path, &action] { action = [path] { return run(*path); }; });
}

} // namespace llama4::run
