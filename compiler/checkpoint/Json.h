//===- Json.h - JSON files of a checkpoint, read as hostile -----*- C++ -*-===//
//
// config.json, index.json and their kind as a DOM: with a depth cap, without exceptions, without
// duplicate keys (which readers disagree about), without embedded NUL bytes.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_JSON_H
#define LLAMA4_COMPILER_CHECKPOINT_JSON_H

#include "runtime/base/Status.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace llama4 {

/// Deepest nesting of objects and arrays that is read.
inline constexpr int kJsonMaxDepth = 32;

/// The object that `text` holds. Errors (InvalidInput, naming `file`): not JSON, not an object,
/// nested too deep, a key twice in one object, an embedded NUL.
Result<nlohmann::json> parseJsonObject(std::string_view text, const std::string &file);

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_JSON_H
