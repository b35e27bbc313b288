//===- ConversationTest.cpp - whole conversations against jinja2 and Meta *- C++ -*-===//
//
// conversations.json: 50 inputs through every template of test/data/templates, and those of the
// demo models, as jinja2 renders them. meta_chat.json and the reference outputs: the ids of Meta's
// own formatters.
//
//===----------------------------------------------------------------------===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/ChatTemplate.h"
#include "runtime/text/build/TemplateCompiler.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

namespace llama4::text::test {
namespace {

/// What tools/dev/template_cases.py gave jinja2.
ChatInput inputOf(const Json &given, std::string &bos) {
  ChatInput input;
  input.messages = given["messages"];
  input.tools = given.value("tools", Json());
  input.extra = given.value("extra", Json::object());
  input.addGenerationPrompt = given.value("add_generation_prompt", true);
  bos = given.value("bos_token", "");
  input.bosToken = bos;
  input.now = 1700000000;
  return input;
}

/// LLAMA4_CONVERSATIONS may name another recording (template_cases.py --compare).
TEST(Conversations, AsJinja2RendersThem) {
  setenv("TZ", "UTC", 1);
  const char *other = std::getenv("LLAMA4_CONVERSATIONS");
  Json recorded = Json::parse(readFile(
      other != nullptr ? std::filesystem::path(other) : dataPath("templates/conversations.json")));
  const Json &inputs = recorded["inputs"];
  ASSERT_EQ(inputs.size(), 50u);
  size_t rendered = 0;
  for (const Json &form : recorded["templates"]) {
    auto file = form["file"].get<std::string>();
    if (!std::filesystem::exists(dataPath(file).parent_path())) {
      std::cout << "skipped: no " << file << "\n"; // of a demo model that is not in the tree
      continue;
    }
    auto compiled = compileTemplate(readFile(dataPath(file)));
    ASSERT_TRUE(compiled.ok()) << file << ": " << compiled.status().message();
    std::vector<std::byte> section = compiled.take();
    auto opened = ChatTemplate::fromSection(section);
    ASSERT_TRUE(opened.ok()) << file << ": " << opened.status().message();
    ASSERT_EQ(form["results"].size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Json &want = form["results"][i];
      std::string bos;
      auto segments = opened->render(inputOf(inputs[i], bos));
      if (want.contains("error")) {
        EXPECT_FALSE(segments.ok()) << file << ", input " << i << ": " << want["error"];
        continue;
      }
      ASSERT_TRUE(segments.ok()) << file << ", input " << i << ": " << segments.status().message();
      EXPECT_EQ(joinSegments(*segments), want["output"].get<std::string>())
          << file << ", input " << i;
      ++rendered;
    }
  }
  EXPECT_GE(rendered, other != nullptr ? 1u : 410u);
}

/// Ids of one conversation through our template of Meta's format.
std::vector<TokenId> idsThrough(const ChatTemplate &form, const Tokenizer &tokenizer,
                                const Json &messages, const Json &toolFormat) {
  ChatInput input;
  input.messages = messages;
  input.extra["tool_prompt_format"] = toolFormat;
  input.bosToken = "<|begin_of_text|>";
  auto segments = form.render(input);
  EXPECT_TRUE(segments.ok()) << segments.status().message();
  return segments.ok() ? tokenizer.encodeSegments(*segments) : std::vector<TokenId>();
}

/// Meta's formatter cut the images; how is in its text: rows end with a separator.
void addTiles(Json &messages, const Json &dialog) {
  if (!dialog.contains("tiles"))
    return;
  auto text = dialog["rendered"].get<std::string>();
  size_t at = 0;
  size_t image = 0;
  for (Json &message : messages)
    for (Json &part : message["content"]) {
      if (part["type"] != "image")
        continue;
      auto pieces = dialog["tiles"][image++][0].get<size_t>();
      at = text.find("<|image_start|>", at) + 1;
      size_t end = text.find("<|image_end|>", at);
      size_t rows = 0;
      for (size_t i = text.find("<|tile_y", at); i < end; i = text.find("<|tile_y", i + 1))
        ++rows;
      part["tiles"] = pieces == 1 ? Json::array({1, 1}) : Json::array({rows, (pieces - 1) / rows});
    }
}

void checkMetaFormat(const std::string &name, TiktokenFamily family, const std::string &file) {
  std::filesystem::path model = metaTokenizerPath(name);
  if (model.empty())
    GTEST_SKIP() << name << " vocabulary is not here";
  BuiltTokenizer built = buildMeta(model, family);
  auto compiled = compileTemplate(readFile(dataPath("templates/" + file)));
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();
  std::vector<std::byte> section = compiled.take();
  auto form = ChatTemplate::fromSection(section);
  ASSERT_TRUE(form.ok());
  Json recorded = Json::parse(readFile(dataPath("templates/meta_chat.json")))[name];
  ASSERT_GE(recorded.size(), 45u);
  for (const Json &test : recorded) {
    std::istringstream list(test["ids"].get<std::string>());
    std::vector<TokenId> want{std::istream_iterator<TokenId>(list), {}};
    EXPECT_EQ(idsThrough(*form, built.tokenizer, test["messages"], test["tool_prompt_format"]),
              want)
        << test["tool_prompt_format"] << test["messages"];
  }
  std::filesystem::path references = oraclePath("tokenizers/" + name + "/chat.json");
  if (references.empty())
    return;
  Json dialogs = Json::parse(readFile(references));
  EXPECT_GE(dialogs.size(), 13u);
  for (const Json &dialog : dialogs) {
    Json messages = dialog["messages"];
    addTiles(messages, dialog);
    EXPECT_EQ(idsThrough(*form, built.tokenizer, messages, dialog["tool_prompt_format"]),
              idsOf(dialog["ids"]))
        << dialog["name"];
  }
}

TEST(Conversations, MetaLlama3) {
  checkMetaFormat("llama3", TiktokenFamily::Llama3Vision, "meta3.jinja");
}
TEST(Conversations, MetaLlama4) {
  checkMetaFormat("llama4", TiktokenFamily::Llama4, "meta4.jinja");
}

} // namespace
} // namespace llama4::text::test
