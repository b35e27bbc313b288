// Overlays on the target's own section, and whole sections.
#include "runtime/text/build/TokenizerBuilder.h"
#include "test/fuzz/SeedFiles.h"

std::vector<std::string> llama4::fuzz::seeds() {
  std::vector<std::string> inputs = {std::string("\0", 1), std::string("\x44\0\2", 3)};
  for (const std::string &json :
       {smallTokenizer(), readData("oracles/llama3-text-tied/tokenizer.json")})
    if (auto section = text::buildFromHfJson(json, ""); section.ok())
      inputs.push_back(
          "\xff" + std::string(reinterpret_cast<const char *>(section->data()), section->size()));
  return inputs;
}
