//===- ImageModel.cpp - the test model with pictures ----------------------===//

#include "test/engine/ImageModel.h"

#include "runtime/format/RopeGrid.h"

#include <gtest/gtest.h>

namespace llama4::test {

namespace {

constexpr uint32_t side = 4, tileRows = 4, mostTiles = 4, crossRows = 5;
constexpr uint32_t unitRows(ImageFamily family) {
  return family == ImageFamily::Llama4 ? tileRows : mostTiles * crossRows;
}

KernelParam param(ElementType type, uint32_t columns, Access access, uint32_t perSymbol = 1,
                  uint32_t fixed = 0) {
  KernelParam made;
  made.access = access;
  made.type = type;
  made.columns = columns;
  made.rowBytes = rowBytes(type, columns);
  made.rowsPerSymbol = perSymbol;
  made.rowsFixed = fixed;
  return made;
}

EntryTensor argument(const char *name, ElementType type, uint32_t columns, uint32_t perSymbol = 1,
                     uint32_t fixed = 0, InputRole role = InputRole::Tensor) {
  EntryTensor made;
  made.name = name;
  made.type = type;
  made.columns = columns;
  made.rowsPerSymbol = perSymbol;
  made.rowsFixed = fixed;
  made.role = role;
  return made;
}

Binding input(uint32_t index) { return {BindingKind::Input, index, 0}; }
Binding output(uint32_t index) { return {BindingKind::Output, index, 0}; }

/// A kernel of its own whose parameters are the entry's inputs, then its outputs.
Entry entryOf(ProgramDesc &program, const char *name, const char *kernel,
              std::vector<EntryTensor> inputs, std::vector<EntryTensor> outputs) {
  Entry entry;
  entry.name = entry.function = name;
  entry.symbol = "N";
  entry.bound = imageStepTiles;
  Kernel made;
  made.symbol = kernel;
  Command command = {static_cast<uint32_t>(program.kernels.size()), {}, {1, 1, 0}, {}, name};
  for (const EntryTensor &one : inputs) {
    made.params.push_back(
        param(one.type, one.columns, Access::Read, one.rowsPerSymbol, one.rowsFixed));
    command.bindings.push_back(input(static_cast<uint32_t>(command.bindings.size())));
  }
  for (const EntryTensor &one : outputs) {
    made.params.push_back(
        param(one.type, one.columns, Access::Write, one.rowsPerSymbol, one.rowsFixed));
    command.bindings.push_back(
        output(static_cast<uint32_t>(command.bindings.size() - inputs.size())));
  }
  entry.inputs = std::move(inputs);
  entry.outputs = std::move(outputs);
  entry.commands = {std::move(command)};
  program.kernels.push_back(std::move(made));
  return entry;
}

/// Lets the steps work on their embedded rows with further inputs, behind the first command.
void addToSteps(ProgramDesc &program, const char *kernel, const std::vector<EntryTensor> &inputs) {
  Kernel made;
  made.symbol = kernel;
  made.params = {param(ElementType::F32, 8, Access::ReadWrite)};
  for (const EntryTensor &one : inputs)
    made.params.push_back(
        param(one.type, one.columns, Access::Read, one.rowsPerSymbol, one.rowsFixed));
  for (Entry &entry : program.entries) {
    if (entry.function != "step")
      continue;
    Command command = {static_cast<uint32_t>(program.kernels.size()),
                       {{BindingKind::Transient, 0, 0}},
                       {1, 1, 0},
                       {},
                       "images"};
    for (const EntryTensor &one : inputs) {
      command.bindings.push_back(input(static_cast<uint32_t>(entry.inputs.size())));
      entry.inputs.push_back(one);
    }
    entry.commands.insert(entry.commands.begin() + 1, std::move(command));
  }
  program.kernels.push_back(std::move(made));
}

void addLlama4(ProgramDesc &program) {
  addToSteps(program, "tiny_merge",
             {argument("feature_row", ElementType::I32, 0),
              argument("features", ElementType::F32, 8, 0, imageUnits * tileRows)});
  program.grids = {{"places", 2, 2, {1.0f}}};
  program.entries.push_back(
      entryOf(program, "encode_image", "tiny_encode_tiles",
              {argument("pixels", ElementType::F32, side, 3 * side),
               argument("cos", ElementType::F32, 2, 0, 5, InputRole::GridCos),
               argument("sin", ElementType::F32, 2, 0, 5, InputRole::GridSin)},
              {argument("features", ElementType::F32, 8, tileRows)}));
}

void addMllama(ProgramDesc &program) {
  const uint32_t rows = mostTiles * crossRows;
  addToSteps(program, "tiny_cross",
             {argument("image_first", ElementType::I32, 0),
              argument("image_count", ElementType::I32, 0),
              argument("sees_image", ElementType::F32, 1),
              argument("image_tiles", ElementType::I32, 0, 0, imageUnits),
              argument("cross_key_0", ElementType::F32, 8, 0, imageUnits * rows),
              argument("cross_value_0", ElementType::F32, 8, 0, imageUnits * rows)});
  program.entries.push_back(entryOf(
      program, "encode_image", "tiny_encode_image",
      {argument("pixels", ElementType::F32, side, mostTiles * 3 * side),
       argument("aspect_ratio_ids", ElementType::I32, 0), argument("tiles", ElementType::I32, 0)},
      {argument("features", ElementType::F32, 8, rows)}));
  program.entries.push_back(entryOf(
      program, "cross_kv", "tiny_cross_state", {argument("features", ElementType::F32, 8, rows)},
      {argument("key", ElementType::F32, 8, rows), argument("value", ElementType::F32, 8, rows)}));
}

/// What the kernels make of one picture's pixels, absent tiles as zeros.
int64_t sumOf(const ImagePixels &image, uint32_t firstTile, uint32_t tiles) {
  int64_t sum = 0;
  const size_t each = 3 * side * side;
  for (size_t i = 0; i < tiles * each && firstTile * each + i < image.pixels.size(); ++i)
    sum += static_cast<int64_t>(image.pixels[firstTile * each + i]) * static_cast<int64_t>(i + 1);
  return sum % 1009;
}

/// Feature rows of a picture.
std::vector<Hidden> featuresOf(ImageFamily family, const ImagePixels &image) {
  std::vector<Hidden> rows;
  float cos[10], sin[10];
  const float frequency = 1.0f;
  fillRopeGrid({&frequency, 1}, 2, 2, cos, sin);
  const bool isLlama4 = family == ImageFamily::Llama4;
  const int64_t count = isLlama4 ? image.tiles * tileRows : mostTiles * crossRows;
  for (int64_t row = 0; row < count; ++row) {
    const int64_t k = isLlama4 ? row % tileRows : row;
    const int64_t sum = isLlama4 ? sumOf(image, static_cast<uint32_t>(row) / tileRows, 1)
                                 : sumOf(image, 0, mostTiles);
    const int64_t rest = isLlama4 ? static_cast<int>(cos[k * 2] * 64) + 64 +
                                        static_cast<int>(sin[k * 2 + 1] * 64) + 64
                                  : int64_t{image.aspectRatioId} * 3 + image.tiles * 5;
    Hidden hidden;
    for (int64_t d = 0; d < 8; ++d)
      hidden[static_cast<size_t>(d)] = static_cast<float>((sum * (d + 1) + k * 7 + rest) % 29);
    rows.push_back(hidden);
  }
  return rows;
}

/// What a token sees of a picture, in column `d`.
int64_t seenOf(const ImagePixels &image, size_t d) {
  const std::vector<Hidden> features = featuresOf(ImageFamily::Mllama, image);
  int64_t sum = 0;
  for (int64_t r = 0; r < image.tiles * crossRows; ++r) {
    const auto feature = static_cast<int64_t>(features[static_cast<size_t>(r)][d]);
    sum += (feature + 1) * (r % 3 + 1) + feature * 2 + 1;
  }
  return sum;
}

} // namespace

ProgramDesc imageProgram(ImageFamily family) {
  ProgramDesc program = tinyProgram();
  ImageInfo &images = program.images;
  images.family = family;
  images.imageSize = side;
  images.patchSize = 2;
  images.maxTiles = mostTiles;
  const bool isLlama4 = family == ImageFamily::Llama4;
  images.tokensPerTile = isLlama4 ? tileRows : crossRows;
  images.maxFeatureRows = imageUnits * unitRows(family);
  images.imageToken = isLlama4 ? llama4ImageToken : mllamaImageToken;
  if (isLlama4) {
    images.patchToken = llama4PatchToken;
    images.startToken = 8;
    images.endToken = 9;
    images.tileXToken = 10;
    images.tileYToken = 11;
  }
  isLlama4 ? addLlama4(program) : addMllama(program);
  return program;
}

std::shared_ptr<const Program> loadImageModel(ImageFamily family, const std::string &path) {
  return loadProgram(imageProgram(family), path);
}

ImagePixels makePicture(uint32_t tiles, uint32_t seed) {
  ImagePixels image;
  image.tiles = tiles;
  image.aspectRatioId = seed % 8 + 1;
  for (uint32_t i = 0; i < tiles * 3 * side * side; ++i) {
    seed = seed * 1664525u + 1013904223u;
    image.pixels.push_back(static_cast<float>((seed >> 16) % 11));
  }
  image.makeKey();
  return image;
}

std::vector<Hidden> imageReference(ImageFamily family, std::span<const int32_t> ids,
                                   const PromptImages &images) {
  std::vector<Hidden> features; // of all pictures
  for (const ImagePixels &image : images.images) {
    const std::vector<Hidden> more = featuresOf(family, image);
    features.insert(features.end(), more.begin(), more.end());
  }
  const ImagePlaces &places = images.places;
  return tinyReference(ids, [&](size_t t, Hidden &x) {
    if (t < places.featureRows.size() && places.featureRows[t] >= 0)
      x = features[static_cast<size_t>(places.featureRows[t])];
    if (places.count.empty())
      return;
    const size_t at = std::min(t, places.count.size() - 1);
    for (size_t d = 0; d < 8; ++d) {
      auto sum = static_cast<int64_t>(x[d]);
      for (int32_t i = places.first[at]; i < places.first[at] + places.count[at]; ++i)
        sum += seenOf(images.images[static_cast<size_t>(i)], d);
      if (places.count[at] > 0)
        x[d] = static_cast<float>((sum + 1) % 97);
    }
  });
}

} // namespace llama4::test
