//===- ByteLevel.cpp - what both vocabulary readers share -------*- C++ -*-===//

#include "runtime/text/build/ByteLevel.h"

#include "runtime/text/OneLine.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <array>

namespace llama4::text {

namespace {

/// Printable Latin-1 bytes stand for themselves, the others for U+0100 and up, in order.
std::array<char32_t, 256> makeLetters() {
  std::array<char32_t, 256> letters{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    letters[byte] = printable ? byte : next++;
  }
  return letters;
}

const std::array<char32_t, 256> &letters() {
  static const std::array<char32_t, 256> table = makeLetters();
  return table;
}

/// The byte of each letter below U+0144, or -1.
const std::array<int, 0x144> &bytesOfLetters() {
  static const std::array<int, 0x144> table = [] {
    std::array<int, 0x144> t{};
    t.fill(-1);
    for (size_t byte = 0; byte < 256; ++byte)
      t[letters()[byte]] = static_cast<int>(byte);
    return t;
  }();
  return table;
}

Result<uint32_t> find(const VocabularyMap &vocabulary, const std::string &token) {
  auto it = vocabulary.find(token);
  if (it == vocabulary.end())
    return Status::invalidInput("merge part '" + oneLine(token) + "' is not in the vocabulary");
  return it->second;
}

} // namespace

std::string byteLevelLetter(unsigned char byte) {
  std::string letter;
  appendUtf8(letter, letters()[byte]);
  return letter;
}

std::string decodeByteLevel(std::string_view token) {
  std::string bytes;
  for (std::string_view rest = token; !rest.empty();) {
    Utf8Step step = decodeUtf8(rest);
    int byte = step.valid && step.code < 0x144 ? bytesOfLetters()[step.code] : -1;
    if (byte < 0)
      return std::string(token);
    bytes.push_back(static_cast<char>(byte));
    rest.remove_prefix(step.bytes);
  }
  return bytes;
}

void fillByteIds(TokenizerContent &content, const VocabularyMap &vocabulary) {
  for (size_t byte = 0; byte < 256; ++byte) {
    auto it = vocabulary.find(byteLevelLetter(static_cast<unsigned char>(byte)));
    content.byteIds[byte] = it == vocabulary.end() ? kNoId : it->second;
  }
}

Status appendMerge(TokenizerContent &content, const VocabularyMap &vocabulary,
                   std::string_view left, std::string_view right) {
  std::string both = std::string(left).append(right);
  LLAMA4_ASSIGN_OR_RETURN(uint32_t leftId, find(vocabulary, std::string(left)));
  LLAMA4_ASSIGN_OR_RETURN(uint32_t rightId, find(vocabulary, std::string(right)));
  LLAMA4_ASSIGN_OR_RETURN(uint32_t merged, find(vocabulary, both));
  content.merges.push_back({leftId, rightId, merged});
  return Status();
}

Status appendMerge(TokenizerContent &content, const VocabularyMap &vocabulary,
                   std::string_view pair) {
  size_t space = pair.find(' ');
  if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos)
    return Status::invalidInput("merge '" + oneLine(pair) + "' is not two parts");
  return appendMerge(content, vocabulary, pair.substr(0, space), pair.substr(space + 1));
}

void fillStopIds(TokenizerContent &content, const std::vector<uint32_t> &given) {
  static constexpr std::string_view kUsualNames[] = {
      "<|eot_id|>", "<|eom_id|>",    "<|eot|>",        "<|eom|>",
      "<|im_end|>", "<|endoftext|>", "<|end_of_text|>"};
  content.stopIds = given;
  if (given.empty())
    for (uint32_t id = 0; id < content.tokens.size(); ++id)
      if ((content.flags[id] & kTokenSpecial) != 0 &&
          std::ranges::find(kUsualNames, content.tokens[id]) != std::end(kUsualNames))
        content.stopIds.push_back(id);
  if (content.eosId != kNoId)
    content.stopIds.push_back(content.eosId);
  std::sort(content.stopIds.begin(), content.stopIds.end());
  content.stopIds.erase(std::unique(content.stopIds.begin(), content.stopIds.end()),
                        content.stopIds.end());
}

} // namespace llama4::text
