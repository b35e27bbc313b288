//===- StopStringsTest.cpp - ends a text where a stop string begins -------===//

#include "runtime/engine/StopStrings.h"

#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// What passes of a text: at once, character by character, and in all cuts into two pieces. Each
/// piece that passes is UTF-8.
void expectPasses(const std::vector<std::string> &stops, const std::string &text,
                  const std::string &wanted, bool matched) {
  auto check = [&](const std::vector<std::string> &pieces) {
    StopStrings matcher = StopStrings::create(stops).take();
    std::string all;
    for (const std::string &piece : pieces) {
      std::string out;
      matcher.add(piece, out);
      EXPECT_TRUE(text::isValidUtf8(out)) << out;
      all += out;
      EXPECT_EQ(wanted.compare(0, all.size(), all), 0) << "too much passed: " << all;
    }
    EXPECT_EQ(matcher.matched(), matched) << text;
    matcher.finish(all);
    EXPECT_EQ(all, wanted) << text;
  };
  check({text});
  std::vector<std::string> characters;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = text::utf8Length(text[at]);
    check({text.substr(0, at), text.substr(at)});
    characters.push_back(text.substr(at, bytes));
    at += bytes;
  }
  check(characters);
}

TEST(StopStrings, EndTheTextWhereverItIsCut) {
  expectPasses({}, "all of it", "all of it", false);
  expectPasses({"END"}, "some text END and more", "some text ", true);
  expectPasses({"END"}, "some text EN", "some text EN", false);
  expectPasses({"END"}, "EEENEND", "EEEN", true);
  expectPasses({"END"}, "END", "", true);
  expectPasses({"aabaac"}, "xaabaabaac!", "xaab", true);
  expectPasses({"\n\n", "User:"}, "answer\nUser: next\n\n", "answer\n", true);
  expectPasses({"\n\n", "User:"}, "answer\n\nUser:", "answer", true);
}

TEST(StopStrings, TheFirstToBeCompleteCounts) {
  expectPasses({"abcd", "bc"}, "xabcd", "xa", true);
  expectPasses({"abc", "bc", "c"}, "xabcd", "x", true); // all end here: the longest
}

TEST(StopStrings, CutBetweenCharactersOnly) {
  expectPasses({"é"}, "caféè", "caf", true);
  expectPasses({"è"}, "cafééé", "cafééé", false); // the same first byte
  expectPasses({"日本語"}, "これは日本日本語です", "これは日本", true);
  expectPasses({"🙂🙂"}, "a🙂b🙃🙂🙂", "a🙂b🙃", true);
}

TEST(StopStrings, OnlyWhatMayBecomeAStopIsHeldBack) {
  StopStrings matcher = StopStrings::create({"stop"}).take();
  std::string out;
  matcher.add("hello st", out);
  EXPECT_EQ(out, "hello ");
  matcher.add("", out);
  EXPECT_EQ(out, "hello ");
  matcher.add("ay", out);
  EXPECT_EQ(out, "hello stay");
  matcher.add(" stop this", out);
  EXPECT_EQ(out, "hello stay ");
  matcher.add("nothing after", out);
  EXPECT_EQ(out, "hello stay ");
}

TEST(StopStrings, BadOnesAreRefused) {
  for (const std::string &bad : {std::string(), std::string(4097, 'a'), std::string("\xff")})
    EXPECT_EQ(StopStrings::create({"good", bad}).status().kind(), StatusKind::Usage);
}

} // namespace
} // namespace llama4::test
