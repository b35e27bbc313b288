//===- BoundedJson.h - JSON from outside, within bounds ----------*- C++ -*-===//
//
// Time and memory are linear in the text, whatever it holds. (The library's own way to watch a
// parse looks at all of a list's items for each object in it.)
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_BOUNDEDJSON_H
#define LLAMA4_RUNTIME_SERVE_BOUNDEDJSON_H

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace llama4::serve {

using Json = nlohmann::ordered_json;

struct JsonBounds {
  size_t depth = 64;
  size_t keys = 1024;       ///< of one object
  size_t values = 2u << 20; ///< of the whole text, lists and objects among them
};

/// Parses a text. Nothing was wrong where the result is empty; else it is what was found: "text
/// that is no JSON", "JSON nested deeper than 64", ..., and `out` is to be thrown away. No key may
/// come twice in an object.
std::string parseBounded(std::string_view text, Json &out, const JsonBounds &bounds = {});

/// Makes a value null and frees what it held without asking for memory, which the library's own
/// destructor does for each list and object that is not empty. For values within the bounds.
void release(Json &value) noexcept;

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_BOUNDEDJSON_H
