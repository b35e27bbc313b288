//===- JsonTest.cpp - JSON of requests ------------------------------------===//

#include "runtime/serve/Json.h"

#include <gtest/gtest.h>

namespace llama4::serve {
namespace {

bool parses(const std::string &text, Json &out) { return !parseBody(text, out); }

TEST(ServeJson, EqualsTheLibrarysParse) {
  for (const char *text :
       {"{}", R"({"a":1,"b":[1,-2,3.5,true,false,null,"x"],"c":{"d":[[],{}],"e":{"f":""}}})",
        R"({"z":"\u00e9\ud83d\ude00","a":18446744073709551615,"b":-9223372036854775808})"}) {
    Json found;
    ASSERT_TRUE(parses(text, found)) << text;
    EXPECT_EQ(found.dump(), Json::parse(text).dump());
  }
}

TEST(ServeJson, Bounds) {
  Json out;
  auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(parses(nested(63), out));
  EXPECT_FALSE(parses(nested(64), out));
  EXPECT_FALSE(parses("{\"a\":" + std::string(1'000'000, '['), out));
  auto keys = [](int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i)
      text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":{}";
    return text + "}";
  };
  EXPECT_TRUE(parses(keys(1024), out));
  EXPECT_FALSE(parses(keys(1025), out));
  EXPECT_FALSE(parses(R"({"a":1,"a":1})", out));
  EXPECT_FALSE(parses(R"({"b":{"a":1,"c":{},"a":1}})", out));
  EXPECT_TRUE(parses(R"({"a":{"a":1},"b":[{"a":1},{"a":1}]})", out));
  for (const char *text : {"", "[]", "1", "{", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}", "{}x"})
    EXPECT_FALSE(parses(text, out)) << text;
}

TEST(ServeJson, FieldsHaveTypesAndRanges) {
  const Json object =
      Json::parse(R"({"i":3,"n":2.5,"b":true,"s":"x","o":null,"big":9223372036854775808,"l":[]})");
  Fields good(object);
  EXPECT_EQ(good.integer("i", 0, 3), 3);
  EXPECT_EQ(good.number("n", 2, 3), 2.5);
  EXPECT_EQ(good.number("i", 2, 3), 3);
  EXPECT_EQ(good.boolean("b"), true);
  EXPECT_EQ(good.string("s"), "x");
  EXPECT_EQ(good.integer("o", 0, 3), std::nullopt);
  EXPECT_EQ(good.string("absent"), std::nullopt);
  EXPECT_FALSE(good.error());
  auto fails = [&](auto &&read) {
    Fields fields(object, "x.");
    EXPECT_FALSE(read(fields));
    ASSERT_TRUE(fields.error());
    EXPECT_EQ(fields.error()->status, 400);
    EXPECT_EQ(fields.error()->param.substr(0, 2), "x.");
    EXPECT_FALSE(fields.integer("i", 0, 3)) << "the first error is the end";
  };
  fails([](Fields &f) { return f.integer("i", 0, 2); });
  fails([](Fields &f) { return f.integer("n", 0, 9); });
  fails([](Fields &f) { return f.integer("big", INT64_MIN, INT64_MAX); });
  fails([](Fields &f) { return f.integer("s", 0, 9); });
  fails([](Fields &f) { return f.number("n", 0, 2); });
  fails([](Fields &f) { return f.number("b", 0, 2); });
  fails([](Fields &f) { return f.boolean("i"); });
  fails([](Fields &f) { return f.string("l"); });
}

TEST(ServeJson, Errors) {
  const HttpResponse response = errorResponse({503, "full.", {}, "overloaded"});
  EXPECT_EQ(response.body, R"({"error":{"message":"full.","type":"overloaded_error","param":null,)"
                           R"("code":"overloaded"}})");
  ASSERT_EQ(response.fields.size(), 1u);
  EXPECT_EQ(response.fields[0].first, "Retry-After");
}

} // namespace
} // namespace llama4::serve
