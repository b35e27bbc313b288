//===- HfPipeline.cpp - the steps around the model of tokenizer.json *- C++ -*-===//

#include "runtime/text/build/HfPipeline.h"

#include "runtime/text/OneLine.h"
#include "runtime/text/build/Json.h"

namespace llama4::text {

namespace {

using nlohmann::json;

/// The expressions that Splitter.cpp implements, as tokenizer.json files spell them.
struct KnownRegex {
  SplitKind kind;
  std::string_view regex;
};
constexpr KnownRegex kKnownRegexes[] = {
    {SplitKind::Llama3,
     R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)re"
     R"re(|\s*[\r\n]+|\s+(?!\S)|\s+)re"},
    {SplitKind::Llama4,
     R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)re"
     R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)?)re"
     R"re(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)re"
     R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)?)re"
     R"re(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re"},
    {SplitKind::Gpt2,
     R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re"},
    {SplitKind::Gpt2,
     R"re('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re"},
};

Status refuse(const std::string &field, const std::string &what) {
  return Status::invalidInput("tokenizer.json: " + field + ": " + oneLine(what));
}

/// The members of a Sequence under `key`, or the step itself; a null is no step.
std::vector<const json *> stepsOf(const json &step, const char *key) {
  std::vector<const json *> steps;
  if (stringMember(step, "type") == "Sequence") {
    const json &members = member(step, key);
    for (size_t i = 0; members.is_array() && i < members.size(); ++i)
      steps.push_back(&members[i]);
  } else if (!step.is_null()) {
    steps.push_back(&step);
  }
  return steps;
}

Status readSplit(const json &step, TokenizerContent &content) {
  std::string regex = stringMember(member(step, "pattern"), "Regex");
  if (stringMember(step, "behavior") != "Isolated" || flagMember(step, "invert", false))
    return refuse("pre_tokenizer.Split", "expected behavior Isolated, not inverted");
  for (const KnownRegex &known : kKnownRegexes)
    if (known.regex == regex) {
      content.split = known.kind;
      return Status();
    }
  return refuse("pre_tokenizer.Split",
                "the expression '" + regex + "' is not one of those of GPT-2, Llama 3 and Llama 4");
}

Status readByteLevel(const json &step, TokenizerContent &content) {
  if (flagMember(step, "add_prefix_space", true))
    return refuse("pre_tokenizer.ByteLevel", "add_prefix_space is not supported, expected false");
  if (!flagMember(step, "use_regex", true))
    return Status();
  if (content.split != SplitKind::None)
    return refuse("pre_tokenizer.ByteLevel", "use_regex after a Split is not supported");
  content.split = SplitKind::Gpt2;
  return Status();
}

/// Digits? Split? ByteLevel, in this order.
Status readPreTokenizer(const json &root, TokenizerContent &content) {
  bool sawByteLevel = false;
  for (const json *step : stepsOf(member(root, "pre_tokenizer"), "pretokenizers")) {
    std::string type = stringMember(*step, "type");
    if (sawByteLevel)
      return refuse("pre_tokenizer", "'" + type + "' after ByteLevel is not supported");
    if (type == "Digits" && content.digits == DigitKind::Keep && content.split == SplitKind::None) {
      content.digits =
          flagMember(*step, "individual_digits", false) ? DigitKind::Individual : DigitKind::Runs;
    } else if (type == "Split" && content.split == SplitKind::None) {
      LLAMA4_RETURN_IF_ERROR(readSplit(*step, content));
    } else if (type == "ByteLevel") {
      LLAMA4_RETURN_IF_ERROR(readByteLevel(*step, content));
      sawByteLevel = true;
    } else {
      return refuse("pre_tokenizer", "'" + type +
                                         "' is not supported here, expected Digits, "
                                         "Split and ByteLevel, each at most once");
    }
  }
  return sawByteLevel ? Status() : refuse("pre_tokenizer", "there is no ByteLevel step");
}

Status readTemplateItem(const json &item, const json &specialTokens, bool &sawText,
                        TokenizerContent &content) {
  if (member(item, "Sequence").is_object()) {
    if (sawText)
      return refuse("post_processor", "the text occurs twice in the template");
    sawText = true;
    return Status();
  }
  std::string name = stringMember(member(item, "SpecialToken"), "id");
  const json &ids = member(member(specialTokens, name.c_str()), "ids");
  if (!ids.is_array())
    return refuse("post_processor", "the template's token '" + name + "' has no ids");
  for (const json &value : ids) {
    std::optional<uint32_t> id = idValue(value);
    if (!id || *id >= content.tokens.size())
      return refuse("post_processor", "an id of '" + name + "' is not in the vocabulary");
    (sawText ? content.suffixIds : content.prefixIds).push_back(*id);
  }
  return Status();
}

Status readPostProcessor(const json &root, TokenizerContent &content) {
  for (const json *step : stepsOf(member(root, "post_processor"), "processors")) {
    std::string type = stringMember(*step, "type");
    if (type == "ByteLevel")
      continue; // moves offsets only
    if (type != "TemplateProcessing")
      return refuse("post_processor", "'" + type + "' is not supported");
    const json &single = member(*step, "single");
    if (!single.is_array() || !content.prefixIds.empty() || !content.suffixIds.empty())
      return refuse("post_processor", "expected one TemplateProcessing with a list 'single'");
    bool sawText = false;
    for (const json &item : single)
      LLAMA4_RETURN_IF_ERROR(
          readTemplateItem(item, member(*step, "special_tokens"), sawText, content));
  }
  content.addBos = !content.prefixIds.empty();
  return Status();
}

} // namespace

Status readHfPipeline(const json &root, TokenizerContent &content) {
  for (const json *step : stepsOf(member(root, "normalizer"), "normalizers"))
    return refuse("normalizer",
                  "'" + stringMember(*step, "type") + "' is not supported, expected null");
  LLAMA4_RETURN_IF_ERROR(readPreTokenizer(root, content));
  LLAMA4_RETURN_IF_ERROR(readPostProcessor(root, content));
  for (const json *step : stepsOf(member(root, "decoder"), "decoders"))
    if (stringMember(*step, "type") != "ByteLevel")
      return refuse("decoder",
                    "'" + stringMember(*step, "type") + "' is not supported, expected ByteLevel");
  return Status();
}

} // namespace llama4::text
