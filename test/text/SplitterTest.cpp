//===- SplitterTest.cpp - pieces as the tokenizers package cuts them *- C++ -*-===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/Splitter.h"
#include "runtime/text/UnicodeClasses.h"
#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

namespace llama4::text::test {
namespace {

struct Kind {
  const char *name;
  SplitKind split;
  DigitKind digits;
};
constexpr Kind kKinds[] = {
    {"gpt2", SplitKind::Gpt2, DigitKind::Keep},
    {"llama3", SplitKind::Llama3, DigitKind::Keep},
    {"llama4", SplitKind::Llama4, DigitKind::Keep},
    {"smollm", SplitKind::Gpt2, DigitKind::Individual},
    {"digit_runs", SplitKind::Gpt2, DigitKind::Runs},
};

TEST(Splitter, RecordedCases) {
  Json recorded = Json::parse(readFile(dataPath("tokenizers/splitters.json")));
  for (const Kind &kind : kKinds) {
    ASSERT_EQ(recorded[kind.name].size(), 400u);
    for (const Json &test : recorded[kind.name]) {
      std::string text = test[0].get<std::string>();
      Splitter splitter(kind.split, kind.digits, text);
      std::vector<size_t> sizes;
      for (auto piece = splitter.next(); !piece.empty(); piece = splitter.next())
        sizes.push_back(piece.size());
      EXPECT_EQ(sizes, test[1].get<std::vector<size_t>>()) << kind.name << ": " << test[0].dump();
    }
  }
}

TEST(Splitter, WithoutExpressionTheTextIsOnePiece) {
  Splitter splitter(SplitKind::None, DigitKind::Keep, "a b\nc");
  EXPECT_EQ(splitter.next(), "a b\nc");
  EXPECT_EQ(splitter.next(), "");
}

/// Sizes of the classes as measured on the package: a damaged table does not keep them.
TEST(UnicodeClasses, Counts) {
  size_t letters = 0;
  size_t numbers = 0;
  size_t spaces = 0;
  for (char32_t code = 0; code <= 0x10ffff; ++code) {
    uint32_t classes = unicodeClasses(code);
    letters += (classes & kLetter) != 0;
    numbers += (classes & kNumber) != 0;
    spaces += (classes & kSpace) != 0;
  }
  EXPECT_EQ(letters, 141028u);
  EXPECT_EQ(numbers, 1911u);
  EXPECT_EQ(spaces, 25u);
}

TEST(UnicodeClasses, Case) {
  EXPECT_EQ(toUpper("stra\xc3\x9f"
                    "e \xc3\xa9\xc3\xbf"),
            "STRASSE \xc3\x89\xc5\xb8");
  EXPECT_EQ(toLower("\xc3\x89\xc5\xb8 \xc4\xb0"), "\xc3\xa9\xc3\xbf i\xcc\x87");
}

TEST(Utf8, BrokenInput) {
  EXPECT_EQ(replaceInvalidUtf8("a\xf0\x9f\x98z", false), "a\xef\xbf\xbdz");
  EXPECT_EQ(replaceInvalidUtf8("\xed\xa0\x80", false), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(replaceInvalidUtf8("\xed\xa0\x80", true), "\xef\xbf\xbd");
  EXPECT_EQ(replaceInvalidUtf8("\xc0\xaf\xf5\x80", false),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(replaceInvalidUtf8("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", false),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41"); // Unicode, table 3-8
  EXPECT_TRUE(isValidUtf8("\xf4\x8f\xbf\xbf"));
  EXPECT_FALSE(isValidUtf8("\xf4\x90\x80\x80"));
}

} // namespace
} // namespace llama4::text::test
