//===- Version.h - what --version says ---------------------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_MANUAL_VERSION_H
#define LLAMA4_TOOLS_MANUAL_VERSION_H

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llama4::manual {

/// The version of this project: "0.1.0".
std::string_view projectVersion();

/// "PROGRAM 0.1.0", then a line "name: value" for each fact; without a newline at the end.
std::string versionText(std::string_view program,
                        const std::vector<std::pair<std::string, std::string>> &facts);

/// "a, b, c"
template <typename Names> std::string listed(const Names &names) {
  std::string text;
  for (const auto &name : names)
    text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

} // namespace llama4::manual

#endif // LLAMA4_TOOLS_MANUAL_VERSION_H
