//===- TokenizerWriter.h - writes a tokenizer section -----------*- C++ -*-===//
//
// The one writer of the format in TokenizerTables.h. The readers of checkpoints (HfTokenizer,
// TiktokenTokenizer, GgufTokenizer) fill a TokenizerContent; nothing here knows where it came from.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_TOKENIZERWRITER_H
#define LLAMA4_RUNTIME_TEXT_BUILD_TOKENIZERWRITER_H

#include "runtime/base/Status.h"
#include "runtime/text/Splitter.h"
#include "runtime/text/TokenizerTables.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace llama4::text {

/// A merge; its rank is its place in the list, or `merged` (see TokenizerContent::ranksAreIds).
struct MergeRule {
  uint32_t left;
  uint32_t right;
  uint32_t merged;
};

/// Everything a section holds, before it is laid out. Ids index `tokens`.
struct TokenizerContent {
  std::vector<std::string> tokens; ///< raw bytes; empty where an id has no token
  std::vector<uint8_t> flags;      ///< TokenFlag, one a token
  std::vector<MergeRule> merges;
  std::array<uint32_t, 256> byteIds = {};
  SplitKind split = SplitKind::None;
  DigitKind digits = DigitKind::Keep;
  bool ignoreMerges = false;
  bool ranksAreIds =
      false; ///< merges to the same token go from left to right, whatever their parts
  bool addBos = false;
  uint32_t bosId = kNoId;
  uint32_t eosId = kNoId;
  uint32_t padId = kNoId;
  uint32_t unkId = kNoId;
  std::vector<uint32_t> stopIds;
  std::vector<uint32_t> prefixIds;
  std::vector<uint32_t> suffixIds;
};

/// Lays `content` out as a section. Errors (InvalidInput): ids out of range, two added tokens with
/// the same bytes, too many tokens.
Result<std::vector<std::byte>> writeTokenizerSection(const TokenizerContent &content);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_TOKENIZERWRITER_H
