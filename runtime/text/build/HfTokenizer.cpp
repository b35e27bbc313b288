//===- HfTokenizer.cpp - tokenizer.json to a tokenizer section --*- C++ -*-===//

#include "runtime/text/OneLine.h"
#include "runtime/text/build/ByteLevel.h"
#include "runtime/text/build/HfPipeline.h"
#include "runtime/text/build/Json.h"
#include "runtime/text/build/TokenizerBuilder.h"

#include <algorithm>

namespace llama4::text {

namespace {

using nlohmann::json;

Status refuse(const std::string &field, const std::string &what) {
  return Status::invalidInput("tokenizer.json: " + field + ": " + oneLine(what));
}

Status checkModel(const json &model) {
  std::string type = stringMember(model, "type");
  if (type != "BPE" && !(type.empty() && member(model, "merges").is_array()))
    return refuse("model.type", "'" + type + "' is not supported, expected BPE");
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!stringMember(model, key).empty())
      return refuse(std::string("model.") + key, "is not supported, expected null");
  for (const char *key : {"byte_fallback", "fuse_unk"})
    if (flagMember(model, key, false))
      return refuse(std::string("model.") + key, "is not supported, expected false");
  const json &dropout = member(model, "dropout");
  if (dropout.is_number() && dropout.get<double>() != 0.0)
    return refuse("model.dropout", "is not supported, expected null");
  return Status();
}

/// Grows the table of tokens so that `id` has a place. Ids far beyond the number of tokens are
/// refused: a table of mostly holes is a damaged file.
Status reserveId(TokenizerContent &content, uint32_t id, size_t limit) {
  if (id >= limit)
    return refuse("vocab", "token id " + std::to_string(id) + " is out of range");
  if (id >= content.tokens.size()) {
    content.tokens.resize(id + 1);
    content.flags.resize(id + 1);
  }
  return Status();
}

Status readVocabulary(const json &model, size_t limit, TokenizerContent &content,
                      VocabularyMap &map) {
  const json &vocab = member(model, "vocab");
  if (!vocab.is_object() || vocab.empty())
    return refuse("model.vocab", "expected an object of tokens and their ids");
  map.reserve(vocab.size());
  for (const auto &[token, value] : vocab.items()) {
    std::optional<uint32_t> id = idValue(value);
    if (!id)
      return refuse("model.vocab", "the id of '" + token + "' is not a number");
    LLAMA4_RETURN_IF_ERROR(reserveId(content, *id, limit));
    if (!content.tokens[*id].empty())
      return refuse("model.vocab", "two tokens have id " + std::to_string(*id));
    content.tokens[*id] = decodeByteLevel(token);
    map.emplace(token, *id);
  }
  return Status();
}

Status readMerges(const json &model, TokenizerContent &content, const VocabularyMap &map) {
  const json &merges = member(model, "merges");
  if (!merges.is_array() || merges.size() > kMaxTokens)
    return refuse("model.merges", "expected a list");
  content.merges.reserve(merges.size());
  for (const json &merge : merges) {
    Status status;
    if (merge.is_string())
      status = appendMerge(content, map, merge.get_ref<const std::string &>());
    else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      status = appendMerge(content, map, merge[0].get_ref<const std::string &>(),
                           merge[1].get_ref<const std::string &>());
    else
      status = Status::invalidInput("an entry is neither \"a b\" nor [\"a\", \"b\"]");
    if (!status.ok())
      return refuse("model.merges", status.message());
  }
  return Status();
}

Status readAddedToken(const json &token, size_t limit, const VocabularyMap &map,
                      TokenizerContent &content) {
  std::string text = stringMember(token, "content");
  std::optional<uint32_t> id = idValue(member(token, "id"));
  if (text.empty() || !id)
    return refuse("added_tokens", "an entry has no content or no id");
  for (const char *key : {"lstrip", "rstrip", "single_word"})
    if (flagMember(token, key, false))
      return refuse("added_tokens",
                    std::string("'") + text + "' has " + key + ", which is not supported");
  auto known = map.find(text);
  if (known != map.end() && known->second != *id)
    return refuse("added_tokens", "'" + text + "' has id " + std::to_string(*id) + ", but id " +
                                      std::to_string(known->second) + " in the vocabulary");
  LLAMA4_RETURN_IF_ERROR(reserveId(content, *id, limit));
  if (known == map.end() && !content.tokens[*id].empty() && content.tokens[*id] != text)
    return refuse("added_tokens",
                  "'" + text + "' has id " + std::to_string(*id) + ", which another token has");
  unsigned flags = kTokenAdded;
  flags |= flagMember(token, "special", false) ? kTokenSpecial : 0u;
  flags |= flagMember(token, "normalized", false) ? kTokenSecondPass : 0u;
  content.tokens[*id] = text;
  content.flags[*id] = static_cast<uint8_t>(flags);
  return Status();
}

Status readAddedTokens(const json &root, size_t limit, const VocabularyMap &map,
                       TokenizerContent &content) {
  const json &added = member(root, "added_tokens");
  if (added.is_null())
    return Status();
  if (!added.is_array())
    return refuse("added_tokens", "expected a list");
  for (const json &token : added)
    LLAMA4_RETURN_IF_ERROR(readAddedToken(token, limit, map, content));
  return Status();
}

/// The id of the token that tokenizer_config.json names under `key`; kNoId where it names none.
Result<uint32_t> configuredId(const json &config, const char *key, const TokenizerContent &content,
                              const VocabularyMap &map) {
  const json &value = member(config, key);
  std::string text =
      value.is_string() ? value.get_ref<const std::string &>() : stringMember(value, "content");
  if (text.empty())
    return kNoId;
  for (uint32_t id = 0; id < content.tokens.size(); ++id)
    if ((content.flags[id] & kTokenAdded) != 0 && content.tokens[id] == text)
      return id;
  if (auto it = map.find(text); it != map.end())
    return it->second;
  return Status::invalidInput(std::string("tokenizer_config.json: ") + key + " '" + oneLine(text) +
                              "' is not a token of tokenizer.json");
}

Status readConfig(std::string_view text, const VocabularyMap &map, TokenizerContent &content) {
  json config;
  if (!text.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(config, parseJson(text, "tokenizer_config.json"));
  }
  LLAMA4_ASSIGN_OR_RETURN(content.bosId, configuredId(config, "bos_token", content, map));
  LLAMA4_ASSIGN_OR_RETURN(content.eosId, configuredId(config, "eos_token", content, map));
  LLAMA4_ASSIGN_OR_RETURN(content.padId, configuredId(config, "pad_token", content, map));
  if (content.bosId == kNoId && !content.prefixIds.empty())
    content.bosId = content.prefixIds.front();
  return Status();
}

Status readUnknown(const json &model, const VocabularyMap &map, TokenizerContent &content) {
  std::string unknown = stringMember(model, "unk_token");
  if (unknown.empty())
    return Status();
  auto it = map.find(unknown);
  if (it == map.end())
    return refuse("model.unk_token", "'" + unknown + "' is not in the vocabulary");
  content.unkId = it->second;
  return Status();
}

} // namespace

Result<std::vector<std::byte>> buildFromHfJson(std::string_view tokenizerJson,
                                               std::string_view tokenizerConfigJson,
                                               const TokenizerBuildOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(json root, parseJson(tokenizerJson, "tokenizer.json"));
  const json &model = member(root, "model");
  LLAMA4_RETURN_IF_ERROR(checkModel(model));
  TokenizerContent content;
  VocabularyMap map;
  size_t declared = member(model, "vocab").size() + member(root, "added_tokens").size();
  size_t limit = std::min<size_t>(kMaxTokens, 2 * declared + 4096);
  LLAMA4_RETURN_IF_ERROR(readVocabulary(model, limit, content, map));
  LLAMA4_RETURN_IF_ERROR(readMerges(model, content, map));
  LLAMA4_RETURN_IF_ERROR(readAddedTokens(root, limit, map, content));
  LLAMA4_RETURN_IF_ERROR(readUnknown(model, map, content));
  fillByteIds(content, map);
  content.ignoreMerges = flagMember(model, "ignore_merges", false);
  LLAMA4_RETURN_IF_ERROR(readHfPipeline(root, content));
  LLAMA4_RETURN_IF_ERROR(readConfig(tokenizerConfigJson, map, content));
  fillStopIds(content, options.stopIds);
  return writeTokenizerSection(content);
}

} // namespace llama4::text
