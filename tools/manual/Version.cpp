//===- Version.cpp - what --version says ----------------------------------===//

#include "tools/manual/Version.h"

namespace llama4::manual {

std::string_view projectVersion() { return LLAMA4_VERSION; }

std::string versionText(std::string_view program,
                        const std::vector<std::pair<std::string, std::string>> &facts) {
  std::string text = std::string(program) + " " + std::string(projectVersion());
  for (const auto &[name, value] : facts)
    text += "\n" + name + ": " + value;
  return text;
}

} // namespace llama4::manual
