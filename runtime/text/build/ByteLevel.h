//===- ByteLevel.h - what both vocabulary readers share ---------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_BYTELEVEL_H
#define LLAMA4_RUNTIME_TEXT_BUILD_BYTELEVEL_H

#include "runtime/text/build/TokenizerWriter.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llama4::text {

/// Token string (byte-level letters, as in the file) to id.
using VocabularyMap = std::unordered_map<std::string, uint32_t>;

/// The letter that stands for `byte` in byte-level vocabularies, as UTF-8.
std::string byteLevelLetter(unsigned char byte);

/// The bytes that a byte-level token string stands for; the string itself when it has a character
/// that is not a byte-level letter.
std::string decodeByteLevel(std::string_view token);

/// Fills content.byteIds from the vocabulary; bytes without a token get kNoId.
void fillByteIds(TokenizerContent &content, const VocabularyMap &vocabulary);

/// Appends the merge of `left` and `right`. The Status names the part that is not in `vocabulary`.
Status appendMerge(TokenizerContent &content, const VocabularyMap &vocabulary,
                   std::string_view left, std::string_view right);

/// Appends a merge written "left right".
Status appendMerge(TokenizerContent &content, const VocabularyMap &vocabulary,
                   std::string_view pair);

/// Sets content.stopIds: `given`, or the control tokens with one of the usual names; and eos.
void fillStopIds(TokenizerContent &content, const std::vector<uint32_t> &given);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_BYTELEVEL_H
