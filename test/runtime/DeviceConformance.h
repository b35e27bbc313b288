//===- DeviceConformance.h - what every device must pass ---------*- C++ -*-===//
//
// A device joins by instantiating the suite with a way to make it and its kernels (kernels.c built
// for it, in two variants):
//   INSTANTIATE_TEST_SUITE_P(Cpu, DeviceConformance, ::testing::Values(DeviceUnderTest{...}));
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_RUNTIME_DEVICECONFORMANCE_H
#define LLAMA4_TEST_RUNTIME_DEVICECONFORMANCE_H

#include "runtime/device/Device.h"

#include <functional>
#include <gtest/gtest.h>

namespace llama4::test {

struct DeviceUnderTest {
  std::string name;
  std::function<std::unique_ptr<Device>()> make;
  std::string target, level; ///< of its code
  std::string code[2];       ///< kernels.c, VARIANT 1 and 2
};

inline void PrintTo(const DeviceUnderTest &device, std::ostream *out) { *out << device.name; }

class DeviceConformance : public ::testing::TestWithParam<DeviceUnderTest> {
protected:
  void SetUp() override { device = GetParam().make(); }
  std::unique_ptr<CodeModule> load(int variant = 0);
  void *kernel(const char *symbol);
  /// A buffer holding `values`.
  template <typename T> std::unique_ptr<DeviceBuffer> upload(const std::vector<T> &values);
  template <typename T> std::vector<T> download(const DeviceBuffer &buffer, size_t count);
  /// Runs one list to its end.
  void run(std::span<const Dispatch> list, std::span<uint64_t> times = {});

  std::unique_ptr<Device> device;
  std::unique_ptr<CodeModule> code;
};

} // namespace llama4::test

#endif // LLAMA4_TEST_RUNTIME_DEVICECONFORMANCE_H
