//===- ImageRoomTest.cpp - which picture lies where -----------------------===//

#include "runtime/engine/ImageRoom.h"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace llama4::test {
namespace {

ContentKey key(uint64_t number) { return {number, ~number}; }

/// Takes room for one picture, puts it there and returns its first unit.
uint32_t add(ImageRoom &room, uint64_t number, uint32_t units) {
  std::optional<uint32_t> first = room.take(units);
  EXPECT_TRUE(first.has_value()) << "picture " << number;
  room.insert(key(number), *first, units);
  return *first;
}

TEST(ImageRoom, FindsPicturesAndRunsOfThem) {
  ImageRoom room(10);
  EXPECT_EQ(add(room, 1, 3), 0u);
  EXPECT_EQ(add(room, 2, 2), 3u);
  EXPECT_EQ(add(room, 3, 1), 5u);
  EXPECT_EQ(room.find(key(2)), 3u);
  EXPECT_EQ(room.find(key(4)), std::nullopt);
  const ContentKey run[] = {key(2), key(3)}, backwards[] = {key(3), key(2)};
  EXPECT_EQ(room.findRun(run), 3u);
  EXPECT_EQ(room.findRun(backwards), std::nullopt);
}

TEST(ImageRoom, ARunHasNoGaps) {
  ImageRoom room(6);
  add(room, 1, 2);
  add(room, 2, 2);
  add(room, 3, 2);
  room.reference(0), room.reference(4);
  add(room, 4, 1); // in the place of 2, and a unit behind it is free
  const ContentKey run[] = {key(4), key(3)}, touching[] = {key(1), key(4)};
  EXPECT_EQ(room.findRun(run), std::nullopt);
  EXPECT_EQ(room.findRun(touching), 0u);
}

TEST(ImageRoom, LongestUnusedMakesRoomAndNoMoreThanNeeded) {
  ImageRoom room(6);
  for (uint64_t i = 0; i < 3; ++i) {
    const uint32_t first = add(room, i, 2);
    room.reference(first);
  }
  for (uint32_t first : {2u, 0u, 4u}) // of pictures 1, 0, 2
    room.release(first);
  EXPECT_EQ(add(room, 3, 2), 2u);
  EXPECT_EQ(room.find(key(1)), std::nullopt);
  EXPECT_TRUE(room.find(key(0)) && room.find(key(2)));
  EXPECT_EQ(add(room, 4, 1), 0u);
  EXPECT_EQ(room.find(key(0)), std::nullopt);
  EXPECT_TRUE(room.find(key(2)) && room.find(key(3)));
}

TEST(ImageRoom, PicturesInUseStay) {
  ImageRoom room(6);
  add(room, 1, 2);
  add(room, 2, 2);
  add(room, 3, 2);
  room.reference(2);
  EXPECT_EQ(room.take(3), std::nullopt); // two gaps of two
  EXPECT_EQ(room.size(), 3u);            // nothing was given up for it
  EXPECT_EQ(room.usedUnits(), 2u);
  room.reference(2);
  room.release(2);
  EXPECT_EQ(room.take(3), std::nullopt);
  room.release(2);
  EXPECT_EQ(room.take(6), 0u);
  EXPECT_EQ(room.take(7), std::nullopt);
}

// Whatever happens, no two pictures share a unit and used ones stay where they are.
TEST(ImageRoom, RandomUse) {
  std::mt19937 random(3);
  ImageRoom room(24);
  std::map<uint32_t, std::pair<uint64_t, uint32_t>> used; // first unit -> number, units
  for (uint64_t number = 0; number < 4000; ++number) {
    const uint32_t units = random() % 6 + 1;
    if (std::optional<uint32_t> first = room.take(units)) {
      room.insert(key(number), *first, units);
      room.reference(*first);
      used[*first] = {number, units};
    }
    if (!used.empty() && random() % 2) {
      auto one = std::next(used.begin(), random() % used.size());
      room.release(one->first);
      used.erase(one);
    }
    uint32_t end = 0;
    for (const auto &[first, picture] : used) {
      ASSERT_GE(first, end);
      end = first + picture.second;
      ASSERT_EQ(room.find(key(picture.first)), first);
    }
    ASSERT_LE(end, room.units());
  }
}

} // namespace
} // namespace llama4::test
