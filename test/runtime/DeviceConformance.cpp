//===- DeviceConformance.cpp - what every device must pass ----------------===//

#include "test/runtime/DeviceConformance.h"

#include <algorithm>
#include <set>
#include <thread>

namespace llama4::test {

std::unique_ptr<CodeModule> DeviceConformance::load(int variant) {
  const std::string &bytes = GetParam().code[variant];
  CodeView view{GetParam().target, GetParam().level, {}, std::as_bytes(std::span(bytes))};
  auto module = device->loadCode(std::span(&view, 1));
  EXPECT_TRUE(module.ok()) << module.status().message();
  return module.ok() ? module.take() : nullptr;
}

void *DeviceConformance::kernel(const char *symbol) {
  if (!code)
    code = load();
  auto address = code->resolve(symbol);
  EXPECT_TRUE(address.ok()) << address.status().message();
  return address.ok() ? *address : nullptr;
}

template <typename T>
std::unique_ptr<DeviceBuffer> DeviceConformance::upload(const std::vector<T> &values) {
  auto buffer = device->allocate(values.size() * sizeof(T)).take();
  EXPECT_TRUE(device->write(*buffer, 0, std::as_bytes(std::span(values))).ok());
  return buffer;
}

template <typename T>
std::vector<T> DeviceConformance::download(const DeviceBuffer &buffer, size_t count) {
  std::vector<T> values(count);
  EXPECT_TRUE(device->read(buffer, 0, std::as_writable_bytes(std::span(values))).ok());
  return values;
}

void DeviceConformance::run(std::span<const Dispatch> list, std::span<uint64_t> times) {
  Status status = device->submit(list, times);
  ASSERT_TRUE(status.ok()) << status.message();
  status = device->wait();
  ASSERT_TRUE(status.ok()) << status.message();
}

TEST_P(DeviceConformance, MemoryIsZeroAlignedAndLimited) {
  for (uint64_t bytes : {uint64_t{0}, uint64_t{1}, uint64_t{4097}, uint64_t{5} << 20}) {
    auto buffer = device->allocate(bytes);
    ASSERT_TRUE(buffer.ok()) << buffer.status().message();
    EXPECT_EQ((*buffer)->bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>((*buffer)->data()) % 4096, 0u);
    for (uint8_t byte : download<uint8_t>(**buffer, bytes))
      ASSERT_EQ(byte, 0);
  }
  auto huge = device->allocate(uint64_t{1} << 62);
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.status().kind(), StatusKind::OutOfMemory);
}

TEST_P(DeviceConformance, CopiesStayInside) {
  auto buffer = upload<int32_t>({1, 2, 3, 4});
  int32_t value = 9;
  EXPECT_TRUE(device->write(*buffer, 8, std::as_bytes(std::span(&value, 1))).ok());
  EXPECT_EQ(download<int32_t>(*buffer, 4), (std::vector<int32_t>{1, 2, 9, 4}));
  EXPECT_FALSE(device->write(*buffer, 13, std::as_bytes(std::span(&value, 1))).ok());
  EXPECT_FALSE(
      device->read(*buffer, ~uint64_t{0}, std::as_writable_bytes(std::span(&value, 1))).ok());
}

TEST_P(DeviceConformance, BackingChangesNothing) {
  constexpr uint64_t bytes = (uint64_t{5} << 20) + 12;
  auto buffer = device->allocate(bytes).take();
  const std::vector<uint8_t> written(100, 7);
  EXPECT_TRUE(device->write(*buffer, bytes - 100, std::as_bytes(std::span(written))).ok());
  std::thread other([&] { buffer->back(4097, bytes - 4097); });
  EXPECT_TRUE(device->write(*buffer, 8191, std::as_bytes(std::span(written))).ok());
  other.join();
  const std::vector<uint8_t> found = download<uint8_t>(*buffer, bytes);
  EXPECT_EQ(std::count(found.begin(), found.end(), 7), 200);
  EXPECT_EQ(std::count(found.begin(), found.end(), 0), static_cast<int64_t>(bytes) - 200);
  EXPECT_TRUE(std::equal(written.begin(), written.end(), found.begin() + 8191));
  EXPECT_FALSE(buffer->back(bytes, 1));
  EXPECT_FALSE(buffer->back(1, ~uint64_t{0}));
  alignas(64) static const int32_t source[4] = {10, 20, 30, 40};
  auto weights = device->import(std::as_bytes(std::span(source))).take();
  EXPECT_FALSE(weights->back(0, sizeof(source))); // its memory is somebody else's
}

TEST_P(DeviceConformance, ImportedBytesAreReadByKernels) {
  alignas(64) static const int32_t source[4] = {10, 20, 30, 40};
  auto weights = device->import(std::as_bytes(std::span(source))).take();
  auto out = upload<int32_t>({0, 0, 0, 0});
  void *bindings[] = {weights->data(), out->data()};
  int64_t constants[] = {4};
  Dispatch dispatch{kernel("mirror"), {bindings, nullptr, constants, 4}};
  run(std::span(&dispatch, 1));
  EXPECT_EQ(download<int32_t>(*out, 4), (std::vector<int32_t>{41, 31, 21, 11}));
}

TEST_P(DeviceConformance, CodeIsChosenAndResolved) {
  EXPECT_EQ(device->target(), GetParam().target);
  EXPECT_FALSE(device->describe().empty());
  auto module = load();
  EXPECT_EQ(module->level(), GetParam().level);
  auto missing = module->resolve("no_such_kernel");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().kind(), StatusKind::InvalidInput);
  CodeView other{"toaster", "bread", {}, std::as_bytes(std::span(GetParam().code[0]))};
  auto none = device->loadCode(std::span(&other, 1));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().kind(), StatusKind::Unavailable);
  EXPECT_NE(none.status().message().find("toaster"), std::string::npos);
  EXPECT_FALSE(device->loadCode({}).ok());
}

TEST_P(DeviceConformance, EachTileRunsOnce) {
  for (uint32_t tiles : {0u, 1u, 2u, 3u, 7u, 64u, 1001u}) {
    auto counters = upload(std::vector<int32_t>(1002));
    void *bindings[] = {counters->data()};
    Dispatch dispatch{kernel("count_tiles"), {bindings, nullptr, nullptr, tiles}};
    run(std::span(&dispatch, 1));
    std::vector<int32_t> counts = download<int32_t>(*counters, 1002);
    for (uint32_t i = 0; i < counts.size(); ++i)
      ASSERT_EQ(counts[i], i < tiles ? 1 : 0) << i << " of " << tiles;
  }
}

TEST_P(DeviceConformance, EachDispatchSeesTheOneBefore) {
  // Lists of large, single-tile and empty dispatches in turn: every one reads what all tiles of
  // the one before wrote.
  constexpr uint32_t n = 257;
  auto a = upload(std::vector<int32_t>(n)), b = upload(std::vector<int32_t>(n));
  auto counter = upload(std::vector<int32_t>(1));
  void *forth[] = {a->data(), b->data()}, *back[] = {b->data(), a->data()};
  void *single[] = {counter->data()};
  int64_t constants[] = {n};
  std::vector<Dispatch> list;
  for (int i = 0; i < 300; ++i) {
    list.push_back({kernel("mirror"), {i % 2 ? back : forth, nullptr, constants, n}});
    for (int k = 0; k < i % 3; ++k)
      list.push_back({kernel("count_tiles"), {single, nullptr, nullptr, 1}});
    if (i % 5 == 0)
      list.push_back({kernel("count_tiles"), {single, nullptr, nullptr, 0}});
  }
  for (int repeat = 1; repeat <= 3; ++repeat) {
    run(list);
    for (int32_t value : download<int32_t>(*a, n))
      ASSERT_EQ(value, 300 * repeat);
    ASSERT_EQ(download<int32_t>(*counter, 1)[0], 300 * repeat);
  }
}

TEST_P(DeviceConformance, ScratchIsPrivateAlignedAndLargeEnough) {
  constexpr uint32_t tiles = 64;
  int64_t bytes = 3000;
  ASSERT_TRUE(device->reserveScratch(64).ok());
  ASSERT_TRUE(device->reserveScratch(static_cast<uint64_t>(bytes)).ok());
  ASSERT_TRUE(device->reserveScratch(128).ok()); // never shrinks
  auto out = upload(std::vector<int64_t>(2 * tiles));
  void *bindings[] = {out->data()};
  Dispatch dispatch{kernel("use_scratch"), {bindings, nullptr, &bytes, tiles}};
  run(std::span(&dispatch, 1));
  std::vector<int64_t> seen = download<int64_t>(*out, 2 * tiles);
  for (uint32_t tile = 0; tile < tiles; ++tile) {
    ASSERT_EQ(seen[2 * tile], bytes) << "tile " << tile << " lost its scratch";
    ASSERT_EQ(seen[2 * tile + 1] % 64, 0);
  }
}

TEST_P(DeviceConformance, StepAndConstantsReachTheKernel) {
  l4_step step = {};
  step.symbol = 17;
  auto stepBuffer = device->allocate(sizeof(step)).take();
  ASSERT_TRUE(device->write(*stepBuffer, 0, std::as_bytes(std::span(&step, 1))).ok());
  auto out = upload(std::vector<int64_t>(5));
  void *bindings[] = {out->data()};
  int64_t constants[] = {0, int64_t{1} << 40};
  Dispatch dispatch{kernel("read_step"),
                    {bindings, static_cast<const l4_step *>(stepBuffer->data()), constants, 5}};
  run(std::span(&dispatch, 1));
  for (int64_t value : download<int64_t>(*out, 5))
    EXPECT_EQ(value, (int64_t{1} << 40) + 17);
}

TEST_P(DeviceConformance, EveryTileKnowsTheGrid) {
  for (uint32_t tiles : {1u, 2u, 5u, 64u}) {
    auto out = upload(std::vector<int32_t>(tiles));
    void *bindings[] = {out->data()};
    Dispatch dispatch{kernel("read_grid"), {bindings, nullptr, nullptr, tiles}};
    run(std::span(&dispatch, 1));
    EXPECT_EQ(download<int32_t>(*out, tiles),
              std::vector<int32_t>(tiles, static_cast<int32_t>(tiles)));
  }
}

TEST_P(DeviceConformance, TimesEveryDispatch) {
  auto counters = upload(std::vector<int32_t>(100));
  void *bindings[] = {counters->data()};
  std::vector<Dispatch> list(10, {kernel("count_tiles"), {bindings, nullptr, nullptr, 100}});
  std::vector<uint64_t> times(10, ~uint64_t{0});
  run(list, times);
  for (uint64_t time : times)
    EXPECT_LT(time, uint64_t{10} * 1000 * 1000 * 1000);
  EXPECT_EQ(download<int32_t>(*counters, 1)[0], 10);
  run({}); // an empty list is a list
}

TEST_P(DeviceConformance, ModulesWithTheSameNamesStayApart) {
  auto counters = upload(std::vector<int32_t>(1));
  void *bindings[] = {counters->data()};
  auto launch = [&](const CodeModule &module) {
    Dispatch dispatch{*module.resolve("count_tiles"), {bindings, nullptr, nullptr, 1}};
    run(std::span(&dispatch, 1));
    return download<int32_t>(*counters, 1)[0];
  };
  auto one = load(0), two = load(1);
  EXPECT_EQ(launch(*one), 1);
  EXPECT_EQ(launch(*two), 3);
  EXPECT_EQ(launch(*one), 4);
  for (int i = 0; i < 10; ++i) { // and one after another, at the same places
    int before = download<int32_t>(*counters, 1)[0];
    EXPECT_EQ(launch(*load(i % 2)), before + 1 + i % 2);
  }
}

} // namespace llama4::test
