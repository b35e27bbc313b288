//===- Inspect.h - what is in a program file, for people and programs *- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_INSPECT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_INSPECT_H

#include "runtime/program/Program.h"

#include <nlohmann/json.hpp>
#include <string>

namespace llama4::run {

/// Everything but weights, code and tables themselves.
nlohmann::ordered_json inspectJson(const Program &program);
/// The same to read.
std::string inspectText(const Program &program);

/// Bytes of the cache for one more token of a sequence.
uint64_t cacheBytesPerToken(const ProgramDesc &program);
/// "x86-64-v3", ... of an entry's use: "any", "decode".
const char *specializationName(Specialization specialization);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_INSPECT_H
