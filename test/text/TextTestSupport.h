//===- TextTestSupport.h - files and oracles for the text tests *- C++ -*-===//
#ifndef LLAMA4_TEST_TEXT_TEXTTESTSUPPORT_H
#define LLAMA4_TEST_TEXT_TEXTTESTSUPPORT_H

#include "runtime/text/Tokenizer.h"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace llama4::text::test {

using Json = nlohmann::ordered_json;

/// The whole file; a test failure and an empty string when it cannot be read. A name that ends in
/// .xz is decompressed.
std::string readFile(const std::filesystem::path &path);
/// One JSON value per line; empty lines are skipped.
std::vector<Json> readJsonLines(const std::filesystem::path &path);
/// A file under test/data.
std::filesystem::path dataPath(std::string_view relative);
/// A file of the reference outputs that cannot be part of the repository ($LLAMA4_ORACLES, or
/// shared/oracles beside the source tree); empty, and one line printed, when it is not there.
std::filesystem::path oraclePath(std::string_view relative);

std::string fromHex(std::string_view hex);
std::vector<TokenId> idsOf(const Json &list);

/// A section together with the tokenizer that looks at it.
struct BuiltTokenizer {
  std::vector<std::byte> section;
  Tokenizer tokenizer;
};
/// Builds from a tokenizer.json(.xz) and perhaps a tokenizer_config.json; throws on an error.
BuiltTokenizer buildHf(const std::filesystem::path &tokenizer,
                       const std::filesystem::path &config = {});

} // namespace llama4::text::test

#endif // LLAMA4_TEST_TEXT_TEXTTESTSUPPORT_H
