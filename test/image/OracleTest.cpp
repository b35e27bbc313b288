//===- OracleTest.cpp - tiles, ids and masks of the reference -------------===//
//
// Goldens of transformers' image processors on 14 pictures. Decoded bytes, grids, ids, masks and
// prompts must be exact; pixels are within 1 level of 255, and their sums near, because the
// reference scales with torchvision, which differs from Pillow by that much.
//
//===----------------------------------------------------------------------===//

#include "runtime/format/Safetensors.h"
#include "runtime/image/Llama4Images.h"
#include "runtime/image/MllamaImages.h"
#include "test/image/ImageTestSupport.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <iostream>
#include <map>

using namespace llama4::image;
using namespace llama4::image::test;
namespace fs = std::filesystem;

namespace {

/// Largest difference and how many values differ.
struct Difference {
  int most = 0;
  uint64_t different = 0, values = 0;

  void add(int a, int b) {
    most = std::max(most, std::abs(a - b));
    different += a != b;
    ++values;
  }
  void add(const Difference &other) {
    most = std::max(most, other.most);
    different += other.different;
    values += other.values;
  }
};

/// A picture of meta.json with its goldens.
struct Case {
  fs::path folder;
  std::string name; ///< with its variant
  Json meta;
  RgbImage image;

  fs::path golden(const std::string &end) const { return folder / "golden" / (name + end); }
};

/// The RGB picture of `name`, whose variants say how it was loaded.
RgbImage load(const fs::path &folder, std::string name) {
  DecodeOptions options;
  options.alpha = AlphaMode::Drop;
  auto takeSuffix = [&](const std::string &suffix) {
    if (!name.ends_with(suffix))
      return false;
    name.resize(name.size() - suffix.size());
    return true;
  };
  if (takeSuffix(".no_exif"))
    options.applyOrientation = false;
  if (takeSuffix(".white_background"))
    options.alpha = AlphaMode::White;
  if (!fs::exists(folder / "images" / name))
    return {};
  return decodeFile(folder / "images" / name, options);
}

std::vector<Case> allCases() {
  std::vector<Case> cases;
  const fs::path folder = oracleFolder("image_preprocess");
  const Json meta = readJson(folder / "golden/meta.json");
  for (const auto &[name, one] : meta["images"].items()) {
    RgbImage image = load(folder, name);
    if (image.pixels.empty())
      std::cout << "skipped: " << name << "\n";
    else
      cases.push_back({folder, name, one, std::move(image)});
  }
  return cases;
}

/// The tiles `first` to `first + grid` beside a picture of the canvas.
Difference compareCanvas(const Tiles &tiles, uint32_t first, Grid grid, const fs::path &file) {
  Difference difference;
  const RgbImage canvas = decodeFile(file);
  EXPECT_EQ(canvas.size, (ImageSize{grid.columns * tiles.side, grid.rows * tiles.side})) << file;
  for (uint32_t y = 0; y < canvas.size.height; ++y)
    for (uint32_t x = 0; x < canvas.size.width; ++x)
      for (uint32_t c = 0; c < 3; ++c) {
        const auto tile = tiles.tile(first + y / tiles.side * grid.columns + x / tiles.side);
        const size_t at = (size_t{c} * tiles.side + y % tiles.side) * tiles.side + x % tiles.side;
        difference.add(tile[at], canvas.row(y)[3 * x + c]);
      }
  return difference;
}

/// The tiles beside `tensor` = u8[tiles, 3, side / stepY, side / stepX] of some of their pixels.
Difference compareSome(const Tiles &tiles, uint32_t stepY, uint32_t stepX,
                       const llama4::SafetensorsTensor &tensor) {
  Difference difference;
  const uint32_t height = (tiles.side + stepY - 1) / stepY,
                 width = (tiles.side + stepX - 1) / stepX;
  const std::vector<int64_t> shape = {tiles.count, 3, height, width};
  EXPECT_EQ(tensor.shape, shape);
  if (tensor.shape != shape)
    return difference;
  size_t next = 0;
  for (uint32_t t = 0; t < tiles.count; ++t)
    for (uint32_t c = 0; c < 3; ++c)
      for (uint32_t y = 0; y < height; ++y)
        for (uint32_t x = 0; x < width; ++x) {
          const size_t at = (size_t{c} * tiles.side + size_t{y} * stepY) * tiles.side + x * stepX;
          difference.add(tiles.tile(t)[at], std::to_integer<int>(tensor.bytes[next++]));
        }
  return difference;
}

/// Sums per tile: many values, so that a shift or an exchanged tile shows.
void compareSums(const Tiles &tiles, const Json &sums, const std::string &name) {
  ASSERT_EQ(tiles.count, sums.size()) << name;
  for (uint32_t t = 0; t < tiles.count; ++t) {
    double sum = 0;
    for (uint8_t value : tiles.tile(t))
      sum += value;
    EXPECT_NEAR(sum / static_cast<double>(tiles.tileBytes()),
                sums[t].get<double>() / static_cast<double>(tiles.tileBytes()), 0.05)
        << name << " tile " << t;
  }
}

llama4::SafetensorsFile openGolden(const fs::path &path) {
  auto file = llama4::SafetensorsFile::open(path);
  if (!file.ok())
    throw std::runtime_error(file.status().message());
  return file.take();
}

/// All that the goldens say about one picture for Llama 4.
Difference compareLlama4(const Case &one, const Llama4ImageConfig &config, const std::string &key,
                         uint32_t stepY, uint32_t stepX) {
  const Json &meta = one.meta[key];
  const Llama4Layout layout = layoutOf(one.image.size, config);
  const Grid grid = {meta["aspect_ratio_rows_cols"][0], meta["aspect_ratio_rows_cols"][1]};
  EXPECT_EQ(layout.grid, grid) << one.name;
  EXPECT_EQ(layout.tiles, meta["num_tiles_with_global"].get<uint32_t>()) << one.name;
  auto tiles = makeTiles(one.image, config);
  EXPECT_TRUE(tiles.ok());
  compareSums(*tiles, meta["u8_sum_per_tile"], one.name);
  const auto golden = openGolden(one.golden(".safetensors"));
  Difference difference;
  if (const auto *some = golden.find(key + ".u8_sub"))
    difference = compareSome(*tiles, stepY, stepX, *some);
  if (key == "llama4" && fs::exists(one.golden(".llama4.canvas.png")))
    difference.add(compareCanvas(*tiles, 0, grid, one.golden(".llama4.canvas.png")));
  if (key == "llama4" && fs::exists(one.golden(".llama4.global.png")))
    difference.add(
        compareCanvas(*tiles, layout.tiles - 1, {1, 1}, one.golden(".llama4.global.png")));
  EXPECT_LE(difference.most, 1) << one.name;
  return difference;
}

Difference compareMllama(const Case &one, const MllamaImageConfig &config) {
  const Json &meta = one.meta["mllama"];
  const MllamaLayout layout = layoutOf(one.image.size, config);
  const Grid grid = {meta["aspect_ratio_rows_cols"][0], meta["aspect_ratio_rows_cols"][1]};
  EXPECT_EQ(layout.grid, grid) << one.name;
  EXPECT_EQ(layout.aspectRatioId, meta["aspect_ratio_id"].get<uint32_t>()) << one.name;
  EXPECT_EQ(layout.tiles, meta["num_tiles"].get<uint32_t>()) << one.name;
  for (uint32_t t = 0; t < config.maxTiles; ++t)
    EXPECT_EQ(t < layout.tiles, meta["aspect_ratio_mask"][t] == 1) << one.name;
  auto tiles = makeTiles(one.image, config);
  EXPECT_TRUE(tiles.ok());
  compareSums(*tiles, meta["u8_sum_per_tile"], one.name);
  const auto golden = openGolden(one.golden(".safetensors"));
  Difference difference;
  if (const auto *some = golden.find("mllama.u8_sub"))
    difference = compareSome(*tiles, 7, 5, *some);
  if (fs::exists(one.golden(".mllama.canvas.png")))
    difference.add(compareCanvas(*tiles, 0, grid, one.golden(".mllama.canvas.png")));
  EXPECT_LE(difference.most, 1) << one.name;
  return difference;
}

void print(const char *what, const Difference &difference) {
  EXPECT_GT(difference.values, 150'000u);
  std::cout << what << ": largest difference " << difference.most << ", " << difference.different
            << " of " << difference.values << " values differ\n";
}

} // namespace

TEST(ImageOracle, DecodedBytesAreEqual) {
  for (const Case &one : allCases()) {
    EXPECT_EQ(sha256(one.image.pixels), one.meta["decoded_rgb_sha256"].get<std::string>())
        << one.name;
    EXPECT_EQ(one.image.size.width, one.meta["size_wh"][0].get<uint32_t>()) << one.name;
    EXPECT_EQ(one.image.size.height, one.meta["size_wh"][1].get<uint32_t>()) << one.name;
  }
}

TEST(ImageOracle, Llama4Tiles) {
  const std::vector<Case> cases = allCases();
  ASSERT_GE(cases.size(), 13u);
  for (PassOrder order : {PassOrder::Pillow12, PassOrder::Pillow13}) {
    Llama4ImageConfig config;
    config.order = order;
    Difference all;
    for (const Case &one : cases)
      all.add(compareLlama4(one, config, "llama4", 7, 5));
    print(order == PassOrder::Pillow12 ? "llama4, pillow12" : "llama4, pillow13", all);
  }
}

TEST(ImageOracle, Llama4LargestCanvas) {
  Llama4ImageConfig config;
  config.resizeToMaxCanvas = true;
  Difference all;
  for (const Case &one : allCases())
    all.add(compareLlama4(one, config, "llama4_max_canvas", 21, 21));
  print("llama4, largest canvas", all);
}

TEST(ImageOracle, MllamaTiles) {
  const std::vector<Case> cases = allCases();
  for (PassOrder order : {PassOrder::Pillow12, PassOrder::Pillow13}) {
    MllamaImageConfig config;
    config.order = order;
    Difference all;
    for (const Case &one : cases)
      all.add(compareMllama(one, config));
    print(order == PassOrder::Pillow12 ? "mllama, pillow12" : "mllama, pillow13", all);
  }
}

TEST(ImageOracle, PromptExpansion) {
  const std::map<std::string, int32_t> marks = {
      {"<|image_start|>", 1000},      {"<|image|>", 1001},
      {"<|image_end|>", 1002},        {"<|patch|>", 1003},
      {"<|tile_x_separator|>", 1004}, {"<|tile_y_separator|>", 1005}};
  for (const Case &one : allCases()) {
    const Json &meta = one.meta["llama4"];
    std::vector<int32_t> expected, prompt;
    for (const Json &run : meta["prompt_runs"]) {
      const auto known = marks.find(run[0]);
      const int32_t id =
          known != marks.end() ? known->second : static_cast<int32_t>(expected.size() % 7);
      expected.insert(expected.end(), run[1].get<size_t>(), id);
      if (known == marks.end())
        prompt.push_back(id);
      else if (run[0] == "<|image|>")
        prompt.push_back(id);
    }
    const Llama4Layout layout = layoutOf(one.image.size, Llama4ImageConfig());
    auto expanded =
        expandPrompt(prompt, std::span(&layout, 1), {1000, 1001, 1002, 1003, 1004, 1005});
    ASSERT_TRUE(expanded.ok()) << expanded.status().message();
    EXPECT_EQ(expanded->ids, expected) << one.name;
    EXPECT_EQ(expanded->ids.size(), meta["prompt_len"].get<size_t>()) << one.name;
  }
}

TEST(ImageOracle, NormalizationTables) {
  const auto golden = openGolden(dataPath("image_preprocess/golden/lut.safetensors"));
  for (const auto &[name, table] :
       {std::pair("llama4", makePixelTable(Llama4ImageConfig().normalization)),
        std::pair("mllama", makePixelTable(MllamaImageConfig().normalization))}) {
    const auto *tensor = golden.find(name);
    ASSERT_NE(tensor, nullptr);
    ASSERT_EQ(tensor->bytes.size(), sizeof(table));
    EXPECT_EQ(std::memcmp(tensor->bytes.data(), &table, sizeof(table)), 0) << name;
  }
}

TEST(ImageOracle, CrossAttentionIntervals) {
  for (const Json &one : readJson(dataPath("image_preprocess/golden/cross_attention_masks.json"))) {
    const auto ids = one["input_ids"].get<std::vector<int32_t>>();
    const Json &sparse = one["sparse"], &dense = one["dense"];
    auto intervals = crossIntervals(ids, 128256, sparse.size());
    ASSERT_TRUE(intervals.ok()) << intervals.status().message();
    for (size_t i = 0; i < sparse.size(); ++i) {
      const auto end = sparse[i][1].get<int64_t>();
      const CrossInterval &interval = (*intervals)[i];
      EXPECT_EQ(interval.begin, sparse[i][0].get<uint32_t>()) << one["name"];
      EXPECT_EQ(interval.end, end < 0 ? ids.size() : static_cast<size_t>(end)) << one["name"];
      for (size_t t = 0; t < ids.size(); ++t)
        EXPECT_EQ(interval.sees(t), dense[0][t][i][0] == 1) << one["name"] << " " << t;
      EXPECT_EQ(interval.sees(1000000), dense[0][ids.size() - 1][i][0] == 1) << one["name"];
    }
  }
}
