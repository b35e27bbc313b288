//===- Levels.cpp - the embedded bitcode of every CPU level --------------===//
//
// The build embeds the module of row i of Levels.def between llama4_cores_<i> and
// llama4_cores_<i>_end.
//
//===----------------------------------------------------------------------===//
#include "compiler/microkernels/Microkernels.h"

#include <array>

extern "C" {
extern const unsigned char llama4_cores_0[], llama4_cores_0_end[];
extern const unsigned char llama4_cores_1[], llama4_cores_1_end[];
extern const unsigned char llama4_cores_2[], llama4_cores_2_end[];
extern const unsigned char llama4_cores_3[], llama4_cores_3_end[];
}

namespace llama4::microkernels {
namespace {

struct Row {
  std::string_view name, cpu, features;
};

constexpr Row kRows[] = {
#define L4_LEVEL(name, cpu, features) {name, cpu, features},
#include "compiler/microkernels/Levels.def"
};

struct Range {
  const unsigned char *begin, *end;
};

const Range kRanges[] = {
    {llama4_cores_0, llama4_cores_0_end},
    {llama4_cores_1, llama4_cores_1_end},
    {llama4_cores_2, llama4_cores_2_end},
    {llama4_cores_3, llama4_cores_3_end},
};

static_assert(std::size(kRows) == std::size(kRanges), "declare the new level's bitcode here");

} // namespace

std::span<const Level> cpuLevels() {
  static const auto levels = [] {
    std::array<Level, std::size(kRows)> all;
    for (size_t i = 0; i < all.size(); ++i)
      all[i] = {kRows[i].name, kRows[i].cpu, kRows[i].features, {kRanges[i].begin, kRanges[i].end}};
    return all;
  }();
  return levels;
}

} // namespace llama4::microkernels
