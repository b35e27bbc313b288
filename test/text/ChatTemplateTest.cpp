//===- ChatTemplateTest.cpp - templates against recorded jinja2 output *- C++ -*-===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/ChatTemplate.h"
#include "runtime/text/build/TemplateCompiler.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace llama4::text::test {
namespace {

struct Built {
  std::vector<std::byte> section;
  Result<ChatTemplate> opened = Status::internal("not compiled");
};

Built build(std::string_view source) {
  Built built;
  auto compiled = compileTemplate(source);
  if (!compiled.ok())
    built.opened = compiled.status();
  else
    built.opened = ChatTemplate::fromSection(built.section = compiled.take());
  return built;
}

Result<std::vector<TextSegment>> renderWith(std::string_view source, const ChatInput &input) {
  Built built = build(source);
  if (!built.opened.ok())
    return built.opened.status();
  return built.opened->render(input);
}

std::string renderText(std::string_view source, const ChatInput &input = {}) {
  auto segments = renderWith(source, input);
  return segments.ok() ? joinSegments(*segments) : "error: " + segments.status().message();
}

std::string compileError(std::string_view source) {
  auto compiled = compileTemplate(source);
  return compiled.ok() ? "no error" : compiled.status().message();
}

TEST(ChatTemplate, RecordedCases) {
  setenv("TZ", "UTC", 1);
  Json cases = Json::parse(readFile(dataPath("templates/cases.json")));
  ASSERT_GT(cases.size(), 60u);
  for (const Json &test : cases) {
    const Json &given = test["input"];
    ChatInput input;
    input.messages = given["messages"];
    input.tools = given.value("tools", Json());
    input.extra = given.value("extra", Json::object());
    input.addGenerationPrompt = given.value("add_generation_prompt", true);
    std::string bos = given.value("bos_token", "");
    input.bosToken = bos;
    input.now = 1700000000;
    auto segments = renderWith(test["template"].get<std::string>(), input);
    std::string name = test["name"].get<std::string>();
    if (test.contains("error")) {
      EXPECT_FALSE(segments.ok()) << name;
      continue;
    }
    ASSERT_TRUE(segments.ok()) << name << ": " << segments.status().message();
    EXPECT_EQ(joinSegments(*segments), test["output"].get<std::string>()) << name;
  }
}

TEST(ChatTemplate, RaisedMessageIsKept) {
  EXPECT_EQ(renderText("{{ raise_exception('roles must alternate') }}"),
            "error: the chat template refuses these messages: roles must alternate");
}

TEST(ChatTemplate, ProvenanceFollowsEveryByte) {
  ChatInput input;
  input.messages = Json::parse(R"([{"role": "user", "content": " <|eot|> "}])");
  input.bosToken = "<|bos|>";
  auto segments = renderWith("{{ bos_token }}{% for m in messages %}<|h|>{{ m.role }}<|/h|>"
                             "{{ m['content'] | trim + '<|eot|>' }}{{ m | tojson }}{% endfor %}",
                             input);
  ASSERT_TRUE(segments.ok());
  std::vector<TextSegment> want = {
      {"<|bos|><|h|>", false}, {"user", true},    {"<|/h|>", false}, {"<|eot|>", true},
      {"<|eot|>{\"", false},   {"role", true},    {"\": \"", false}, {"user", true},
      {"\", \"", false},       {"content", true}, {"\": \"", false}, {" <|eot|> ", true},
      {"\"}", false}};
  EXPECT_EQ(*segments, want);
  auto joined = renderWith("{{ messages[0].content.replace('|', '<|x|>').upper() }}", input);
  ASSERT_TRUE(joined.ok());
  std::vector<TextSegment> replaced = {
      {" <", true}, {"<|X|>", false}, {"EOT", true}, {"<|X|>", false}, {"> ", true}};
  EXPECT_EQ(*joined, replaced);
}

TEST(ChatTemplate, UnsupportedIsACompileErrorWithItsLine) {
  EXPECT_EQ(compileError("\n{% include 'x' %}"),
            "chat template, line 2: statement 'include' is not supported");
  EXPECT_EQ(compileError("{{ x | pprint }}"),
            "chat template, line 1: filter 'pprint' is not supported");
  EXPECT_EQ(compileError("{{ x is escaped }}"),
            "chat template, line 1: test 'escaped' is not supported");
  EXPECT_EQ(compileError("a\nb\n{{ x.append(1) }}"),
            "chat template, line 3: method 'append' is not supported");
  EXPECT_EQ(compileError("{{ lipsum() }}"),
            "chat template, line 1: function 'lipsum' is not supported");
  EXPECT_EQ(compileError("{{ x | map('pprint') }}"),
            "chat template, line 1: filter 'pprint' is not supported");
  EXPECT_EQ(compileError("{% for x in y recursive %}{% endfor %}"),
            "chat template, line 1: recursive loops are not supported");
  for (const char *broken :
       {"{{", "{% if %}", "{% if x %}", "{{ 'a }}", "{# ", "{{ a b }}", "{{ (1 }}", "{% endif %}",
        "{% for x %}{% endfor %}", "{{ [1 }}", "{{ {1 } }}", "{% set 1 = 2 %}", "{{ 1 + }}",
        "{{ x[] }}", "{% break %}", "{% raw %}", "{{ f(a=1, 2) }}", "{{ \"\\xg\" }}", "\xff"})
    EXPECT_NE(compileError(broken), "no error") << broken;
}

TEST(ChatTemplate, Limits) {
  auto endsWith = [](const std::string &text, std::string_view part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(endsWith(renderText("{% for a in range(2000) %}{% for b in range(2000) %}"
                                  "{% endfor %}{% endfor %}"),
                       "needs more than 1000000 steps"));
  EXPECT_TRUE(endsWith(renderText("{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(40) %}"
                                  "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"),
                       "larger than 4194304 bytes"));
  EXPECT_TRUE(
      endsWith(renderText("{% set x = 'a' * 3000000 %}{{ x }}{{ x }}"), "the output is larger"));
  EXPECT_TRUE(
      endsWith(renderText("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "nesting is deeper"));
  EXPECT_TRUE(endsWith(renderText("{% set ns = namespace(x=1) %}{% for i in range(100) %}"
                                  "{% set ns.x = [ns.x, ns.x] %}{% endfor %}"),
                       "nested deeper than 64"));
  // Sharing makes this value small in memory and huge as text.
  EXPECT_TRUE(endsWith(renderText("{% set ns = namespace(x=1) %}{% for i in range(60) %}"
                                  "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"),
                       "error: "));
  EXPECT_TRUE(endsWith(
      compileError(std::string(100, '(').insert(0, "{{ ") + "1" + std::string(100, ')') + " }}"),
      "nesting is deeper than 64"));
  ChatInput deep;
  for (int i = 0; i < 80; ++i)
    deep.messages = Json::array({deep.messages});
  EXPECT_TRUE(endsWith(renderText("x", deep), "nested deeper than 64"));
}

/// Each limit itself is allowed, and the next thing is not.
TEST(ChatTemplate, LimitsToTheByte) {
  auto fails = [](const std::string &text) { return text.starts_with("error: "); };
  // 4 MiB of output, in pieces.
  std::string mebibytes = "{% set x = 'a' * 1048576 %}{{ x }}{{ x }}{{ x }}{{ x }}";
  EXPECT_EQ(renderText(mebibytes).size(), 4u << 20);
  EXPECT_TRUE(fails(renderText(mebibytes + "b")));
  // The depth of what a request sends.
  auto nested = [](int depth) {
    Json value = "x";
    for (int i = 0; i < depth; ++i)
      value = Json::array({value});
    ChatInput input;
    input.extra["v"] = value;
    return input;
  };
  EXPECT_EQ(renderText("{{ v | length }}", nested(64)), "1");
  EXPECT_TRUE(fails(renderText("{{ v | length }}", nested(65))));
  EXPECT_TRUE(fails(renderText("{{ v | length }}", nested(1000))));
  // The depth of a template's own nesting.
  auto parentheses = [](size_t depth) {
    return compileError("{{ " + std::string(depth, '(') + "1" + std::string(depth, ')') + " }}");
  };
  size_t deepest = 1;
  while (deepest < 200 && parentheses(deepest + 1) == "no error")
    ++deepest;
  EXPECT_LE(deepest, 64u);
  EXPECT_GE(deepest, 24u); // a pair of them is two levels
  auto blocks = [](int depth) {
    std::string source;
    for (int i = 0; i < depth; ++i)
      source += "{% if true %}";
    for (int i = 0; i < depth; ++i)
      source += "{% endif %}";
    return compileError(source);
  };
  EXPECT_EQ(blocks(40), "no error");
  EXPECT_NE(blocks(65), "no error");
  EXPECT_NE(blocks(100000), "no error");
  // Steps: a loop of n costs some steps each turn, whatever they are exactly.
  auto turns = [](int count) {
    return "{% for i in range(" + std::to_string(count) + ") %}{% endfor %}";
  };
  EXPECT_EQ(renderText(turns(100000)), "");
  EXPECT_TRUE(fails(renderText(turns(1000001))));
}

TEST(ChatTemplate, LimitsOfARequest) {
  ChatInput input;
  for (size_t i = 0; i < kMaxChatMessages; ++i)
    input.messages.push_back({{"role", "user"}, {"content", "x"}});
  for (size_t i = 0; i < kMaxChatTools; ++i)
    input.tools.push_back({{"name", "t"}});
  EXPECT_EQ(renderText("{{ messages | length }} {{ tools | length }}", input), "4096 128");
  input.tools.push_back({{"name", "t"}});
  EXPECT_EQ(renderText("", input), "error: found 129 tools, expected at most 128");
  input.tools = Json();
  input.messages.push_back(input.messages[0]);
  EXPECT_EQ(renderText("", input), "error: found 4097 messages, expected at most 4096");
}

/// Small templates that want much: each ends soon, whatever the request.
TEST(ChatTemplate, BombsEndSoon) {
  for (const char *bomb :
       {"{% for a in range(10000000000) %}{% endfor %}",
        "{% for a in range(3000) %}{% for b in range(3000) %}{{ a }}{% endfor %}{% endfor %}",
        "{{ 'a' * 9223372036854775807 }}", "{{ 9 ** 9 ** 9 }}", "{{ [0] * 1000000000 }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = "
        "ns.x.replace('a', ns.x) %}{% endfor %}",
        "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% set x = 'a' * 1000000 %}{% for i in range(9999) %}{% set y = x | upper %}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for i in range(9999) %}{{ x.split('a') | length }}{% endfor "
        "%}",
        "{% set x = 'ab' * 1000000 %}{% for i in range(9999) %}{{ x.count('b') }}{% endfor %}",
        "{% set x = range(100000) | list %}{% for i in x %}{{ i in x }}{% endfor %}",
        "{% set x = '%s' * 1000000 %}{{ x | format('a') }}",
        "{% set x = range(100000) | list %}{% for i in x %}{{ x | sort | first }}{% endfor %}",
        "{% set x = range(100000) | list %}{% for i in x %}{{ x | tojson | length }}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{{ x == x ~ '' }}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{{ x[::-1] | length }}{% endfor "
        "%}"}) {
    const std::clock_t start = std::clock();
    std::string text = renderText(bomb);
    EXPECT_TRUE(text.starts_with("error: ")) << bomb << ": " << text.size() << " bytes";
    EXPECT_LT(std::clock() - start, 20 * CLOCKS_PER_SEC) << bomb;
  }
}

TEST(ChatTemplate, DamagedSectionsAreRefusedOrHarmless) {
  Json cases = Json::parse(readFile(dataPath("templates/cases.json")));
  ChatInput input;
  input.messages = Json::parse(R"([{"role": "user", "content": "hello"}])");
  int refused = 0;
  for (const Json &test : cases) {
    auto compiled = compileTemplate(test["template"].get<std::string>());
    ASSERT_TRUE(compiled.ok());
    std::vector<std::byte> good = compiled.take();
    for (size_t cut = 0; cut < good.size(); cut += 7)
      EXPECT_FALSE(ChatTemplate::fromSection(std::span(good).first(cut)).ok());
    for (size_t at = 0; at < good.size(); at += 3)
      for (unsigned flip : {1u, 0x80u, 0xffu}) {
        std::vector<std::byte> bad = good;
        bad[at] ^= static_cast<std::byte>(flip);
        auto opened = ChatTemplate::fromSection(bad);
        if (opened.ok())
          (void)opened->render(input);
        else
          ++refused;
      }
  }
  EXPECT_GT(refused, 10000);
}

/// The templates of the reference checkpoints compile, and with the tokenizer give the ids of
/// Meta's own chat formatter, control-token text inside of messages included.
void checkReference(const std::string &name, const std::string &model) {
  std::filesystem::path file = oraclePath(model + "/chat_template.jinja");
  std::filesystem::path folder = oraclePath("tokenizers/" + name);
  if (file.empty() || folder.empty())
    GTEST_SKIP() << name << " is not here";
  Built built = build(readFile(file));
  ASSERT_TRUE(built.opened.ok()) << built.opened.status().message();
  BuiltTokenizer tokenizer = buildHf(folder / "tokenizer.json.xz");
  int checked = 0;
  for (const Json &dialog : Json::parse(readFile(folder / "chat.json"))) {
    // The Llama 3 template trims message text, which Meta's formatter does not.
    bool trimmed = name == "llama3" && dialog["name"] == "whitespace";
    bool plain = dialog.contains("ids") && !dialog.contains("tiles") && !trimmed;
    for (const Json &message : dialog["messages"]) {
      std::string role = message["role"].get<std::string>();
      plain = plain && (role == "user" || role == "system" || role == "assistant") &&
              message.size() == 2 && message.dump().find("\"image\"") == std::string::npos;
    }
    if (!plain)
      continue;
    ChatInput input;
    input.messages = dialog["messages"];
    input.bosToken = "<|begin_of_text|>";
    auto segments = built.opened->render(input);
    ASSERT_TRUE(segments.ok()) << segments.status().message();
    EXPECT_EQ(tokenizer.tokenizer.encodeSegments(*segments), idsOf(dialog["ids"]))
        << dialog["name"];
    ++checked;
  }
  EXPECT_GE(checked, 3);
}

TEST(ChatTemplate, Llama3Reference) { checkReference("llama3", "llama3-text-tied"); }
TEST(ChatTemplate, Llama4Reference) { checkReference("llama4", "llama4-text-scout"); }

} // namespace
} // namespace llama4::text::test
