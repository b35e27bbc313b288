//===- CompilerVersion.h - what --version of the compilers says --*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_COMPILE_COMPILERVERSION_H
#define LLAMA4_TOOLS_LLAMA4_COMPILE_COMPILERVERSION_H

#include "compiler/microkernels/Microkernels.h"
#include "runtime/format/FileHeader.h"
#include "tools/manual/Version.h"

#include "llvm/Config/llvm-config.h"

namespace llama4 {

/// Versions, file format and all targets, then `more` facts.
inline std::string compilerVersion(std::string_view program,
                                   std::vector<std::pair<std::string, std::string>> more = {}) {
  std::vector<std::string> targets;
  for (const microkernels::Level &level : microkernels::cpuLevels())
    targets.push_back("cpu:" + std::string(level.name));
  std::vector<std::pair<std::string, std::string>> facts = {
      {"LLVM", LLVM_VERSION_STRING},
      {"file format", std::to_string(formatMajor) + "." + std::to_string(formatMinor)},
      {"targets", manual::listed(targets)}};
  facts.insert(facts.end(), more.begin(), more.end());
  return manual::versionText(program, facts);
}

} // namespace llama4

#endif // LLAMA4_TOOLS_LLAMA4_COMPILE_COMPILERVERSION_H
