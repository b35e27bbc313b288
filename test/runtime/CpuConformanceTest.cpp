//===- CpuConformanceTest.cpp - the host processor as a device ------------===//

#include "runtime/device/cpu/CpuDevice.h"
#include "test/runtime/DeviceConformance.h"

#include <fstream>
#include <iterator>

namespace llama4::test {
namespace {

std::string objectBytes(int variant) {
  std::ifstream file(LLAMA4_TEST_KERNELS + std::to_string(variant) + ".so", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

DeviceUnderTest cpu(unsigned threads) {
  return {"cpu" + std::to_string(threads),
          [threads] {
            return createCpuDevice({threads, "", threads == 2 ? Pinning::Always : Pinning::Never})
                .take();
          },
          "cpu",
          "x86-64-v3",
          {objectBytes(1), objectBytes(2)}};
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceConformance, ::testing::Values(cpu(1), cpu(2), cpu(3)),
                         [](const auto &info) { return info.param.name; });

TEST(CpuDevice, LevelsAreAClosedList) {
  auto unknown = createCpuDevice({1, "x86-64-v9", Pinning::Never});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().kind(), StatusKind::Usage);
  EXPECT_NE(unknown.status().message().find("x86-64-v4+vnni"), std::string::npos);
  auto known = createCpuDevice({1, "x86-64-v3", Pinning::Never});
  ASSERT_TRUE(known.ok()) << known.status().message();
  EXPECT_EQ((*known)->describe(), "cpu, 1 threads, level x86-64-v3");
}

} // namespace
} // namespace llama4::test
