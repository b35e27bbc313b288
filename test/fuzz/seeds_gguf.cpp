// The small file of the reader's own tests, and one with a tensor of every block type.
#include "test/checkpoint/TestFiles.h"
#include "test/fuzz/Fuzz.h"

std::vector<std::string> llama4::fuzz::seeds() {
  test::GgufBuilder blocks;
  blocks.str("general.architecture", "llama").u32("general.alignment", 32);
  const std::pair<uint32_t, size_t> types[] = {{2, 18},   {3, 20},  {6, 22},   {7, 24},
                                               {8, 34},   {10, 84}, {11, 110}, {12, 144},
                                               {13, 176}, {14, 210}};
  for (auto [type, bytes] : types)
    blocks.tensor("blk." + std::to_string(type), {256, 1}, type,
                  std::string(type < 10 ? 8 * bytes : bytes, '\x11'));
  return {test::llamaGguf().bytes(), blocks.bytes()};
}
