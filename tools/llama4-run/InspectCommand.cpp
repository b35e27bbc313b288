//===- InspectCommand.cpp - llama4-run inspect ----------------------------===//

#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Inspect.h"

namespace llama4::run {

uint64_t cacheBytesPerToken(const ProgramDesc &program) {
  uint64_t bytes = 0;
  for (const KvKind &kind : program.kvKinds)
    bytes += kind.pageBytes * kind.layers;
  return bytes / L4_PAGE_TOKENS;
}

const char *specializationName(Specialization specialization) {
  return specialization == Specialization::Decode ? "decode" : "any";
}

void addInspect(CLI::App &app, Action &action) {
  struct Options {
    std::string path;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("inspect", "say what is in a compiled model");
  command->add_option("FILE", options->path, "a compiled model (.l4x)")->required();
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([options, &action] {
    action = [options]() -> Status {
      LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const Program> program, Program::load(options->path));
      std::string text =
          options->json ? dumpJson(inspectJson(*program)) + "\n" : inspectText(*program);
      std::fwrite(text.data(), 1, text.size(), stdout);
      return {};
    };
  });
}

} // namespace llama4::run
