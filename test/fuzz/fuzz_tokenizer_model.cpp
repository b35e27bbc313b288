//===- fuzz_tokenizer_model.cpp - hostile tiktoken files -------------------===//
//
// The first byte chooses the family whose control tokens follow; the rest is the file.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"
#include "runtime/text/build/TokenizerBuilder.h"
#include "test/fuzz/Fuzz.h"

using namespace llama4::text;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const std::string_view file(reinterpret_cast<const char *>(data + 1), size - 1);
  (void)isTiktoken(file);
  auto section = buildFromTiktoken(file, static_cast<TiktokenFamily>(data[0] % 3));
  if (!section.ok()) {
    llama4::fuzz::refuse(section.status());
    return 0;
  }
  auto tokenizer = Tokenizer::fromSection(*section);
  if (!tokenizer.ok() || !tokenizer->verify().ok())
    std::abort(); // what the builder writes, the reader takes
  (void)tokenizer->decode(tokenizer->encode(file.substr(0, 4096), {.parseSpecial = true}));
  llama4::fuzz::take();
  return 0;
}
