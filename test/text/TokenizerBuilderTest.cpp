//===- TokenizerBuilderTest.cpp - what is accepted, refused, damaged *- C++ -*-===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/build/TokenizerBuilder.h"
#include "runtime/text/build/TokenizerWriter.h"

#include <gtest/gtest.h>

#include <random>

namespace llama4::text::test {
namespace {

/// A complete tokenizer.json over the bytes of "abc ", with two merges.
Json smallTokenizer() {
  return Json::parse(R"({
    "added_tokens": [
      {"id": 8, "content": "<s>", "special": true, "normalized": false},
      {"id": 9, "content": "<s>x", "special": true, "normalized": false},
      {"id": 10, "content": "b!", "special": false, "normalized": true},
      {"id": 11, "content": "ab!", "special": false, "normalized": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
                 {"SpecialToken": {"id": "<s>x"}}],
      "special_tokens": {"<s>": {"ids": [8]}, "<s>x": {"ids": [9]}}},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "ignore_merges": false,
      "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "abc": 5, "Ġa": 6, "!": 7},
      "merges": ["a b", ["ab", "c"], "Ġ a"]}})");
}

std::string errorOf(const Json &json, std::string_view config = "") {
  auto built = buildFromHfJson(json.dump(), config);
  return built.ok() ? "no error" : built.status().message();
}

struct Small {
  explicit Small(const Json &json, std::string_view config = "")
      : section(buildFromHfJson(json.dump(), config).take()),
        tokenizer(Tokenizer::fromSection(section).take()) {}
  std::vector<std::byte> section;
  Tokenizer tokenizer;
};

using Ids = std::vector<TokenId>;

TEST(TokenizerBuilder, SmallVocabulary) {
  Small small(smallTokenizer(), R"({"eos_token": {"content": "<s>x"}, "bos_token": null})");
  const Tokenizer &t = small.tokenizer;
  EXPECT_EQ(t.encode("abc ab ac"), (Ids{5, 3, 4, 6, 2})); // "a b" has the lower rank than "Ġ a"
  EXPECT_EQ(t.encode("a<s>b"), (Ids{0, 1}));              // no token for < s >: dropped
  EXPECT_EQ(t.encode("a<s>b", {.parseSpecial = true}), (Ids{0, 8, 1}));
  EXPECT_EQ(t.encode("<s>x<s>", {.parseSpecial = true}), (Ids{9, 8})); // the longest
  EXPECT_EQ(t.encode("cab!b!"), (Ids{2, 11, 10}));                     // first pass before second
  EXPECT_EQ(t.encode("a", {.addBos = true}), (Ids{8, 0, 9}));
  EXPECT_EQ(t.bosId(), 8); // from the template, as the config has none
  EXPECT_EQ(t.stopIds(), Ids{9});
  EXPECT_EQ(t.idOf("<s>"), 8);
  EXPECT_EQ(t.idOf("abc"), 5);
  EXPECT_EQ(t.idOf("abcd"), std::nullopt);
  EXPECT_EQ(t.decode(Ids{8, 6, 99, -1, 1}), "<s> ab");
  EXPECT_EQ(t.decode(Ids{8, 6, 1}, /*skipSpecial=*/true), " ab");
  std::vector<TextSegment> segments = {{"<s>a", false}, {"b<s>", true}, {"<s>", false}};
  EXPECT_EQ(t.encodeSegments(segments), (Ids{8, 4, 8})); // "ab" merges across the border
}

TEST(TokenizerBuilder, IgnoreMerges) {
  Json json = smallTokenizer();
  json["model"]["merges"] = Json::array();
  EXPECT_EQ(Small(json).tokenizer.encode("abc"), (Ids{0, 1, 2}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(Small(json).tokenizer.encode("abc"), (Ids{5}));
}

TEST(TokenizerBuilder, UnsupportedIsNamed) {
  auto expect = [](std::string_view pointer, const Json &value, std::string_view part) {
    Json json = smallTokenizer();
    json[Json::json_pointer(std::string(pointer))] = value;
    EXPECT_NE(errorOf(json).find(part), std::string::npos) << pointer << ": " << errorOf(json);
  };
  expect("/model/type", "Unigram", "'Unigram' is not supported");
  expect("/model/byte_fallback", true, "model.byte_fallback");
  expect("/model/merges/0", "a x", "merge part 'x' is not in the vocabulary");
  expect("/model/merges/0", "a b c", "is not two parts");
  expect("/model/merges/0", 5, "neither");
  expect("/model/merges/0", "a c", "merge part 'ac' is not in the vocabulary");
  expect("/model/vocab/a", 4, "two tokens have id 4");
  expect("/model/vocab/a", -4, "is not a number");
  expect("/model/vocab/a", 4000000000u, "out of range");
  expect("/added_tokens/0/lstrip", true, "'<s>' has lstrip");
  expect("/added_tokens/0/single_word", true, "'<s>' has single_word");
  expect("/added_tokens/0/id", 4, "another token has");
  expect("/added_tokens/1/content", "<s>", "has two ids");
  expect("/normalizer", {{"type", "NFC"}}, "'NFC' is not supported");
  expect("/pre_tokenizer/add_prefix_space", true, "add_prefix_space");
  expect("/pre_tokenizer", {{"type", "Whitespace"}}, "'Whitespace' is not supported");
  expect("/pre_tokenizer", nullptr, "no ByteLevel");
  expect("/decoder", {{"type", "WordPiece"}}, "'WordPiece' is not supported");
  expect("/post_processor", {{"type", "BertProcessing"}}, "'BertProcessing' is not supported");
  expect("/post_processor/special_tokens/<s>/ids/0", 77, "not in the vocabulary");
  Json split = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Isolated"},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  expect("/pre_tokenizer", split, "the expression '\\w+' is not one of");
  EXPECT_NE(errorOf(smallTokenizer(), R"({"eos_token": "</s>"})").find("'</s>' is not a token"),
            std::string::npos);
  EXPECT_NE(errorOf(smallTokenizer(), "{").find("tokenizer_config.json is not valid"),
            std::string::npos);
  std::string deep(1000, '[');
  EXPECT_NE(buildFromHfJson(deep, "").status().message().find("nested deeper"), std::string::npos);
  EXPECT_FALSE(buildFromHfJson("[]", "").ok());
  EXPECT_FALSE(buildFromHfJson("", "").ok());
}

/// The SmolLM2 vocabulary in the form in which GGUF files have it gives the same ids.
TEST(TokenizerBuilder, GgufSmolLM2) {
  Json json = Json::parse(readFile(dataPath("tokenizers/smollm2/tokenizer.json.xz")));
  std::vector<std::string> names(json["model"]["vocab"].size());
  for (const auto &[token, id] : json["model"]["vocab"].items())
    names[id.get<size_t>()] = token;
  std::vector<std::string> pairs;
  for (const Json &merge : json["model"]["merges"])
    pairs.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  std::vector<int32_t> types(names.size(), 1);
  for (const Json &added : json["added_tokens"])
    types[added["id"].get<size_t>()] = 3;
  std::vector<std::string_view> tokens(names.begin(), names.end());
  std::vector<std::string_view> merges(pairs.begin(), pairs.end());
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  vocabulary.tokens = tokens;
  vocabulary.tokenTypes = types;
  vocabulary.merges = merges;
  vocabulary.bosId = 1;
  vocabulary.eosId = 2;
  vocabulary.addBos = false;
  auto section = buildFromGguf(vocabulary);
  ASSERT_TRUE(section.ok()) << section.status().message();
  Tokenizer tokenizer = Tokenizer::fromSection(*section).take();
  EXPECT_FALSE(tokenizer.addsBosByDefault());
  EXPECT_EQ(tokenizer.stopIds(), (Ids{0, 2}));
  for (const Json &test : readJsonLines(dataPath("tokenizers/smollm2/encode.jsonl"))) {
    std::string text = fromHex(test["utf8_hex"].get<std::string>());
    EXPECT_EQ(tokenizer.encode(text, {.parseSpecial = true}), idsOf(test["ids"])) << text;
  }
  vocabulary.pre = "qwen2";
  EXPECT_NE(buildFromGguf(vocabulary).status().message().find("tokenizer.ggml.pre is 'qwen2'"),
            std::string::npos);
  vocabulary.pre = "smollm";
  vocabulary.model = "llama";
  EXPECT_NE(buildFromGguf(vocabulary).status().message().find("'llama'"), std::string::npos);
  vocabulary.model = "gpt2";
  vocabulary.eosId = 99999;
  EXPECT_NE(buildFromGguf(vocabulary).status().message().find("eos_token_id is 99999"),
            std::string::npos);
}

TEST(TokenizerBuilder, GgufFamilies) {
  std::vector<std::string_view> tokens = {"a", "b", "ab", "<|begin_of_text|>", "<|eot_id|>", "u"};
  std::vector<int32_t> types = {1, 1, 1, 3, 3, 4};
  std::vector<std::string_view> merges = {"a b"};
  for (std::string_view pre : {"llama-bpe", "llama3", "llama4", "gpt-2"}) {
    GgufVocabulary vocabulary;
    vocabulary.model = "gpt2";
    vocabulary.pre = pre;
    vocabulary.tokens = tokens;
    vocabulary.tokenTypes = types;
    vocabulary.merges = merges;
    vocabulary.bosId = 3;
    auto section = buildFromGguf(vocabulary);
    ASSERT_TRUE(section.ok()) << section.status().message();
    Tokenizer tokenizer = Tokenizer::fromSection(*section).take();
    EXPECT_EQ(tokenizer.encode("abu<|eot_id|>", {.parseSpecial = true}), (Ids{2, 5, 4}));
    EXPECT_EQ(tokenizer.encode("a", {.addBos = true}), (Ids{3, 0}));
    EXPECT_EQ(tokenizer.addsBosByDefault(), pre != "gpt-2");
    EXPECT_EQ(tokenizer.stopIds(), Ids{4});
  }
}

/// Long pieces take the heap, short ones the scan: both must do what the definition says.
TEST(TokenizerBuilder, LongPiecesMergeLikeTheDefinition) {
  BuiltTokenizer built = buildHf(dataPath("tokenizers/smollm2/tokenizer.json.xz"));
  TokenizerView view = TokenizerView::open(built.section).take();
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    std::string text;
    while (text.size() < 20u + static_cast<size_t>(round) * 5u)
      text.push_back("aeinorst"[random() % 8]);
    std::vector<uint32_t> ids;
    for (char c : text)
      ids.push_back(view.byteId(static_cast<unsigned char>(c)));
    while (true) {
      size_t best = ids.size();
      Merge lowest;
      for (size_t i = 0; i + 1 < ids.size(); ++i)
        if (Merge m = view.mergeOf(ids[i], ids[i + 1]); m.rank < lowest.rank) {
          lowest = m;
          best = i;
        }
      if (best == ids.size())
        break;
      ids[best] = lowest.merged;
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    EXPECT_EQ(built.tokenizer.encode(text), Ids(ids.begin(), ids.end())) << text;
  }
}

/// Any damage is refused, or leaves a tokenizer that works on what it got.
TEST(TokenizerSection, DamageIsRefusedOrHarmless) {
  Small small(smallTokenizer());
  std::string probe = "abc ab<s>x b! cab!\xff \xe4\xbd\xa0";
  int refused = 0;
  auto use = [&](std::span<const std::byte> bytes) {
    auto opened = Tokenizer::fromSection(bytes);
    if (!opened.ok()) {
      ++refused;
      return;
    }
    (void)opened->verify();
    Ids ids = opened->encode(probe, {.parseSpecial = true, .addBos = true});
    EXPECT_LE(ids.size(), probe.size() + 64);
    (void)opened->decode(ids);
    (void)opened->idOf("abc");
    (void)opened->stopIds();
  };
  for (size_t cut = 0; cut < small.section.size(); ++cut) {
    std::vector<std::byte> shorter(small.section.begin(),
                                   small.section.begin() + static_cast<std::ptrdiff_t>(cut));
    EXPECT_FALSE(Tokenizer::fromSection(shorter).ok());
  }
  for (size_t at = 0; at < small.section.size(); ++at)
    for (unsigned value = 0; value < 256; value += 5) {
      std::vector<std::byte> bad = small.section;
      bad[at] ^= static_cast<std::byte>(value + 1);
      use(bad);
    }
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bad = small.section;
    for (int i = 0; i < 8; ++i)
      bad[random() % bad.size()] = static_cast<std::byte>(random());
    use(bad);
  }
  EXPECT_GT(refused, 10000);
}

TEST(TokenizerSection, OpeningFindsDamagedIdsAndOffsets) {
  Small small(smallTokenizer());
  TokenizerHeader header;
  std::memcpy(&header, small.section.data(), sizeof(header));
  auto refusalOf = [&](TokenTable table, size_t index, uint32_t value) {
    std::vector<std::byte> bad = small.section;
    uint64_t at = header.tables[static_cast<size_t>(table)].offset + index * 4;
    std::memcpy(bad.data() + at, &value, sizeof(value));
    auto opened = Tokenizer::fromSection(bad);
    return opened.ok() ? std::string("accepted") : opened.status().message();
  };
  auto expect = [&](const std::string &message, std::string_view part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(refusalOf(TokenTable::Offsets, 3, 0xffffff), "offsets are out of order");
  expect(refusalOf(TokenTable::Offsets, 12, 0xffffff), "offsets are out of order");
  expect(refusalOf(TokenTable::PrefixIds, 0, 12), "'prefix ids' holds token id 12");
  expect(refusalOf(TokenTable::ByteIds, 'a', 12), "'byte ids' holds token id 12");
  expect(refusalOf(TokenTable::Added, 0, 9), "added tokens are not in order");
}

TEST(TokenizerSection, VerifyFindsDamagedTables) {
  Small small(smallTokenizer());
  TokenizerHeader header;
  std::memcpy(&header, small.section.data(), sizeof(header));
  for (TokenTable table : {TokenTable::Merges, TokenTable::Lookup}) {
    const TableRange &range = header.tables[static_cast<size_t>(table)];
    std::vector<std::byte> bad = small.section;
    for (uint64_t i = 0; i < range.bytes; ++i)
      bad[range.offset + i] = std::byte{0x11};
    auto opened = Tokenizer::fromSection(bad);
    ASSERT_TRUE(opened.ok());
    EXPECT_FALSE(opened->verify().ok());
  }
  EXPECT_TRUE(small.tokenizer.verify().ok());
}

} // namespace
} // namespace llama4::text::test
