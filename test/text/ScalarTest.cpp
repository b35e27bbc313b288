//===- ScalarTest.cpp - every Unicode scalar, as recorded -------*- C++ -*-===//
//
// All 1,112,064 scalar values alone, after a letter, after a space and after a digit, against
// hashes of what the tokenizers package gives (tools/dev/scalar_hashes.py). A block is one encode
// call in which a control token keeps the texts apart.
//
//===----------------------------------------------------------------------===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <thread>

namespace llama4::text::test {
namespace {

/// The first 8 bytes of the SHA-256 of the ids as little-endian words, in hexadecimal.
std::string hashOf(const std::vector<TokenId> &ids) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char *>(ids.data()), ids.size() * sizeof(TokenId), digest);
  std::string hex;
  for (size_t i = 0; i < 8; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 15];
  }
  return hex;
}

std::string blockText(char32_t begin, char32_t end, const std::string &separator,
                      const std::vector<std::string> &contexts) {
  std::string text;
  for (char32_t code = begin; code < end; ++code) {
    if (code >= 0xd800 && code < 0xe000)
      continue;
    for (const std::string &context : contexts) {
      text += separator;
      text += context;
      appendUtf8(text, code);
    }
  }
  return text;
}

void checkScalars(const std::string &name) {
  const BuiltTokenizer *built = publishedTokenizer(name);
  if (built == nullptr)
    GTEST_SKIP() << name << " vocabulary is not here";
  static const Json recorded = Json::parse(readFile(dataPath("tokenizers/scalars.json")));
  auto block = recorded["block"].get<char32_t>();
  auto contexts = recorded["contexts"].get<std::vector<std::string>>();
  auto separator = recorded[name]["separator"].get<std::string>();
  auto hashes = recorded[name]["hashes"].get<std::vector<std::string>>();
  ASSERT_EQ(hashes.size(), 0x110000u / block);
  ASSERT_EQ(contexts.size(), 4u);
  constexpr size_t kThreads = 2;
  std::vector<std::string> differing[kThreads];
  size_t counts[kThreads] = {};
  auto work = [&](size_t thread) {
    for (size_t i = thread; i < hashes.size(); i += kThreads) {
      auto begin = static_cast<char32_t>(i) * block;
      std::string text = blockText(begin, begin + block, separator, contexts);
      std::vector<TokenId> ids = built->tokenizer.encode(text, {.parseSpecial = true});
      counts[thread] += ids.size();
      if (hashOf(ids) != hashes[i])
        differing[thread].push_back(std::to_string(i));
    }
  };
  std::thread second(work, 1);
  work(0);
  second.join();
  EXPECT_EQ(counts[0] + counts[1], recorded[name]["ids"].get<size_t>());
  for (const auto &list : differing)
    EXPECT_EQ(list, std::vector<std::string>())
        << "blocks of " << uint32_t{block} << " code points";
}

TEST(Scalars, SmolLM2) { checkScalars("smollm2"); }
TEST(Scalars, Llama3) { checkScalars("llama3"); }
TEST(Scalars, Llama4) { checkScalars("llama4"); }

} // namespace
} // namespace llama4::text::test
