//===- TokenizerOracleTest.cpp - ids and text as the references give *- C++ -*-===//
//
// SmolLM2: tokenizers and llama.cpp. Llama 3 and 4: Meta's own tokenizer (these vocabularies are
// not free to copy, so their tests run where the files are).
//
//===----------------------------------------------------------------------===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/IncrementalDecoder.h"
#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

#include <chrono>
#include <iostream>

namespace llama4::text::test {
namespace {

TEST(TokenizerOracle, SmolLM2Encode) {
  BuiltTokenizer built = buildHf(dataPath("tokenizers/smollm2/tokenizer.json.xz"));
  EXPECT_EQ(built.tokenizer.tokenCount(), 49152u);
  EXPECT_TRUE(built.tokenizer.verify().ok());
  std::vector<Json> cases = readJsonLines(dataPath("tokenizers/smollm2/encode.jsonl"));
  ASSERT_EQ(cases.size(), 260u);
  for (const Json &test : cases) {
    std::string text = fromHex(test["utf8_hex"].get<std::string>());
    EXPECT_EQ(built.tokenizer.encode(text, {.parseSpecial = true}), idsOf(test["ids"]))
        << "case " << test["i"] << ": " << text;
  }
}

/// Both published vocabularies: plain, with BOS and control tokens, and back to bytes.
void checkMeta(const std::string &name) {
  std::filesystem::path folder = oraclePath("tokenizers/" + name);
  if (folder.empty())
    GTEST_SKIP() << name << " vocabulary is not here";
  BuiltTokenizer built = buildHf(folder / "tokenizer.json.xz");
  const Tokenizer &tokenizer = built.tokenizer;
  EXPECT_TRUE(tokenizer.verify().ok());
  std::vector<Json> cases = readJsonLines(folder / "encode.jsonl");
  ASSERT_EQ(cases.size(), 260u);
  for (const Json &test : cases) {
    std::string text = fromHex(test["utf8_hex"].get<std::string>());
    std::vector<TokenId> ids = idsOf(test["ids"]);
    EXPECT_EQ(tokenizer.encode(text), ids) << "case " << test["i"] << ": " << text;
    EXPECT_EQ(tokenizer.encode(text, {.parseSpecial = true, .addBos = true}),
              idsOf(test["ids_bos_special"]))
        << "case " << test["i"] << ": " << text;
    EXPECT_EQ(tokenizer.decode(ids), fromHex(test["decoded_hex"].get<std::string>()))
        << "case " << test["i"];
  }
}

TEST(TokenizerOracle, Llama3) { checkMeta("llama3"); }
TEST(TokenizerOracle, Llama4) { checkMeta("llama4"); }

void checkDecoding(const std::string &name) {
  std::filesystem::path folder = oraclePath("tokenizers/" + name);
  if (folder.empty())
    GTEST_SKIP() << name << " vocabulary is not here";
  BuiltTokenizer built = buildHf(folder / "tokenizer.json.xz");
  for (const Json &test : Json::parse(readFile(folder / "decode.json"))) {
    IncrementalDecoder decoder(built.tokenizer);
    std::vector<TokenId> ids = idsOf(test["ids"]);
    std::string text;
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(built.tokenizer.bytesOf(ids[i]), fromHex(test["pieces_hex"][i].get<std::string>()));
      text += decoder.add(ids[i]);
      EXPECT_TRUE(isValidUtf8(text));
      // The reference shows a character that is not complete yet as U+FFFD.
      IncrementalDecoder cut = decoder;
      EXPECT_EQ(text + cut.finish(), test["prefix_decoded"][i].get<std::string>());
    }
    EXPECT_EQ(text + decoder.finish(), test["text"].get<std::string>());
  }
}

TEST(TokenizerOracle, Llama3Decode) { checkDecoding("llama3"); }
TEST(TokenizerOracle, Llama4Decode) { checkDecoding("llama4"); }

/// Every control token of the vocabulary, as text that came from a user: none may come out.
void checkInjection(const std::string &name) {
  std::filesystem::path folder = oraclePath("tokenizers/" + name);
  if (folder.empty())
    GTEST_SKIP() << name << " vocabulary is not here";
  BuiltTokenizer built = buildHf(folder / "tokenizer.json.xz");
  const Tokenizer &tokenizer = built.tokenizer;
  TokenId bos = tokenizer.bosId().value();
  std::string bosText(tokenizer.bytesOf(bos));
  int checked = 0;
  for (uint32_t id = 0; id < tokenizer.tokenCount(); ++id) {
    if (!tokenizer.isSpecial(static_cast<TokenId>(id)))
      continue;
    std::string text(tokenizer.bytesOf(static_cast<TokenId>(id)));
    EXPECT_EQ(tokenizer.idOf(text), static_cast<TokenId>(id));
    std::vector<TextSegment> segments = {{bosText, false}, {text, true}, {bosText, false}};
    std::vector<TokenId> ids = tokenizer.encodeSegments(segments);
    ASSERT_GT(ids.size(), 2u);
    EXPECT_EQ(ids.front(), bos);
    EXPECT_EQ(ids.back(), bos);
    for (size_t i = 1; i + 1 < ids.size(); ++i)
      EXPECT_FALSE(tokenizer.isSpecial(ids[i])) << text;
    ++checked;
  }
  EXPECT_GE(checked, 256);
}

TEST(TokenizerOracle, Llama3Injection) { checkInjection("llama3"); }
TEST(TokenizerOracle, Llama4Injection) { checkInjection("llama4"); }

TEST(TokenizerOracle, Speed) {
  BuiltTokenizer built = buildHf(dataPath("tokenizers/smollm2/tokenizer.json.xz"));
  std::string text;
  std::vector<Json> cases = readJsonLines(dataPath("tokenizers/smollm2/encode.jsonl"));
  while (text.size() < (4u << 20))
    for (const Json &test : cases)
      text += fromHex(test["utf8_hex"].get<std::string>()) + "\n";
  auto seconds = [](auto work) {
    auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  size_t tokens = 0;
  double encode = seconds([&] { tokens = built.tokenizer.encode(text).size(); });
  double open = seconds([&] { EXPECT_TRUE(Tokenizer::fromSection(built.section).ok()); });
  std::cout << "encode " << static_cast<double>(text.size()) / 1e6 / encode << " MB/s (" << tokens
            << " tokens), open " << open * 1e3 << " ms\n";
  EXPECT_GT(tokens, 100000u);
}

/// One piece of a megabyte must not cost quadratic time.
TEST(TokenizerOracle, LongPiece) {
  BuiltTokenizer built = buildHf(dataPath("tokenizers/smollm2/tokenizer.json.xz"));
  std::string text(1 << 20, 'a');
  std::vector<TokenId> ids = built.tokenizer.encode(text);
  EXPECT_EQ(built.tokenizer.decode(ids), text);
}

/// The heap and the scan of the merge agree: a long piece is cut where its short parts are.
TEST(TokenizerOracle, TinyModelTokenizer) {
  std::filesystem::path file = dataPath("oracles/llama3-text-tied/tokenizer.json");
  if (!std::filesystem::exists(file))
    file = oraclePath("llama3-text-tied/tokenizer.json");
  if (file.empty())
    GTEST_SKIP() << "no tiny tokenizer";
  BuiltTokenizer built = buildHf(file, file.parent_path() / "tokenizer_config.json");
  EXPECT_EQ(built.tokenizer.tokenCount(), 512u);
  EXPECT_EQ(built.tokenizer.bosId(), 501);
  EXPECT_TRUE(built.tokenizer.addsBosByDefault());
  EXPECT_EQ(built.tokenizer.encode("", {.addBos = true}), std::vector<TokenId>{501});
  std::string text = "The quick brown fox, 12345 \xf0\x9f\x98\x80!";
  EXPECT_EQ(built.tokenizer.decode(built.tokenizer.encode(text)), text);
}

} // namespace
} // namespace llama4::text::test
