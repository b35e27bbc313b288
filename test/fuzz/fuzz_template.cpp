//===- fuzz_template.cpp - hostile chat templates and sections --*- C++ -*-===//

#include "runtime/text/ChatTemplate.h"
#include "runtime/text/build/TemplateCompiler.h"
#include "test/fuzz/Fuzz.h"

#include <cstdint>
#include <cstdlib>

using namespace llama4::text;

static void render(std::span<const std::byte> section) {
  auto opened = ChatTemplate::fromSection(section);
  if (!opened.ok())
    return llama4::fuzz::refuse(opened.status());
  ChatInput input;
  input.messages = {{{"role", "user"}, {"content", "h\xc3\xa9llo <|x|>"}},
                    {{"role", "assistant"}, {"content", {{{"type", "text"}, {"text", "t"}}}}}};
  input.bosToken = "<s>";
  input.now = 0;
  if (auto text = opened->render(input); !text.ok())
    llama4::fuzz::refuse(text.status());
  else
    llama4::fuzz::take();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  // 0xff: a section; 0xfe: a template whose section is then damaged; else a template.
  if (data[0] == 0xff) {
    std::vector<std::byte> section(reinterpret_cast<const std::byte *>(data + 1),
                                   reinterpret_cast<const std::byte *>(data + size));
    render(section);
    return 0;
  }
  bool damage = data[0] == 0xfe && size > 7;
  size_t skip = damage ? 7 : 0;
  auto section = compileTemplate({reinterpret_cast<const char *>(data) + skip, size - skip});
  if (!section.ok()) {
    llama4::fuzz::refuse(section.status());
    return 0;
  }
  for (size_t i = 1; damage && i + 2 < 7; i += 3)
    (*section)[(data[i] | static_cast<size_t>(data[i + 1]) << 8) % section->size()] =
        static_cast<std::byte>(data[i + 2]);
  render(*section);
  return 0;
}
