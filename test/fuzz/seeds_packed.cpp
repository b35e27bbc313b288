// Descriptions of one and of several groups, and matrices of every form.
#include "test/fuzz/SeedFiles.h"

std::vector<std::string> llama4::fuzz::seeds() {
  return {
      R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
 "ignore": ["lm_head", "re:.*router$"], "kv_cache_scheme": null, "sparsity_config": {},
 "transform_config": {}, "config_groups": {"group_0": {"targets": ["Linear"],
 "input_activations": null, "weights": {"num_bits": 4, "type": "int", "symmetric": false,
 "dynamic": false, "strategy": "group", "group_size": 128}}}}})",
      R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "mixed-precision",
 "ignore": [], "config_groups": {"a": {"targets": ["re:.*m\\.a$", "b"], "format": "pack-quantized",
 "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel"}},
 "b": {"targets": ["Linear"], "format": "float-quantized",
 "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}}})",
      "4 9 256\ni32 1152 9 32\nbf16 36 9 2\ni32 16 2 2\n",
      "4 9 256\ni32 1152 9 32\nf16 36 9 2\n",
      "4 3 64\ni32 96 3 8\nf16 12 3 2\n",
      "4 3 64\ni32 96 3 8\nf16 12 3 2\ni32 8 1 2\n",
      "8 5 96\ni32 480 5 24\nf16 30 5 3\n",
      "8 5 33\ni32 180 5 9\nf32 20 5 1\ni32 8 2 1\n",
  };
}
