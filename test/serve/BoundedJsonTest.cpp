//===- BoundedJsonTest.cpp - JSON from outside ----------------------------===//

#include "runtime/serve/BoundedJson.h"

#include <gtest/gtest.h>

namespace llama4::serve {
namespace {

std::string repeated(const std::string &item, size_t bytes) {
  std::string text = "[" + item;
  while (text.size() + item.size() + 2 < bytes)
    text += "," + item;
  return text + "]";
}

/// Sorts of text for which a parser that looks at what it has built for each new value would need
/// trillions of looks, a million times as many as one that doesn't: it would not end.
TEST(BoundedJson, EightMebibytesOfAnythingEnd) {
  constexpr size_t bytes = 8u << 20;
  for (const char *item : {"{}", "[]", "[{}]", "\"\"", "0", "{\"a\":{\"b\":[]}}", "[[[[{}]]]]"}) {
    Json out;
    const std::string text = repeated(item, bytes);
    const std::string wrong = parseBounded(text, out);
    if (text.size() / (std::string_view(item).size() + 1) > JsonBounds().values)
      EXPECT_EQ(wrong, "JSON with more than 2097152 values") << item;
    // The same without that bound: every value is built.
    Json all;
    EXPECT_EQ(parseBounded(text, all, {.values = SIZE_MAX}), "") << item;
    EXPECT_EQ(all.size(), (text.size() - 1) / (std::string_view(item).size() + 1)) << item;
  }
  Json out;
  EXPECT_EQ(parseBounded(std::string(bytes, '['), out), "JSON nested deeper than 64");
  EXPECT_EQ(parseBounded("\"" + std::string(bytes, 'a') + "\"", out), "");
  EXPECT_EQ(out.get_ref<const std::string &>().size(), bytes);
  EXPECT_EQ(parseBounded("\"" + std::string(bytes, 'a'), out), "text that is no JSON");
  EXPECT_EQ(parseBounded(std::string(bytes, ' '), out), "text that is no JSON");
}

TEST(BoundedJson, ReleaseLeavesNothing) {
  for (const char *text : {"1", "[]", R"([1,"a",[{"b":[{}]}],null])", R"({"a":{"b":["x"]}})"}) {
    Json value = Json::parse(text);
    release(value);
    EXPECT_TRUE(value.is_null()) << text;
  }
}

TEST(BoundedJson, CountsEachValueOnce) {
  const std::string text = R"({"a":[1,"x",{"b":null}],"c":true})"; // 7 values
  Json out;
  EXPECT_EQ(parseBounded(text, out, {.values = 7}), "");
  EXPECT_EQ(out, Json::parse(text));
  EXPECT_EQ(parseBounded(text, out, {.values = 6}), "JSON with more than 6 values");
}

TEST(BoundedJson, SaysWhatWasFound) {
  Json out;
  EXPECT_EQ(parseBounded("[[[]]]", out, {.depth = 3}), "");
  EXPECT_EQ(parseBounded("[[[]]]", out, {.depth = 2}), "JSON nested deeper than 2");
  EXPECT_EQ(parseBounded(R"({"a":1,"b":2})", out, {.keys = 2}), "");
  EXPECT_EQ(parseBounded(R"({"a":1,"b":2})", out, {.keys = 1}), "an object with more than 1 keys");
  EXPECT_EQ(parseBounded(R"({"a":1,"a":2})", out), "an object with the same key twice");
  EXPECT_EQ(parseBounded("{", out), "text that is no JSON");
}

} // namespace
} // namespace llama4::serve
