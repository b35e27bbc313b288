//===- TilesTest.cpp - grids, tiles and prompts by their rules ------------===//

#include "runtime/format/Safetensors.h"
#include "runtime/image/Llama4Images.h"
#include "runtime/image/MllamaImages.h"
#include "test/image/ImageTestSupport.h"

#include <cmath>
#include <gtest/gtest.h>
#include <iostream>
#include <limits>
#include <random>

using namespace llama4::image;
using namespace llama4::image::test;

namespace {

constexpr Llama4ImageIds ids4 = {1000, 1001, 1002, 1003, 1004, 1005};

/// 10,000 sizes: small, camera-like, thin, and at the edges of tiles.
std::vector<ImageSize> manySizes() {
  std::mt19937 random(11);
  auto upTo = [&](uint32_t most) { return static_cast<uint32_t>(random() % most + 1); };
  std::vector<ImageSize> sizes = {{1, 1}, {1, 20000}, {20000, 1}, {65535, 762}, {336, 336}};
  for (uint32_t side : {336u, 560u, 672u, 1120u, 5376u})
    for (uint32_t x : {side - 1, side, side + 1})
      for (uint32_t y : {side - 1, side, side + 1})
        sizes.push_back({x, y});
  while (sizes.size() < 10000) {
    const uint32_t most = sizes.size() % 3 == 0 ? 700 : sizes.size() % 3 == 1 ? 5000 : 65535;
    sizes.push_back({upTo(most), sizes.size() % 5 == 0 ? upTo(20) : upTo(most)});
  }
  return sizes;
}

/// The least shrinking or, where none is needed, the least growing, over all grids, in exact
/// fractions: compares min(rows * side / height, columns * side / width).
bool isBestGrid(ImageSize image, Grid chosen, uint32_t side, uint32_t maxTiles) {
  using Wide = unsigned __int128;
  struct Fraction {
    uint64_t up, down;
  };
  auto less = [](Fraction a, Fraction b) { return Wide{a.up} * b.down < Wide{b.up} * a.down; };
  auto scaleOf = [&](Grid grid) {
    const Fraction down = {uint64_t{grid.rows} * side, image.height};
    const Fraction across = {uint64_t{grid.columns} * side, image.width};
    return less(down, across) ? down : across;
  };
  auto grows = [](Fraction scale) { return scale.up >= scale.down; };
  const Fraction own = scaleOf(chosen);
  for (uint32_t rows = 1; rows <= maxTiles; ++rows)
    for (uint32_t columns = 1; rows * columns <= maxTiles; ++columns) {
      const Fraction other = scaleOf({rows, columns});
      if (grows(other) != grows(own) ? grows(other)
                                     : (grows(own) ? less(other, own) : less(own, other)))
        return false;
      const bool equal = !less(own, other) && !less(other, own);
      if (equal && rows * columns < chosen.tiles())
        return false;
    }
  return true;
}

/// A picture that knows its places: no two neighbouring pixels are equal.
RgbImage smallNoise(ImageSize size) { return noise(size, size.width * 31 + size.height); }

} // namespace

TEST(Llama4Images, A720pPictureHas1887PromptTokens) {
  const Llama4Layout layout = layoutOf({1280, 720}, Llama4ImageConfig());
  EXPECT_EQ(layout.promptTokens, 1887u);
  EXPECT_EQ(layout.grid, (Grid{3, 4}));
  EXPECT_EQ(layout.tiles, 13u);
  EXPECT_EQ(layout.featureRows, 13u * 144);
  EXPECT_EQ(layout.scaled, (ImageSize{1280, 720}));
}

TEST(Llama4Images, LayoutsOfTenThousandSizes) {
  const Llama4ImageConfig config;
  for (ImageSize size : manySizes()) {
    const Llama4Layout layout = layoutOf(size, config);
    const std::string what = std::to_string(size.width) + " x " + std::to_string(size.height);
    ASSERT_TRUE(isBestGrid(size, layout.grid, 336, 16)) << what;
    ASSERT_LE(layout.scaled.width, layout.grid.columns * 336) << what;
    ASSERT_LE(layout.scaled.height, layout.grid.rows * 336) << what;
    ASSERT_GE(std::min(layout.scaled.width, layout.scaled.height), 1u) << what;
    ASSERT_EQ(layout.rowsPerTile, 144u);
    const std::vector<int32_t> prompt = {7, 1001, 8};
    auto expanded = expandPrompt(prompt, std::span(&layout, 1), ids4);
    ASSERT_TRUE(expanded.ok());
    ASSERT_EQ(expanded->ids.size(), 2 + layout.promptTokens) << what;
    ASSERT_EQ(expanded->ids.size(), expanded->featureRows.size());
    const auto patches = std::count(expanded->ids.begin(), expanded->ids.end(), 1003);
    ASSERT_EQ(static_cast<uint32_t>(patches), layout.featureRows) << what;
    int32_t next = 0;
    for (size_t i = 0; i < expanded->ids.size(); ++i)
      ASSERT_EQ(expanded->featureRows[i], expanded->ids[i] == 1003 ? next++ : -1) << what;
    const auto across = std::count(expanded->ids.begin(), expanded->ids.end(), 1004);
    const auto down = std::count(expanded->ids.begin(), expanded->ids.end(), 1005);
    const Grid grid = layout.grid;
    ASSERT_EQ(across, grid.tiles() == 1 ? 0 : grid.rows * (grid.columns - 1)) << what;
    ASSERT_EQ(down, grid.tiles() == 1 ? 0 : grid.rows) << what;
  }
}

TEST(Llama4Images, MadeTilesAreAsManyAsTheLayoutSays) {
  Llama4ImageConfig config;
  config.side = 12;
  config.patchSide = 3;
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    const ImageSize size = {static_cast<uint32_t>(random() % 90 + 1),
                            static_cast<uint32_t>(random() % 90 + 1)};
    config.resizeToMaxCanvas = i % 4 == 0;
    const Llama4Layout layout = layoutOf(size, config);
    auto tiles = makeTiles(smallNoise(size), config);
    ASSERT_TRUE(tiles.ok());
    ASSERT_EQ(tiles->count, layout.tiles);
    ASSERT_EQ(tiles->pixels.size(), layout.tiles * tiles->tileBytes());
    ASSERT_EQ(layout.featureRows, tiles->count * 4);
    if (i % 100 == 0) {
      const auto values = normalizeTiles(*tiles, makePixelTable(config.normalization));
      ASSERT_EQ(values.size(), tiles->pixels.size());
    }
  }
}

TEST(Llama4Images, TilesAreCutRowByRowAndTheGlobalOneIsLast) {
  Llama4ImageConfig config;
  config.side = 4;
  config.patchSide = 2;
  const RgbImage image = smallNoise({8, 6}); // no scaling: 2 x 2 tiles, two rows of black
  ASSERT_EQ(layoutOf(image.size, config).scaled, image.size);
  const Tiles tiles = makeTiles(image, config).take();
  ASSERT_EQ(tiles.count, 5u);
  for (uint32_t y = 0; y < 8; ++y)
    for (uint32_t x = 0; x < 8; ++x)
      for (uint32_t c = 0; c < 3; ++c) {
        const uint8_t expected = y < 6 ? image.row(y)[3 * x + c] : 0;
        ASSERT_EQ(tiles.tile(y / 4 * 2 + x / 4)[16 * c + 4 * (y % 4) + x % 4], expected);
      }
  const auto global = resize(image, {4, 4}, config.filter, config.order);
  for (uint32_t i = 0; i < 16; ++i)
    for (uint32_t c = 0; c < 3; ++c)
      ASSERT_EQ(tiles.tile(4)[16 * c + i], global->pixels[3 * i + c]);
}

TEST(Llama4Images, PromptsThatDoNotFit) {
  const Llama4Layout layout = layoutOf({100, 100}, Llama4ImageConfig());
  const std::vector<Llama4Layout> two = {layout, layout};
  const std::vector<int32_t> one = {1, 1001, 2}, patch = {1, 1003, 1001}, none = {1, 2};
  expectRefused(expandPrompt(one, two, ids4).status(), "2 images for 1 marks");
  expectRefused(expandPrompt(one, {}, ids4).status(), "missing images");
  expectRefused(expandPrompt(none, two, ids4).status(), "missing marks");
  expectRefused(expandPrompt(patch, std::span(two).first(1), ids4).status(), "<|patch|>");
  EXPECT_EQ(expandPrompt(none, {}, ids4)->ids, none);
  const std::vector<int32_t> both = {1001, 5, 1001};
  auto expanded = expandPrompt(both, two, ids4);
  ASSERT_TRUE(expanded.ok());
  ASSERT_EQ(expanded->images.size(), 2u);
  EXPECT_EQ(expanded->images[1].firstToken, 148u);
  EXPECT_EQ(expanded->images[1].tokens, 147u);
  EXPECT_EQ(expanded->images[1].firstRow, 144u);
  EXPECT_EQ(expanded->featureRows[150], 144);
}

TEST(MllamaImages, LayoutsOfTenThousandSizes) {
  const MllamaImageConfig config;
  const std::vector<Grid> grids = aspectRatios(4);
  ASSERT_EQ(grids.size(), 8u);
  for (ImageSize size : manySizes()) {
    const MllamaLayout layout = layoutOf(size, config);
    const std::string what = std::to_string(size.width) + " x " + std::to_string(size.height);
    ASSERT_TRUE(isBestGrid(size, layout.grid, 560, 4)) << what;
    ASSERT_EQ(grids.at(layout.aspectRatioId - 1), layout.grid) << what;
    ASSERT_LE(layout.scaled.width, layout.grid.columns * 560) << what;
    ASSERT_LE(layout.scaled.height, layout.grid.rows * 560) << what;
    ASSERT_GE(std::min(layout.scaled.width, layout.scaled.height), 1u) << what;
    ASSERT_EQ(layout.featureRows, layout.grid.tiles() * 1601) << what;
  }
}

TEST(MllamaImages, AbsentTilesAreZeroAfterNormalising) {
  MllamaImageConfig config;
  config.side = 6;
  config.patchSide = 3;
  const RgbImage image = smallNoise({12, 5}); // 1 x 2 tiles, one row of black
  const MllamaLayout layout = layoutOf(image.size, config);
  EXPECT_EQ(layout.grid, (Grid{1, 2}));
  EXPECT_EQ(layout.aspectRatioId, 2u);
  const PixelTable table = makePixelTable(config.normalization);
  const Tiles tiles = makeTiles(image, config).take();
  const std::vector<float> values = normalizeTiles(tiles, table, config.maxTiles);
  ASSERT_EQ(values.size(), size_t{4} * 3 * 36);
  EXPECT_EQ(values[5 * 6], table[0][0]) << "padding is black before normalising";
  EXPECT_EQ(values[108 + 36 + 1], table[1][image.row(0)[3 * 7 + 1]]);
  EXPECT_EQ(std::count(values.begin() + 216, values.end(), 0.0f), 216);
}

TEST(MllamaImages, IntervalsThatDoNotFit) {
  const std::vector<int32_t> ids = {1, 9, 2, 9, 9};
  expectRefused(crossIntervals(ids, 9, 2).status(), "missing images");
  expectRefused(crossIntervals(ids, 9, 4).status(), "missing marks");
  const auto intervals = crossIntervals(ids, 9, 3);
  EXPECT_EQ((*intervals)[0], (CrossInterval{1, 3, false}));
  EXPECT_EQ((*intervals)[1], (CrossInterval{3, 5, true}));
  EXPECT_EQ((*intervals)[2], (CrossInterval{4, 5, true}));
}

TEST(ThinImages, BecomeTilesOfBothFamilies) {
  for (ImageSize size : {ImageSize{1, 1}, ImageSize{1, 20000}, ImageSize{20000, 1}}) {
    const RgbImage image = smallNoise(size);
    auto llama4 = makeTiles(image, Llama4ImageConfig());
    ASSERT_TRUE(llama4.ok());
    EXPECT_EQ(llama4->count, layoutOf(size, Llama4ImageConfig()).tiles);
    EXPECT_EQ(llama4->count, size.pixels() == 1 ? 1u : 17u);
    auto mllama = makeTiles(image, MllamaImageConfig());
    ASSERT_TRUE(mllama.ok());
    EXPECT_EQ(mllama->count, size.pixels() == 1 ? 1u : 4u);
  }
}

TEST(ImageConfig, NonsenseIsRefused) {
  auto refused = [](auto change, std::string_view part) {
    Llama4ImageConfig config;
    change(config);
    expectRefused(checkConfig(config), part);
  };
  EXPECT_TRUE(checkConfig(Llama4ImageConfig()).ok());
  EXPECT_TRUE(checkConfig(MllamaImageConfig()).ok());
  refused([](auto &c) { c.side = 0; }, "tile side");
  refused([](auto &c) { c.side = 1 << 20; }, "tile side");
  refused([](auto &c) { c.maxTiles = 0; }, "number of tiles");
  refused([](auto &c) { c.maxTiles = 1000; }, "number of tiles");
  refused([](auto &c) { c.patchSide = 13; }, "patch side");
  refused([](auto &c) { c.patchSide = 0; }, "patch side");
  refused([](auto &c) { c.shuffle = 5; }, "shuffle");
  refused([](auto &c) { c.shuffle = 0; }, "shuffle");
  refused([](auto &c) { c.normalization.rescale = 0; }, "rescale");
  refused([](auto &c) { c.normalization.deviation[1] = 0; }, "deviation");
  refused([](auto &c) { c.normalization.mean[2] = std::nan(""); }, "mean");
}
