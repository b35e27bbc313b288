//===- TemperatureTest.cpp - attention temperatures of positions ----------===//

#include "runtime/format/Temperature.h"

#include <array>
#include <gtest/gtest.h>
#include <vector>

namespace llama4 {
namespace {

// Scale 0.1 and floor 8192 are those of the published configurations; the values are those of
// torch.log(torch.floor((p + 1.0) / 8192) + 1.0) * 0.1 + 1.0, computed in double.
TEST(Temperature, IsOneBelowTheFloorAndGrowsByWholeFloors) {
  const std::vector<int64_t> positions = {0,     8190,  8191,   8192,       16382,
                                          16383, 65535, 131070, 1000000000, int64_t{1} << 40};
  const std::array<double, 10> wanted = {1.0,
                                         1.0,
                                         1.0693147180559946,
                                         1.0693147180559946,
                                         1.0693147180559946,
                                         1.1098612288668111,
                                         1.2197224577336219,
                                         1.2772588722239782,
                                         2.1712358121651265,
                                         2.8714973882937896};
  constexpr size_t stride = 3;
  std::vector<float> out(positions.size() * stride, -1.0f);
  fillTemperature(0.1f, 8192, positions, out.data(), stride);
  for (size_t i = 0; i < positions.size(); ++i) {
    EXPECT_NEAR(out[i * stride], wanted[i], 2e-7 * wanted[i]) << "position " << positions[i];
    EXPECT_EQ(out[i * stride + 1], -1.0f);
  }
}

} // namespace
} // namespace llama4
