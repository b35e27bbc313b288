//===- GgufTokenizer.cpp - GGUF vocabulary to a tokenizer section *- C++ -*-===//

#include "runtime/text/OneLine.h"
#include "runtime/text/build/ByteLevel.h"
#include "runtime/text/build/TokenizerBuilder.h"

namespace llama4::text {

namespace {

/// tokenizer.ggml.token_type
enum GgufTokenType : int32_t {
  kGgufNormal = 1,
  kGgufUnknown = 2,
  kGgufControl = 3,
  kGgufUserDefined = 4,
  kGgufUnused = 5,
  kGgufByte = 6,
};

/// What a value of tokenizer.ggml.pre stands for.
struct PreTokenizer {
  std::string_view name;
  SplitKind split;
  DigitKind digits;
  bool ignoreMerges;
  bool addBos;
};

constexpr PreTokenizer kPreTokenizers[] = {
    {"gpt-2", SplitKind::Gpt2, DigitKind::Keep, false, false},
    {"gpt2", SplitKind::Gpt2, DigitKind::Keep, false, false},
    {"smollm", SplitKind::Gpt2, DigitKind::Individual, false, false},
    {"llama-bpe", SplitKind::Llama3, DigitKind::Keep, true, true},
    {"llama3", SplitKind::Llama3, DigitKind::Keep, true, true},
    {"llama-v3", SplitKind::Llama3, DigitKind::Keep, true, true},
    {"llama4", SplitKind::Llama4, DigitKind::Keep, true, true},
};

Result<PreTokenizer> findPreTokenizer(const GgufVocabulary &vocabulary) {
  if (vocabulary.model != "gpt2")
    return Status::invalidInput("tokenizer.ggml.model is '" + oneLine(vocabulary.model) +
                                "', only 'gpt2' (byte-level BPE) is supported");
  for (const PreTokenizer &known : kPreTokenizers)
    if (known.name == vocabulary.pre)
      return known;
  std::string names;
  for (const PreTokenizer &known : kPreTokenizers)
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  return Status::invalidInput("tokenizer.ggml.pre is '" + oneLine(vocabulary.pre) +
                              "', expected one of: " + names);
}

Status addToken(TokenizerContent &content, VocabularyMap &map, std::string_view token,
                int32_t type) {
  auto id = static_cast<uint32_t>(content.tokens.size());
  uint8_t flags = 0;
  std::string bytes(token);
  switch (type) {
  case kGgufControl:
  case kGgufUnknown:
    flags = kTokenAdded | kTokenSpecial;
    break;
  case kGgufUserDefined:
    flags = kTokenAdded;
    break;
  case kGgufNormal:
  case kGgufUnused:
    bytes = decodeByteLevel(token);
    break;
  default:
    return Status::invalidInput("tokenizer.ggml.token_type of token " + std::to_string(id) +
                                " is " + std::to_string(type) + ", which byte-level BPE has not");
  }
  if (bytes.empty())
    flags = 0;
  map.emplace(std::string(token), id);
  content.tokens.push_back(std::move(bytes));
  content.flags.push_back(flags);
  return Status();
}

Status setId(uint32_t &target, std::optional<uint32_t> id, size_t count, const char *key) {
  if (id && *id >= count)
    return Status::invalidInput(std::string("tokenizer.ggml.") + key + " is " +
                                std::to_string(*id) + ", but there are " + std::to_string(count) +
                                " tokens");
  if (id)
    target = *id;
  return Status();
}

Status setIds(TokenizerContent &content, const GgufVocabulary &vocabulary,
              const TokenizerBuildOptions &options) {
  size_t count = content.tokens.size();
  uint32_t eot = kNoId;
  uint32_t eom = kNoId;
  LLAMA4_RETURN_IF_ERROR(setId(content.bosId, vocabulary.bosId, count, "bos_token_id"));
  LLAMA4_RETURN_IF_ERROR(setId(content.eosId, vocabulary.eosId, count, "eos_token_id"));
  LLAMA4_RETURN_IF_ERROR(setId(content.padId, vocabulary.padId, count, "padding_token_id"));
  LLAMA4_RETURN_IF_ERROR(setId(eot, vocabulary.eotId, count, "eot_token_id"));
  LLAMA4_RETURN_IF_ERROR(setId(eom, vocabulary.eomId, count, "eom_token_id"));
  fillStopIds(content, options.stopIds);
  for (uint32_t id : {eot, eom})
    if (id != kNoId)
      content.stopIds.push_back(id);
  if (content.addBos && content.bosId != kNoId)
    content.prefixIds = {content.bosId};
  return Status();
}

} // namespace

Result<std::vector<std::byte>> buildFromGguf(const GgufVocabulary &vocabulary,
                                             const TokenizerBuildOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(PreTokenizer pre, findPreTokenizer(vocabulary));
  size_t count = vocabulary.tokens.size();
  if (count == 0 || count > kMaxTokens)
    return Status::invalidInput("tokenizer.ggml.tokens has " + std::to_string(count) +
                                " entries, expected 1 to " + std::to_string(kMaxTokens));
  if (!vocabulary.tokenTypes.empty() && vocabulary.tokenTypes.size() != count)
    return Status::invalidInput("tokenizer.ggml.token_type has " +
                                std::to_string(vocabulary.tokenTypes.size()) + " entries for " +
                                std::to_string(count) + " tokens");
  TokenizerContent content;
  content.split = pre.split;
  content.digits = pre.digits;
  content.ignoreMerges = pre.ignoreMerges;
  content.addBos = vocabulary.addBos.value_or(pre.addBos);
  VocabularyMap map;
  for (size_t id = 0; id < count; ++id) {
    int32_t type = vocabulary.tokenTypes.empty() ? int32_t{kGgufNormal} : vocabulary.tokenTypes[id];
    LLAMA4_RETURN_IF_ERROR(addToken(content, map, vocabulary.tokens[id], type));
  }
  fillByteIds(content, map);
  for (std::string_view merge : vocabulary.merges)
    if (Status status = appendMerge(content, map, merge); !status.ok())
      return status.in("tokenizer.ggml.merges");
  LLAMA4_RETURN_IF_ERROR(setIds(content, vocabulary, options));
  return writeTokenizerSection(content);
}

} // namespace llama4::text
