//===- TextTestSupport.h - files and oracles for the text tests *- C++ -*-===//
#ifndef LLAMA4_TEST_TEXT_TEXTTESTSUPPORT_H
#define LLAMA4_TEST_TEXT_TEXTTESTSUPPORT_H

#include "runtime/text/Tokenizer.h"
#include "runtime/text/build/TokenizerBuilder.h"

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

/// Meta's tokenizer.model of "llama3" or "llama4": $LLAMA4_META_TOKENIZERS/NAME/tokenizer.model
/// (the layout of the PyPI package llama-models), or what `./setup.sh deps` fetched; empty, and one
/// line printed, when it is not there.
std::filesystem::path metaTokenizerPath(const std::string &name);

std::string fromHex(std::string_view hex);
std::string base64(std::string_view bytes);
/// The 256 bytes, in reverse order of their values, and `more`.
std::vector<std::string> byteTokens(const std::vector<std::string> &more = {});
/// A tokenizer.model with `tokens` in the order of their ranks.
std::string tiktokenFile(const std::vector<std::string> &tokens);
std::vector<TokenId> idsOf(const Json &list);

/// A section together with the tokenizer that looks at it.
struct BuiltTokenizer {
  std::vector<std::byte> section;
  Tokenizer tokenizer;
};
/// Builds from a tokenizer.json(.xz) and perhaps a tokenizer_config.json; throws on an error.
BuiltTokenizer buildHf(const std::filesystem::path &tokenizer,
                       const std::filesystem::path &config = {});

/// Builds from a tokenizer.model; throws on an error.
BuiltTokenizer buildMeta(const std::filesystem::path &model, TiktokenFamily family);
/// "smollm2", or the published "llama3" or "llama4" from what is there: tokenizer.model, or the
/// tokenizer.json of the reference outputs. Null where neither is. Built once.
const BuiltTokenizer *publishedTokenizer(const std::string &name);

} // namespace llama4::text::test

#endif // LLAMA4_TEST_TEXT_TEXTTESTSUPPORT_H
