// Headers alone, and whole files of test/data.
#include "test/fuzz/SeedFiles.h"

std::vector<std::string> llama4::fuzz::seeds() {
  return {
      safetensorsSeed(
          R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"I64",)"
          R"("shape":[4],"data_offsets":[24,56]},"__metadata__":{"format":"pt","x":"y"}})",
          56),
      safetensorsSeed(R"({"w":{"dtype":"BF16","shape":[2,2,2],"data_offsets":[2,18]},)"
                      R"("e":{"dtype":"F8_E4M3","shape":[],"data_offsets":[1,2]},)"
                      R"("z":{"dtype":"U8","shape":[0,7],"data_offsets":[0,0]},)"
                      R"("y":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}    )",
                      18),
      std::string(1, '\0') + readData("oracles/llama3-text-tied/golden/greedy.p5.safetensors"),
  };
}
