//===- ResizeTest.cpp - every bit as Pillow has it ------------------------===//

#include "runtime/image/Resize.h"
#include "test/image/ImageTestSupport.h"

#include <chrono>
#include <gtest/gtest.h>
#include <iostream>

using namespace llama4::image;
using namespace llama4::image::test;

namespace {

std::string scaledHash(const Json &one, PassOrder order) {
  const ImageSize from = {one["from"][0], one["from"][1]}, to = {one["to"][0], one["to"][1]};
  const auto filter = one["filter"] == "bicubic" ? ResizeFilter::Bicubic : ResizeFilter::Bilinear;
  auto scaled = resize(noise(from, one["seed"].get<uint32_t>()), to, filter, order);
  EXPECT_TRUE(scaled.ok());
  EXPECT_EQ(scaled->size, to);
  return sha256(scaled->pixels);
}

} // namespace

TEST(Resize, EqualsPillowInBothOrders) {
  const Json cases = readJson(dataPath("image_resize/cases.json"));
  ASSERT_GE(cases.size(), 100u);
  int orderMatters = 0;
  for (const Json &one : cases) {
    EXPECT_EQ(scaledHash(one, PassOrder::Pillow12), one["pillow12"].get<std::string>()) << one;
    EXPECT_EQ(scaledHash(one, PassOrder::Pillow13), one["pillow13"].get<std::string>()) << one;
    orderMatters += one["pillow12"] != one["pillow13"];
  }
  EXPECT_GE(orderMatters, 10) << "the cases no longer tell the orders apart";
}

TEST(Resize, KeepsAPlainPictureAndAConstant) {
  const RgbImage image = noise({31, 17}, 1);
  EXPECT_EQ(resize(image, image.size, ResizeFilter::Bicubic, PassOrder::Pillow13)->pixels,
            image.pixels);
  RgbImage grey{{50, 40}, std::vector<uint8_t>(6000, 129)};
  for (ResizeFilter filter : {ResizeFilter::Bilinear, ResizeFilter::Bicubic}) {
    auto scaled = resize(grey, {13, 91}, filter, PassOrder::Pillow12);
    EXPECT_EQ(scaled->pixels, std::vector<uint8_t>(3 * 13 * 91, 129));
  }
}

TEST(Resize, TakesThinPictures) {
  for (ImageSize size : {ImageSize{1, 20000}, ImageSize{20000, 1}, ImageSize{65535, 1}}) {
    auto scaled = resize(noise(size, 3), {336, 336}, ResizeFilter::Bilinear, PassOrder::Pillow13);
    ASSERT_TRUE(scaled.ok());
    EXPECT_EQ(scaled->size, (ImageSize{336, 336}));
  }
}

TEST(Resize, PrintsItsSpeed) {
  const RgbImage photo = noise({4032, 3024}, 9);
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(resize(photo, {1024, 1024}, ResizeFilter::Bicubic, PassOrder::Pillow12).ok());
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  std::cout << "4032 x 3024 to 1024 x 1024, bicubic: " << best << " ms\n";
}
