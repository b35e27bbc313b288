//===- SystemMemoryTest.cpp - what control groups leave -------------------===//

#include "runtime/engine/SystemMemory.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>

namespace llama4::test {
namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

class ControlGroups : public ::testing::Test {
protected:
  void SetUp() override { std::filesystem::remove_all(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string &path, const std::string &text) const {
    std::filesystem::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::ofstream(root_ + path) << text;
  }
  uint64_t room(const std::string &membership) const {
    return memoryOfControlGroups(membership, root_);
  }
  const std::string root_ = ::testing::TempDir() + "control-groups";
};

TEST_F(ControlGroups, NoneIsNoLimit) {
  EXPECT_EQ(room(""), unlimited);
  EXPECT_EQ(room("0::/user/me\n"), unlimited);
  EXPECT_EQ(room("no colons"), unlimited);
  write("/user/me/memory.max", "max\n");
  write("/user/me/memory.current", "1000\n");
  EXPECT_EQ(room("0::/user/me\n"), unlimited);
}

TEST_F(ControlGroups, TheSmallestOfAllAbove) {
  write("/user/me/memory.max", "1000000\n");
  write("/user/me/memory.current", "400000\n");
  write("/user/me/memory.stat", "anon 5\ninactive_file 100000\nactive_file 50000\nfile 7\n");
  EXPECT_EQ(room("0::/user/me\n"), 750000u); // pages of files can be given up
  write("/user/memory.max", "700000\n");
  write("/user/memory.current", "600000\n");
  EXPECT_EQ(room("0::/user/me\n"), 100000u);
  EXPECT_EQ(room("1:cpu:/user/me\n"), unlimited);
  write("/user/memory.current", "800000\n");
  EXPECT_EQ(room("0::/user/me\n"), 0u);
}

TEST_F(ControlGroups, InsideAContainerTheRootHasTheLimit) {
  write("/memory.max", "5000\n");
  write("/memory.current", "1000\n");
  EXPECT_EQ(room("0::/\n"), 4000u);
  EXPECT_EQ(room("0::/docker/of/the/host\n"), 4000u);
}

TEST_F(ControlGroups, VersionOne) {
  write("/memory/box/memory.limit_in_bytes", "9000\n");
  write("/memory/box/memory.usage_in_bytes", "5000\n");
  write("/memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
  EXPECT_EQ(room("5:cpu:/box\n4:memory:/box\n0::/\n"), 4500u);
}

TEST(SystemMemory, SaysSomething) { EXPECT_GT(availableMemory(), uint64_t{1} << 20); }

} // namespace
} // namespace llama4::test
