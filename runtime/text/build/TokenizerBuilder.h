//===- TokenizerBuilder.h - checkpoint vocabularies to a section *- C++ -*-===//
//
// Compile time only. Turns what a checkpoint says about its tokenizer into the tables of
// TokenizerTables.h. Byte-level BPE is what is supported; anything that would tokenize differently
// from what it says is refused with the name of what is not supported.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_TOKENIZERBUILDER_H
#define LLAMA4_RUNTIME_TEXT_BUILD_TOKENIZERBUILDER_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace llama4::text {

/// What the checkpoint's other files say.
struct TokenizerBuildOptions {
  /// Ids that end a generation (generation_config.json). The tokenizer's own eos is always added.
  /// Empty: eos and the control tokens with one of the usual names ("<|eot_id|>", ...).
  std::vector<uint32_t> stopIds;
};

/// Builds a section from a Hugging Face tokenizer.json and tokenizer_config.json (may be empty).
/// Supported: model BPE over bytes; pre-tokenizers ByteLevel, Digits + ByteLevel, Split + ByteLevel
/// with the expressions of GPT-2, Llama 3 and Llama 4; TemplateProcessing; added tokens without
/// lstrip, rstrip and single_word. Errors (InvalidInput) name the file and the field.
Result<std::vector<std::byte>> buildFromHfJson(std::string_view tokenizerJson,
                                               std::string_view tokenizerConfigJson,
                                               const TokenizerBuildOptions &options = {});

/// Whose control tokens follow the tokens of a tiktoken file, which has none itself.
enum class TiktokenFamily {
  Llama3,       ///< Llama 3, 3.1, 3.2, 3.3: 256 of them
  Llama3Vision, ///< the same, with <|image|> behind them, where Llama 3.2 Vision's embedding has it
  Llama4,       ///< 2048 of them
};

/// Whether a tokenizer.model is a tiktoken file (the other kind of that name is sentencepiece's):
/// its first line is a token in base64, a space and a rank.
bool isTiktoken(std::string_view file);

/// Builds a section from a tiktoken file as Meta publishes it. Ids are those of Meta's tokenizer; a
/// text is preceded by BOS. Errors (InvalidInput) name the line: no such form, ranks with holes,
/// two tokens with the same bytes, a byte without a token, tokens of more than 256 bytes.
Result<std::vector<std::byte>> buildFromTiktoken(std::string_view file, TiktokenFamily family,
                                                 const TokenizerBuildOptions &options = {});

/// The tokenizer.ggml.* values of a GGUF file. All views must outlive the call.
struct GgufVocabulary {
  std::string_view model;                   ///< tokenizer.ggml.model: "gpt2"
  std::string_view pre;                     ///< tokenizer.ggml.pre
  std::span<const std::string_view> tokens; ///< by id
  std::span<const int32_t> tokenTypes;      ///< one a token, or empty: all normal
  std::span<const std::string_view> merges; ///< "left right", best first
  std::optional<uint32_t> bosId;
  std::optional<uint32_t> eosId;
  std::optional<uint32_t> padId;
  std::optional<uint32_t> eotId; ///< further ids that end a generation
  std::optional<uint32_t> eomId;
  std::optional<bool> addBos; ///< tokenizer.ggml.add_bos_token; absent: what `pre` implies
};

/// Builds a section from GGUF metadata. Supported: model gpt2 with pre gpt-2, smollm, llama-bpe,
/// llama3 (and its other names) and llama4. Errors (InvalidInput) name the key.
Result<std::vector<std::byte>> buildFromGguf(const GgufVocabulary &vocabulary,
                                             const TokenizerBuildOptions &options = {});

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_TOKENIZERBUILDER_H
