//===- DecoderTest.cpp - a stream of ids as a stream of UTF-8 ---*- C++ -*-===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/IncrementalDecoder.h"
#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

#include <random>

namespace llama4::text::test {
namespace {

constexpr std::string_view kReplaced = "\xef\xbf\xbd";

const Tokenizer &tokenizer() { return publishedTokenizer("smollm2")->tokenizer; }

/// The token of every byte that has one by itself.
std::vector<TokenId> tokensOfBytes(std::string_view bytes) {
  std::vector<TokenId> ids;
  for (char c : bytes)
    ids.push_back(tokenizer().idOf(std::string_view(&c, 1)).value());
  return ids;
}

/// Every piece is valid UTF-8, and together they are the bytes with U+FFFD for what is broken.
void checkStream(const std::vector<TokenId> &ids, bool skipSpecial) {
  IncrementalDecoder decoder(tokenizer(), skipSpecial);
  std::string text;
  for (TokenId id : ids) {
    std::string piece = decoder.add(id);
    EXPECT_TRUE(isValidUtf8(piece));
    text += piece;
  }
  text += decoder.finish();
  EXPECT_EQ(text, replaceInvalidUtf8(tokenizer().decode(ids, skipSpecial), false));
}

/// Characters of 2, 3 and 4 bytes, a byte at a time: nothing until the last one.
TEST(Decoder, CharactersOverSeveralTokens) {
  for (std::string_view character : {"\xc3\xa9", "\xe4\xbd\xa0", "\xf0\x9f\x98\x80",
                                     "\xf4\x8f\xbf\xbf", "\xef\xbf\xbd", "\xed\x9f\xbf"}) {
    IncrementalDecoder decoder(tokenizer());
    std::vector<TokenId> ids = tokensOfBytes(character);
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      EXPECT_EQ(decoder.add(ids[i]), "");
      IncrementalDecoder cut = decoder;
      EXPECT_EQ(cut.finish(), kReplaced) << "one for all that is missing";
      EXPECT_EQ(cut.finish(), "");
    }
    EXPECT_EQ(decoder.add(ids.back()), character);
    EXPECT_EQ(decoder.finish(), "");
  }
}

TEST(Decoder, BrokenBytes) {
  struct Case {
    std::string_view bytes;
    std::vector<std::string> pieces; ///< a byte each, then the end
  };
  const std::string r(kReplaced);
  const Case cases[] = {
      {"a\xff\x62", {"a", r, "b", ""}},            // never a character
      {"\xc3\x41", {"", r + "A", ""}},             // one began and another came
      {"\xf0\x9f\x41", {"", "", r + "A", ""}},     // the parts of one are one U+FFFD
      {"\xf0\x9f\xe4\xbd", {"", "", r, "", r}},    // and so is the one after it
      {"\xed\xa0\x80", {"", r + r, r, ""}},        // a surrogate is not one
      {"\xc0\xaf", {r, r, ""}},                    // nor is a letter too long
      {"\xf4\x90\x80\x80", {"", r + r, r, r, ""}}, // nor what is beyond the last
      {"\x80\xe4\xbd\xa0", {r, "", "", "\xe4\xbd\xa0", ""}},
  };
  auto section = buildFromTiktoken(tiktokenFile(byteTokens()), TiktokenFamily::Llama3);
  ASSERT_TRUE(section.ok());
  auto bytes = Tokenizer::fromSection(*section); // SmolLM2 has no token for some of them
  ASSERT_TRUE(bytes.ok());
  for (const Case &test : cases) {
    IncrementalDecoder decoder(*bytes);
    std::vector<std::string> pieces;
    for (char c : test.bytes)
      pieces.push_back(decoder.add(bytes->idOf(std::string_view(&c, 1)).value()));
    pieces.push_back(decoder.finish());
    EXPECT_EQ(pieces, test.pieces);
  }
}

TEST(Decoder, RandomStreams) {
  std::mt19937 random(11);
  std::vector<TokenId> broken; // tokens that are no whole characters
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer().tokenCount()); ++id)
    if (!isValidUtf8(tokenizer().bytesOf(id)))
      broken.push_back(id);
  ASSERT_GT(broken.size(), 100u);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> ids;
    for (size_t i = 0; i < 1 + random() % 40; ++i)
      ids.push_back(random() % 3 != 0 ? broken[random() % broken.size()]
                                      : static_cast<TokenId>(random() % tokenizer().tokenCount()));
    checkStream(ids, round % 2 == 0);
  }
}

TEST(Decoder, WordsComeBack) {
  for (const Json &test : readJsonLines(dataPath("tokenizers/smollm2/encode.jsonl")))
    checkStream(idsOf(test["ids"]), false);
}

} // namespace
} // namespace llama4::text::test
