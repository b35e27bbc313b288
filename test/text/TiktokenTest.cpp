//===- TiktokenTest.cpp - tokenizers from tokenizer.model -------*- C++ -*-===//
//
// Meta's files are not free to copy: their tests run where `./setup.sh deps` or the environment put
// them. The merge rule itself is tested on vocabularies made here.
//
//===----------------------------------------------------------------------===//

#include "test/text/TextTestSupport.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace llama4::text::test {
namespace {

using Ids = std::vector<TokenId>;

std::string errorOf(const std::string &file) {
  auto section = buildFromTiktoken(file, TiktokenFamily::Llama3);
  return section.ok() ? "no error" : section.status().message();
}

struct Opened {
  std::vector<std::byte> section;
  Result<Tokenizer> tokenizer = Status::internal("not built");
};

Opened build(const std::string &file, TiktokenFamily family) {
  Opened opened;
  auto section = buildFromTiktoken(file, family);
  if (!section.ok())
    opened.tokenizer = section.status();
  else
    opened.tokenizer = Tokenizer::fromSection(opened.section = section.take());
  return opened;
}

TEST(Tiktoken, SmallVocabulary) {
  Opened built = build(tiktokenFile(byteTokens({"ab", "abc", " a"})), TiktokenFamily::Llama3);
  ASSERT_TRUE(built.tokenizer.ok()) << built.tokenizer.status().message();
  const Tokenizer &t = *built.tokenizer;
  EXPECT_EQ(t.tokenCount(), 259u + 256u);
  EXPECT_EQ(t.encode("abc"), (Ids{257}));
  EXPECT_EQ(t.encode("xab"), (Ids{255 - 'x', 256}));
  EXPECT_EQ(t.bosId(), 259);
  EXPECT_EQ(t.eosId(), 260);
  EXPECT_EQ(t.stopIds(), (Ids{260, 267, 268})); // end of text, of message, of turn
  EXPECT_EQ(t.padId(), 263);
  EXPECT_TRUE(t.addsBosByDefault());
  EXPECT_EQ(t.encode("ab", {.addBos = true}), (Ids{259, 256}));
  EXPECT_EQ(t.encode("<|eot_id|>", {.parseSpecial = true}), (Ids{268}));
  EXPECT_EQ(t.bytesOf(268), "<|eot_id|>");
  EXPECT_TRUE(t.isSpecial(268));
  EXPECT_FALSE(t.isSpecial(258));
  EXPECT_TRUE(t.verify().ok());
  // No end of line after the last, and the ends of another system.
  std::string file = tiktokenFile(byteTokens({"ab"}));
  std::string windows;
  for (char c : file.substr(0, file.size() - 1))
    windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  Opened same = build(windows, TiktokenFamily::Llama4);
  ASSERT_TRUE(same.tokenizer.ok()) << same.tokenizer.status().message();
  EXPECT_EQ(same.tokenizer->tokenCount(), 257u + 2048u);
  EXPECT_EQ(same.tokenizer->encode("ab"), (Ids{256}));
}

/// The definition: merge the leftmost of the pairs with the lowest rank until none is left.
Ids mergeByDefinition(const std::map<std::string, TokenId> &ranks, const std::string &piece) {
  std::vector<std::string> parts;
  for (char c : piece)
    parts.emplace_back(1, c);
  while (true) {
    size_t best = parts.size();
    TokenId lowest = INT32_MAX;
    for (size_t i = 0; i + 1 < parts.size(); ++i)
      if (auto it = ranks.find(parts[i] + parts[i + 1]); it != ranks.end() && it->second < lowest) {
        lowest = it->second;
        best = i;
      }
    if (best == parts.size())
      break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const std::string &part : parts)
    ids.push_back(ranks.at(part));
  return ids;
}

/// Vocabularies over two letters are full of tokens that several pairs make; long pieces take the
/// other of the two merge routines.
TEST(Tiktoken, MergesLikeTheDefinition) {
  std::mt19937 random(7);
  auto word = [&](size_t length) {
    std::string text;
    while (text.size() < length)
      text += random() % 2 ? 'a' : 'b';
    return text;
  };
  int differentParts = 0;
  for (int round = 0; round < 40; ++round) {
    std::map<std::string, TokenId> ranks;
    std::vector<std::string> more;
    while (more.size() < 30)
      if (std::string token = word(2 + random() % 5); ranks.emplace(token, 0).second)
        more.push_back(token);
    std::vector<std::string> tokens = byteTokens(more);
    for (size_t id = 0; id < tokens.size(); ++id)
      ranks[tokens[id]] = static_cast<TokenId>(id);
    Opened built = build(tiktokenFile(tokens), TiktokenFamily::Llama3);
    ASSERT_TRUE(built.tokenizer.ok()) << built.tokenizer.status().message();
    for (int test = 0; test < 100; ++test) {
      std::string piece = word(1 + random() % 80);
      Ids want = mergeByDefinition(ranks, piece);
      if (ranks.count(piece))
        want = {ranks.at(piece)}; // a whole token is that token
      EXPECT_EQ(built.tokenizer->encode(piece), want) << "round " << round << ": " << piece;
      differentParts += want.size() > 2 ? 1 : 0;
    }
  }
  EXPECT_GT(differentParts, 1000);
}

TEST(Tiktoken, MalformedFilesAreRefused) {
  std::string good = tiktokenFile(byteTokens({"ab"}));
  EXPECT_TRUE(isTiktoken(good));
  EXPECT_FALSE(isTiktoken(std::string("\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02", 17)));
  EXPECT_FALSE(isTiktoken(""));
  EXPECT_FALSE(isTiktoken("{\"model\": 1}"));
  auto edited = [&](const std::string &from, const std::string &to) {
    std::string file = good;
    file.replace(file.find(from), from.size(), to);
    return errorOf(file);
  };
  auto has = [](const std::string &text, std::string_view part) {
    return text.find(part) != std::string::npos;
  };
  std::string last = base64("ab") + " 256\n";
  EXPECT_EQ(edited(last, last), "no error");
  EXPECT_TRUE(has(errorOf(""), "found 0 lines"));
  for (const char *broken :
       {"YWI=256\n", "YWI= \n", "YWI 256\n", "Y!I= 256\n", "YWI= 256x\n", "YWI= -1\n",
        "YWI= 99999999999\n", "=WI= 256\n", "==== 256\n", "\n", " 256\n", "YWI=  256\n"})
    EXPECT_TRUE(has(edited(last, broken), "line 257: ")) << broken;
  EXPECT_TRUE(has(edited(last, "YWI= 257\n"), "found rank 257 in a file of 257 lines"));
  EXPECT_TRUE(has(edited(last, "YWI= 7\n"), "line 257: found rank 7 for the second time"));
  EXPECT_TRUE(has(edited(last, base64("a") + " 256\n"), "ranks 158 and 256 have the same bytes"));
  EXPECT_TRUE(
      has(edited(base64("z") + " ", base64("zz") + " "), "no token of the single byte 122"));
  EXPECT_TRUE(has(edited(last, base64(std::string(257, 'x')) + " 256\n"), "a token of 257 bytes"));
  for (size_t cut = 1; cut < good.size(); cut += 5)
    EXPECT_NE(errorOf(good.substr(0, cut)), "no error") << cut;
}

/// Meta's own ids: 260 strings each, plain and with control tokens, and the table of those.
void checkMetaFile(const std::string &name, TiktokenFamily family) {
  std::filesystem::path model = metaTokenizerPath(name);
  std::filesystem::path folder = oraclePath("tokenizers/" + name);
  if (model.empty() || folder.empty())
    GTEST_SKIP() << name << " vocabulary is not here";
  BuiltTokenizer built = buildMeta(model, family);
  const Tokenizer &tokenizer = built.tokenizer;
  EXPECT_TRUE(tokenizer.verify().ok());
  Json special = Json::parse(readFile(folder / "special_tokens.json"));
  for (const auto &[text, id] : special["special_tokens"].items())
    EXPECT_EQ(tokenizer.bytesOf(id.get<TokenId>()), text);
  EXPECT_EQ(tokenizer.tokenCount(), special["n_words"].get<uint32_t>());
  EXPECT_EQ(tokenizer.bosId(), special["bos_id"].get<TokenId>());
  EXPECT_EQ(tokenizer.eosId(), special["eos_id"].get<TokenId>());
  EXPECT_EQ(tokenizer.padId(), special["pad_id"].get<TokenId>());
  Ids stop = idsOf(special["stop_tokens"]);
  std::sort(stop.begin(), stop.end());
  EXPECT_EQ(tokenizer.stopIds(), stop);
  BuiltTokenizer other = buildHf(folder / "tokenizer.json.xz");
  ASSERT_EQ(other.tokenizer.tokenCount(), tokenizer.tokenCount());
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer.tokenCount()); ++id) {
    ASSERT_EQ(tokenizer.bytesOf(id), other.tokenizer.bytesOf(id)) << id;
    ASSERT_EQ(tokenizer.isSpecial(id), other.tokenizer.isSpecial(id)) << id;
  }
  std::vector<Json> cases = readJsonLines(folder / "encode.jsonl");
  ASSERT_EQ(cases.size(), 260u);
  for (const Json &test : cases) {
    std::string text = fromHex(test["utf8_hex"].get<std::string>());
    Ids ids = idsOf(test["ids"]);
    EXPECT_EQ(tokenizer.encode(text), ids) << "case " << test["i"] << ": " << text;
    EXPECT_EQ(tokenizer.encode(text, {.parseSpecial = true, .addBos = true}),
              idsOf(test["ids_bos_special"]))
        << "case " << test["i"] << ": " << text;
    EXPECT_EQ(tokenizer.decode(ids), fromHex(test["decoded_hex"].get<std::string>()));
  }
}

TEST(Tiktoken, MetaLlama3) { checkMetaFile("llama3", TiktokenFamily::Llama3); }
TEST(Tiktoken, MetaLlama4) { checkMetaFile("llama4", TiktokenFamily::Llama4); }

/// Llama 3.2 Vision: the vocabulary of Llama 3 with <|image|> in the row behind it.
TEST(Tiktoken, Llama3Vision) {
  std::string file = tiktokenFile(byteTokens({}));
  Opened text = build(file, TiktokenFamily::Llama3);
  Opened vision = build(file, TiktokenFamily::Llama3Vision);
  ASSERT_TRUE(text.tokenizer.ok() && vision.tokenizer.ok());
  EXPECT_EQ(text.tokenizer->idOf("<|image|>"), 256 + 11);
  EXPECT_EQ(vision.tokenizer->idOf("<|image|>"), 256 + 256);
  EXPECT_EQ(vision.tokenizer->bytesOf(256 + 11), "");
  EXPECT_EQ(vision.tokenizer->tokenCount(), text.tokenizer->tokenCount() + 1);
  for (TokenId id = 0; id < 256 + 256; ++id)
    if (id != 256 + 11)
      EXPECT_EQ(vision.tokenizer->bytesOf(id), text.tokenizer->bytesOf(id)) << id;
}

} // namespace
} // namespace llama4::text::test
