// Configurations of the oracles, in both layouts.
#include "test/fuzz/SeedFiles.h"

std::vector<std::string> llama4::fuzz::seeds() {
  std::vector<std::string> inputs;
  for (const char *name :
       {"llama3-text-tied/config.json", "llama3-text-tied/config.v4.json",
        "llama3-text-tied/generation_config.json", "llama3-text-tied/tokenizer_config.json",
        "llama4-text-f32/config.json", "llama4-text-f32/config.v4.json"})
    inputs.push_back(readData(std::string("oracles/") + name));
  inputs.push_back(
      R"({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})");
  return inputs;
}
