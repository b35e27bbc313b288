//===- ModelPixelsTest.cpp - pictures of the model cases ------------------===//
//
// The pixel tensors and prompts that the reference models were run with, where the whole set of
// reference outputs is there.
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

using namespace llama4::image;
using namespace llama4::image::test;
namespace fs = std::filesystem;

namespace {

template <typename T>
std::vector<T> valuesOf(const llama4::SafetensorsFile &file, const char *name) {
  const auto *tensor = file.find(name);
  EXPECT_NE(tensor, nullptr) << name;
  std::vector<T> values(tensor ? tensor->bytes.size() / sizeof(T) : 0);
  if (tensor)
    std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  return values;
}

/// prompt.0.png, prompt.1.png, ... of a case.
std::vector<RgbImage> imagesOf(const fs::path &folder, const std::string &prompt) {
  std::vector<RgbImage> images;
  for (int i = 0;; ++i) {
    const fs::path path = folder / "images" / (prompt + "_" + std::to_string(i) + ".png");
    if (!fs::exists(path))
      return images;
    images.push_back(decodeFile(path));
  }
}

/// Pixels of all pictures of a prompt: 8-bit tiles, and after each picture absent ones up to a
/// multiple of `most`.
struct Pixels {
  std::vector<int> levels; ///< -1 in absent tiles
  std::vector<float> values;

  void add(const Tiles &tiles, const PixelTable &table, uint32_t most) {
    const std::vector<float> more = normalizeTiles(tiles, table, most);
    values.insert(values.end(), more.begin(), more.end());
    levels.insert(levels.end(), tiles.pixels.begin(), tiles.pixels.end());
    levels.resize(values.size(), -1);
  }
};

/// Every value of `want` is that of the level here or of one beside it; absent tiles are zero.
void expectNear(const Pixels &got, const std::vector<float> &want, const PixelTable &table,
                uint32_t side, const std::string &what) {
  ASSERT_EQ(got.values.size(), want.size()) << what;
  size_t different = 0, wrong = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    different += got.values[i] != want[i];
    if (got.levels[i] < 0) {
      wrong += got.values[i] != 0 || want[i] != 0;
      continue;
    }
    const auto &levels = table[i / (size_t{side} * side) % 3];
    const auto level = static_cast<size_t>(got.levels[i]);
    bool near = got.values[i] == levels[level] && want[i] == levels[level];
    near |= level > 0 && want[i] == levels[level - 1];
    near |= level < 255 && want[i] == levels[level + 1];
    wrong += !near;
  }
  EXPECT_EQ(wrong, 0u) << what;
  std::cout << what << ": " << different << " of " << want.size() << " values differ by a level\n";
}

int32_t idOf(const fs::path &folder, const std::string &token) {
  const Json tokenizer = readJson(folder / "tokenizer.json");
  for (const Json &one : tokenizer["added_tokens"])
    if (one["content"] == token)
      return one["id"];
  ADD_FAILURE() << token;
  return -1;
}

void checkLlama4(const fs::path &folder, const std::string &prompt) {
  auto golden =
      llama4::SafetensorsFile::open(folder / "golden" / ("prefill." + prompt + ".safetensors"));
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  Llama4ImageConfig config;
  config.side = 56;
  const PixelTable table = makePixelTable(config.normalization);
  Pixels pixels;
  std::vector<int64_t> grids;
  std::vector<Llama4Layout> layouts;
  for (const RgbImage &image : imagesOf(folder, prompt)) {
    layouts.push_back(layoutOf(image.size, config));
    grids.insert(grids.end(), {layouts.back().grid.rows, layouts.back().grid.columns});
    pixels.add(makeTiles(image, config).take(), table, 0);
  }
  expectNear(pixels, valuesOf<float>(*golden, "pixel_values"), table, config.side,
             "llama4-vision " + prompt);
  EXPECT_EQ(grids, valuesOf<int64_t>(*golden, "aspect_ratios"));
  const Llama4ImageIds ids = {
      idOf(folder, "<|image_start|>"),      idOf(folder, "<|image|>"),
      idOf(folder, "<|image_end|>"),        idOf(folder, "<|patch|>"),
      idOf(folder, "<|tile_x_separator|>"), idOf(folder, "<|tile_y_separator|>")};
  std::vector<int32_t> expanded, compact;
  bool inside = false;
  for (int64_t wide : valuesOf<int64_t>(*golden, "input_ids")) {
    const auto id = static_cast<int32_t>(wide);
    expanded.push_back(id);
    inside |= id == ids.imageStart;
    if (!inside || id == ids.image)
      compact.push_back(id);
    inside &= id != ids.imageEnd;
  }
  EXPECT_EQ(expandPrompt(compact, layouts, ids)->ids, expanded);
}

void checkMllama(const fs::path &folder, const std::string &prompt) {
  auto golden =
      llama4::SafetensorsFile::open(folder / "golden" / ("prefill." + prompt + ".safetensors"));
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  MllamaImageConfig config;
  config.side = 56;
  const PixelTable table = makePixelTable(config.normalization);
  Pixels pixels;
  std::vector<int64_t> aspectIds, mask;
  for (const RgbImage &image : imagesOf(folder, prompt)) {
    const MllamaLayout layout = layoutOf(image.size, config);
    aspectIds.push_back(layout.aspectRatioId);
    for (uint32_t i = 0; i < config.maxTiles; ++i)
      mask.push_back(i < layout.tiles);
    pixels.add(makeTiles(image, config).take(), table, config.maxTiles);
  }
  expectNear(pixels, valuesOf<float>(*golden, "pixel_values"), table, config.side,
             "mllama " + prompt);
  EXPECT_EQ(aspectIds, valuesOf<int64_t>(*golden, "aspect_ratio_ids"));
  EXPECT_EQ(mask, valuesOf<int64_t>(*golden, "aspect_ratio_mask"));
  std::vector<int32_t> ids;
  for (int64_t wide : valuesOf<int64_t>(*golden, "input_ids"))
    ids.push_back(static_cast<int32_t>(wide));
  const size_t images = aspectIds.size();
  auto intervals = crossIntervals(ids, idOf(folder, "<|image|>"), images);
  ASSERT_TRUE(intervals.ok()) << intervals.status().message();
  const auto seen = valuesOf<int64_t>(*golden, "cross_attention_mask");
  ASSERT_EQ(seen.size(), ids.size() * images * 4);
  for (size_t t = 0; t < ids.size(); ++t)
    for (size_t i = 0; i < images; ++i)
      for (size_t tile = 0; tile < 4; ++tile)
        EXPECT_EQ(seen[(t * images + i) * 4 + tile],
                  (*intervals)[i].sees(t) && mask[4 * i + tile] != 0);
}

} // namespace

TEST(ModelPixels, Llama4Vision) {
  const fs::path folder = oracleFolder("llama4-vision");
  if (folder.empty())
    GTEST_SKIP() << "no reference outputs llama4-vision (LLAMA4_ORACLES)";
  for (const char *prompt : {"one", "two", "tiled"})
    checkLlama4(folder, prompt);
}

TEST(ModelPixels, Mllama) {
  const fs::path folder = oracleFolder("mllama");
  if (folder.empty())
    GTEST_SKIP() << "no reference outputs mllama (LLAMA4_ORACLES)";
  for (const char *prompt : {"one_tile", "four_tiles", "wide", "twoturn"})
    checkMllama(folder, prompt);
}
