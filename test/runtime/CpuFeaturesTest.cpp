//===- CpuFeaturesTest.cpp - which code runs where ------------------------===//

#include "runtime/device/cpu/CpuFeatures.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <sys/syscall.h>
#include <unistd.h>

namespace llama4 {
namespace {

/// A machine that has exactly the features of a level.
HasFeature machineOf(std::string_view name) {
  std::set<std::string_view> features;
  for (const CpuLevel &level : cpuLevels())
    if (level.name == name)
      features.insert(level.features.begin(), level.features.end());
  return [features](std::string_view feature) { return features.count(feature) != 0; };
}

const std::vector<std::string> none, odd = {"avx2", "no-such-feature"}, amx = {"amx-int8"};
const CodeView v3{"cpu", "x86-64-v3", none, {}}, v4{"cpu", "x86-64-v4+vnni", none, {}},
    bf16{"cpu", "x86-64-v4+vnni+bf16", none, {}},
    amxCode{"cpu", "x86-64-v4+vnni+bf16+amx", none, {}};

TEST(SelectCode, TakesTheBestThatRuns) {
  std::vector<CodeView> all = {v4, bf16, v3};
  EXPECT_EQ(*selectCode(all, "", machineOf("x86-64-v3")), 2u);
  EXPECT_EQ(*selectCode(all, "", machineOf("x86-64-v4+vnni")), 0u);
  EXPECT_EQ(*selectCode(all, "", machineOf("x86-64-v4+vnni+bf16")), 1u);
  EXPECT_EQ(*selectCode(all, "x86-64-v3", machineOf("x86-64-v4+vnni+bf16")), 2u);
}

// Tile registers count only where both kinds of products are there, and the system saves them.
TEST(SelectCode, TakesTilesWhereTheyCanBeUsed) {
  std::vector<CodeView> all = {amxCode, v3, bf16};
  EXPECT_EQ(*selectCode(all, "", machineOf("x86-64-v4+vnni+bf16+amx")), 0u);
  EXPECT_EQ(*selectCode(all, "", machineOf("x86-64-v4+vnni+bf16")), 2u);
  EXPECT_EQ(*selectCode(all, "x86-64-v4+vnni+bf16", machineOf("x86-64-v4+vnni+bf16+amx")), 2u);
  for (std::string_view lacking : {"amx-tile", "amx-int8", "amx-bf16", "avx512bf16"}) {
    const HasFeature whole = machineOf("x86-64-v4+vnni+bf16+amx");
    const auto partly = [&](std::string_view feature) {
      return feature != lacking && whole(feature);
    };
    EXPECT_EQ(*selectCode(all, "", partly), lacking == "avx512bf16" ? 1u : 2u) << lacking;
    EXPECT_FALSE(selectCode(all, "x86-64-v4+vnni+bf16+amx", partly).ok()) << lacking;
  }
}

TEST(SelectCode, SkipsFeaturesTheMachineLacksOrNobodyKnows) {
  CodeView strange{"cpu", "x86-64-v4+vnni", odd, {}}, tiles{"cpu", "x86-64-v4+vnni+bf16", amx, {}};
  std::vector<CodeView> all = {strange, tiles, v3};
  EXPECT_EQ(*selectCode(all, "", machineOf("x86-64-v4+vnni+bf16")), 2u);
}

TEST(SelectCode, SaysWhatWasFoundAndWhatRuns) {
  std::vector<CodeView> files = {v4, {"cuda", "sm_90", none, {}}, {"cpu", "x86-64-v7", none, {}}};
  auto refused = selectCode(files, "", machineOf("x86-64-v3"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().kind(), StatusKind::Unavailable);
  EXPECT_EQ(refused.status().message(),
            "cpu: found code for cpu:x86-64-v4+vnni, cuda:sm_90, cpu:x86-64-v7 in the file, "
            "expected code that this machine runs (x86-64-v3); compile the model for this target.");
  refused = selectCode(files, "x86-64-v3", machineOf("x86-64-v3"));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("expected cpu:x86-64-v3;"), std::string::npos);
}

/// True when the system says that this process may use tile registers (ARCH_GET_XCOMP_PERM).
bool tilesPermitted() {
  uint64_t states = 0;
  return cpuHas("amx-tile") && syscall(SYS_arch_prctl, 0x1022, &states) == 0 &&
         (states >> 18 & 1) != 0;
}

TEST(CpuHas, AgreesWithTheSystem) {
  std::ifstream info("/proc/cpuinfo");
  std::set<std::string> flags;
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("flags")) {
      std::istringstream words(line.substr(line.find(':') + 1));
      flags.insert(std::istream_iterator<std::string>(words), {});
      break;
    }
  if (flags.empty())
    GTEST_SKIP() << "no flags in /proc/cpuinfo";
  // What the system calls otherwise.
  const std::map<std::string_view, std::string> names = {{"sse3", "pni"},
                                                         {"sse4.1", "sse4_1"},
                                                         {"sse4.2", "sse4_2"},
                                                         {"bmi", "bmi1"},
                                                         {"lzcnt", "abm"},
                                                         {"sahf", "lahf_lm"},
                                                         {"avx512vnni", "avx512_vnni"},
                                                         {"avx512bf16", "avx512_bf16"},
                                                         {"amx-tile", "amx_tile"},
                                                         {"amx-int8", "amx_int8"},
                                                         {"amx-bf16", "amx_bf16"}};
  for (std::string_view feature : cpuLevels().back().features) {
    auto name = names.find(feature);
    std::string flag = name == names.end() ? std::string(feature) : name->second;
    // Tiles have to be asked for, too, and may be refused.
    const bool permitted = !feature.starts_with("amx-") || tilesPermitted();
    EXPECT_EQ(cpuHas(feature), flags.count(flag) != 0 && permitted) << feature;
  }
  EXPECT_FALSE(cpuHas("no-such-feature"));
}

} // namespace
} // namespace llama4
