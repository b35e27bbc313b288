//===- fuzz_tokenizer_section.cpp - hostile tokenizer sections --*- C++ -*-===//
//
// The input is an overlay: pairs of (offset, byte) written over a good section, so that most inputs
// get past the header; and, when it starts with 0xff, the section itself.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"
#include "runtime/text/build/TokenizerBuilder.h"
#include "test/fuzz/Fuzz.h"

#include <cstdint>
#include <cstdlib>

using namespace llama4::text;

static const std::vector<std::byte> &goodSection() {
  static const std::vector<std::byte> section = [] {
    static constexpr std::string_view tokens[] = {"a",        "b",   "ab", "abb",
                                                  "\xc4\xa0", "<s>", "u",  "<s>u"};
    static constexpr int32_t types[] = {1, 1, 1, 1, 1, 3, 4, 3};
    static constexpr std::string_view merges[] = {"a b", "ab b"};
    GgufVocabulary vocabulary;
    vocabulary.model = "gpt2";
    vocabulary.pre = "llama4";
    vocabulary.tokens = tokens;
    vocabulary.tokenTypes = types;
    vocabulary.merges = merges;
    vocabulary.bosId = 5;
    auto built = buildFromGguf(vocabulary);
    return built.ok() ? built.take() : std::vector<std::byte>();
  }();
  return section;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<std::byte> section = goodSection();
  if (section.empty())
    std::abort();
  if (size > 0 && data[0] == 0xff) {
    const auto *bytes = reinterpret_cast<const std::byte *>(data + 1);
    section.assign(bytes, bytes + size - 1);
  } else {
    for (size_t i = 0; i + 2 < size; i += 3)
      section[(data[i] | static_cast<size_t>(data[i + 1]) << 8) % section.size()] =
          static_cast<std::byte>(data[i + 2]);
  }
  auto tokenizer = Tokenizer::fromSection(section);
  if (!tokenizer.ok()) {
    llama4::fuzz::refuse(tokenizer.status());
    return 0;
  }
  if (llama4::Status status = tokenizer->verify(); !status.ok())
    llama4::fuzz::refuse(status);
  else
    llama4::fuzz::take();
  std::string_view text(reinterpret_cast<const char *>(data), size);
  std::vector<TokenId> ids = tokenizer->encode(text, {.parseSpecial = true, .addBos = true});
  std::vector<TokenId> more = tokenizer->encode("abbab<s>u aab\xf0\x9f");
  ids.insert(ids.end(), more.begin(), more.end());
  (void)tokenizer->decode(ids);
  return 0;
}
