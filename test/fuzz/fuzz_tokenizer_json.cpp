//===- fuzz_tokenizer_json.cpp - hostile tokenizer.json files ---*- C++ -*-===//

#include "runtime/text/Tokenizer.h"
#include "runtime/text/build/TokenizerBuilder.h"
#include "test/fuzz/Fuzz.h"

#include <cstdint>
#include <cstdlib>

using namespace llama4::text;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // tokenizer.json, and after a NUL tokenizer_config.json.
  std::string_view text(reinterpret_cast<const char *>(data), size);
  size_t cut = text.find('\0');
  std::string_view config = cut == std::string_view::npos ? "" : text.substr(cut + 1);
  auto section = buildFromHfJson(text.substr(0, cut), config);
  if (!section.ok()) {
    llama4::fuzz::refuse(section.status());
    return 0;
  }
  llama4::fuzz::take();
  auto tokenizer = Tokenizer::fromSection(*section);
  if (!tokenizer.ok() || !tokenizer->verify().ok())
    std::abort(); // what the builder writes, the reader takes
  (void)tokenizer->decode(tokenizer->encode(text, {.parseSpecial = true, .addBos = true}));
  return 0;
}
