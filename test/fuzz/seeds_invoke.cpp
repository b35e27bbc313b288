// Tokens, and inputs of the entries of the engine's test model.
#include "test/fuzz/Fuzz.h"

std::vector<std::string> llama4::fuzz::seeds() {
  std::string lengths(4 * 8 + 2 * 8, '\0');
  const char numbers[] = {1, 2, 3, 23, 3, 1};
  for (size_t i = 0; i < sizeof(numbers); ++i)
    lengths[8 * i] = numbers[i];
  std::string header = R"({"input_ids":{"dtype":"I64","shape":[4],"data_offsets":[0,32]},)"
                       R"("sequence_lengths":{"dtype":"I64","shape":[2],"data_offsets":[32,48]}})";
  header.resize(136, ' ');
  return {std::string(1, '\0') + std::string(1, '\x88') + std::string(7, '\0') + header + lengths,
          safetensorsSeed(R"({"input_ids":{"dtype":"I32","shape":[5],"data_offsets":[0,20]}})", 20),
          std::string(1, '\0') + std::string("\x40\0\0\0\0\0\0\0", 8) +
              R"({"ids":{"dtype":"I64","shape":[4],"data_offsets":[0,32]}}       )" +
              lengths.substr(0, 32),
          safetensorsSeed(R"({"ids":{"dtype":"I32","shape":[3],"data_offsets":[0,12]}})", 12),
          safetensorsSeed(R"({"hidden":{"dtype":"F32","shape":[40,8],"data_offsets":[0,1280]},)"
                          R"("rows":{"dtype":"I32","shape":[2],"data_offsets":[1280,1288]}})",
                          1288)};
}
