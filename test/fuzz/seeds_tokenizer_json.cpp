// A small tokenizer with everything in it, and an oracle's with its configuration.
#include "test/fuzz/SeedFiles.h"

std::vector<std::string> llama4::fuzz::seeds() {
  const std::string folder = "oracles/llama3-text-tied/";
  return {smallTokenizer(), smallTokenizer() + '\0' + smallTokenizerConfig(),
          readData(folder + "tokenizer.json") + '\0' + readData(folder + "tokenizer_config.json")};
}
