//===- ChatMessagesTest.cpp - the conversation of a request ---------------===//

#include "runtime/serve/ChatMessages.h"

#include <gtest/gtest.h>

namespace llama4::serve {
namespace {

ChatMessages read(const char *text) {
  ChatMessages chat;
  std::optional<ApiError> wrong = readChatMessages(Json::parse(text), chat);
  EXPECT_FALSE(wrong) << wrong->message;
  return chat;
}

TEST(ChatMessages, TextsBecomeOneString) {
  const ChatMessages chat = read(R"([{"role":"developer","content":"a"},
    {"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}],"name":"x"}])");
  EXPECT_EQ(chat.messages, Json::parse(R"([{"role":"system","content":"a"},
    {"role":"user","content":"b\nc","name":"x"}])"));
  EXPECT_TRUE(chat.begun.empty());
  EXPECT_TRUE(chat.images.empty());
}

TEST(ChatMessages, AnAssistantsLastMessageBeginsTheAnswer) {
  const ChatMessages chat =
      read(R"([{"role":"user","content":"a"},{"role":"assistant","content":"The"}])");
  EXPECT_EQ(chat.begun, "The");
  EXPECT_EQ(chat.messages.size(), 1u);
  EXPECT_TRUE(read(R"([{"role":"assistant","content":"The"}])").begun.empty());
  EXPECT_EQ(read(R"([{"role":"user","content":"a"},{"role":"assistant"}])").messages.size(), 1u);
}

TEST(ChatMessages, ImagesInEachForm) {
  const ChatMessages chat = read(R"([{"role":"user","content":[
    {"type":"image_url","image_url":{"url":"data:1","detail":"low"}},
    {"type":"text","text":"?"},
    {"type":"image_url","image_url":"data:2"},
    {"type":"input_image","image_url":"data:3"},
    {"type":"image","image":"data:4"},
    {"type":"image","url":"data:5"},
    {"type":"image","image_url":{"url":"data:6"}},
    {"type":"image","image":{"url":"data:7"}}]},
    {"role":"user","content":[{"type":"text","text":"x"}]}])");
  ASSERT_EQ(chat.images.size(), 7u);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(chat.images[i].reference, "data:" + std::to_string(i + 1));
    EXPECT_EQ(chat.images[i].param,
              "messages[0].content[" + std::to_string(i == 0 ? 0 : i + 1) + "]");
  }
  const Json image = {{"type", "image"}};
  EXPECT_EQ(
      chat.messages[0]["content"],
      Json::array(
          {image, {{"type", "text"}, {"text", "?"}}, image, image, image, image, image, image}));
  EXPECT_EQ(chat.messages[1]["content"], "x");
}

TEST(ChatMessages, RefusesWithThePlace) {
  auto placeOf = [](const std::string &text) {
    ChatMessages chat;
    std::optional<ApiError> wrong = readChatMessages(Json::parse(text), chat);
    return wrong ? wrong->param : std::string("none");
  };
  EXPECT_EQ(placeOf("[]"), "messages");
  EXPECT_EQ(placeOf("null"), "messages");
  EXPECT_EQ(placeOf(R"([{"role":"user","content":"a"},1])"), "messages[1]");
  EXPECT_EQ(placeOf(R"([{"content":"a"}])"), "messages[0].role");
  EXPECT_EQ(placeOf(R"([{"role":"root","content":"a"}])"), "messages[0].role");
  EXPECT_EQ(placeOf(R"([{"role":"user"}])"), "messages[0].content");
  EXPECT_EQ(placeOf(R"([{"role":"user","content":1}])"), "messages[0].content");
  for (const char *part : {"1", "{}", R"({"type":1})", R"({"type":"text"})", R"({"type":"image"})",
                           R"({"type":"image","image":""})", R"({"type":"image_url"})",
                           R"({"type":"image_url","url":"data:"})", R"({"type":"video"})",
                           R"({"type":"image_url","image_url":{"url":1}})"})
    EXPECT_EQ(placeOf(R"([{"role":"user","content":[)" + std::string(part) + "]}]"),
              "messages[0].content[0]")
        << part;
  std::string many;
  for (size_t i = 0; i <= mostImages; ++i)
    many += std::string(i ? "," : "") + R"({"type":"image","url":"data:"})";
  EXPECT_EQ(placeOf(R"([{"role":"user","content":[)" + many + "]}]"), "messages[0].content[16]");
}

} // namespace
} // namespace llama4::serve
