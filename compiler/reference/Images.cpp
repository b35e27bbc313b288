//===- Images.cpp - images in the reference interpreter -------------------===//

#include "compiler/reference/Images.h"

#include "compiler/reference/Frame.h"
#include "runtime/format/Quoted.h"

#include <algorithm>

using namespace mlir;

namespace llama4::reference {

//===----------------------------------------------------------------------===//
// Entries over tiles or images
//===----------------------------------------------------------------------===//

/// Units [first, first + count) of a tensor.
static HostTensor slice(const HostTensor &tensor, int64_t first, int64_t count) {
  HostTensor part;
  part.element = tensor.element;
  part.shape = tensor.shape;
  part.shape[0] = count;
  auto cut = [&](const auto &from, auto &to) {
    const int64_t unit = static_cast<int64_t>(from.size()) / tensor.shape[0];
    to.assign(from.begin() + first * unit, from.begin() + (first + count) * unit);
  };
  cut(tensor.values, part.values);
  cut(tensor.ints, part.ints);
  return part;
}

/// Runs an entry on inputs of as many units each, as many units at a time as its bound allows.
static Result<std::vector<HostTensor>> runUnits(Interpreter &interpreter, const std::string &name,
                                                const NamedTensors &inputs) {
  auto func = interpreter.module().lookupSymbol<func::FuncOp>(name);
  lm::EntryAttr entry = func ? lm::getEntry(func) : lm::EntryAttr();
  if (!entry)
    return Status::invalidInput("found no entry " + quoteName(name) +
                                " in the module: it knows no images of this kind.");
  const int64_t units = inputs.begin()->second.shape[0];
  std::vector<HostTensor> results;
  for (int64_t first = 0; first < units; first += entry.getBound()) {
    NamedTensors part;
    for (const auto &[input, tensor] : inputs)
      part[input] = slice(tensor, first, std::min(entry.getBound(), units - first));
    LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> made, interpreter.runEntry(name, part));
    results.resize(made.size());
    for (size_t i = 0; i < made.size(); ++i) {
      if (first == 0) {
        results[i] = std::move(made[i]);
        continue;
      }
      results[i].shape[0] += made[i].shape[0];
      results[i].values.insert(results[i].values.end(), made[i].values.begin(),
                               made[i].values.end());
    }
  }
  return results;
}

Result<HostTensor> encodeTiles(Interpreter &interpreter, const HostTensor &pixels) {
  if (pixels.shape.size() != 3 || pixels.shape[0] < 1)
    return Status::invalidInput("pixels: found a tensor of rank " +
                                std::to_string(pixels.shape.size()) +
                                ", expected [tiles, channels * side, side].");
  LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> results,
                          runUnits(interpreter, "encode_image", {{"pixels", pixels}}));
  return std::move(results.at(0));
}

//===----------------------------------------------------------------------===//
// Cross-attention
//===----------------------------------------------------------------------===//

/// How many tiles each image has, from a mask of the tiles that there are.
static Result<HostTensor> countTiles(const HostTensor &mask, int64_t images) {
  HostTensor tiles = HostTensor::zeros(Element::I32, {images});
  const int64_t perImage = static_cast<int64_t>(mask.ints.size()) / images;
  for (int64_t image = 0; image < images; ++image) {
    auto begin = mask.ints.begin() + image * perImage, end = begin + perImage;
    tiles.ints[image] = static_cast<int32_t>(std::count(begin, end, 1));
    if (!std::is_sorted(begin, end, std::greater<>()) || tiles.ints[image] == 0)
      return Status::invalidInput(
          "aspect_ratio_mask: image " + std::to_string(image) +
          " has no tiles or gaps between them, expected ones before zeros.");
  }
  return tiles;
}

/// The images that each token sees, which must be one run of them with all tiles that they have.
static Status readRanges(const HostTensor &mask, const HostTensor &tiles, StepImages &images) {
  const int64_t count = tiles.rows();
  const int64_t tokens = mask.shape.size() == 3 ? mask.shape[1] / count : 0;
  const int64_t perImage = mask.shape.back();
  if (tokens * count * perImage != static_cast<int64_t>(mask.ints.size()))
    return Status::invalidInput("cross_attention_mask: expected [1, tokens, " +
                                std::to_string(count) + " images, tiles].");
  for (int64_t t = 0; t < tokens; ++t) {
    int32_t first = 0, seen = 0;
    for (int64_t image = 0; image < count; ++image) {
      auto begin = mask.ints.begin() + (t * count + image) * perImage, end = begin + perImage;
      const int64_t visible = std::count(begin, end, 1);
      if (visible == 0)
        continue;
      if (seen++ == 0)
        first = static_cast<int32_t>(image);
      if (visible != tiles.ints[image] || !std::is_sorted(begin, end, std::greater<>()) ||
          first + seen != image + 1)
        return Status::invalidInput("cross_attention_mask: token " + std::to_string(t) +
                                    " sees part of image " + std::to_string(image) +
                                    " or images apart, expected one run of whole images.");
    }
    images.first.push_back(first);
    images.count.push_back(seen);
  }
  return {};
}

/// An input of the image processor.
static Result<const HostTensor *> find(const NamedTensors &processed, const char *name) {
  auto it = processed.find(name);
  if (it == processed.end())
    return Status::invalidInput("found no tensor " + quoteName(name) +
                                ", which a model with cross-attention needs for images.");
  return &it->second;
}

Result<StepImages> encodeImages(Interpreter &interpreter, const NamedTensors &processed) {
  LLAMA4_ASSIGN_OR_RETURN(const HostTensor *pixels, find(processed, "pixel_values"));
  LLAMA4_ASSIGN_OR_RETURN(const HostTensor *ids, find(processed, "aspect_ratio_ids"));
  LLAMA4_ASSIGN_OR_RETURN(const HostTensor *there, find(processed, "aspect_ratio_mask"));
  LLAMA4_ASSIGN_OR_RETURN(const HostTensor *mask, find(processed, "cross_attention_mask"));
  const auto count = static_cast<int64_t>(ids->ints.size());
  const int64_t lines = pixels->shape.size() == 3 ? pixels->shape[0] * pixels->shape[1] : 0;
  if (count == 0 || lines % count != 0 || there->ints.empty() ||
      static_cast<int64_t>(there->ints.size()) % count != 0)
    return Status::invalidInput("pixel_values and aspect_ratio_mask: expected those of " +
                                std::to_string(count) + " images, as aspect_ratio_ids has.");
  StepImages images;
  LLAMA4_ASSIGN_OR_RETURN(images.pools["image_tiles"], countTiles(*there, count));
  const HostTensor &tiles = images.pools["image_tiles"];
  LLAMA4_RETURN_IF_ERROR(readRanges(*mask, tiles, images));
  HostTensor units = *pixels;
  units.shape = {count, lines / count, pixels->columns()};
  LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> features,
                          runUnits(interpreter, "encode_image",
                                   {{"pixels", std::move(units)},
                                    {"aspect_ratio_ids", HostTensor::indices(ids->ints)},
                                    {"tiles", tiles}}));
  LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> states,
                          runUnits(interpreter, "cross_kv", {{"features", features.at(0)}}));
  for (size_t i = 0; i < states.size(); ++i)
    images.pools[(i % 2 ? "cross_value_" : "cross_key_") + std::to_string(i / 2)] =
        std::move(states[i]);
  return images;
}

//===----------------------------------------------------------------------===//
// Inputs of a step
//===----------------------------------------------------------------------===//

/// The type of the argument of entry `step` called `name`; null where there is none.
static RankedTensorType stepInput(ModuleOp module, StringRef name) {
  auto step = module.lookupSymbol<func::FuncOp>("step");
  for (BlockArgument argument : step ? step.getArguments() : MutableArrayRef<BlockArgument>())
    if (argumentName(step, argument.getArgNumber()) == name)
      return dyn_cast<RankedTensorType>(argument.getType());
  return {};
}

Result<std::vector<int32_t>> featureRows(ModuleOp module, const std::vector<int32_t> &ids,
                                         int64_t features) {
  auto model = module->getAttrOfType<DictionaryAttr>(lm::modelAttrName);
  auto image = model ? model.getAs<IntegerAttr>("image_token_id") : IntegerAttr();
  const bool takesFeatures = image && stepInput(module, "feature_row");
  std::vector<int32_t> rows(ids.size(), -1);
  int32_t next = 0;
  for (size_t t = 0; takesFeatures && t < ids.size(); ++t)
    if (ids[t] == image.getInt())
      rows[t] = next++;
  if (next != features)
    return Status::invalidInput("input_ids: found " + std::to_string(next) +
                                " image tokens, expected one for each of " +
                                std::to_string(features) + " feature rows of the images.");
  return rows;
}

void addImageInputs(ModuleOp module, const StepImages &images,
                    const std::vector<int32_t> &featureRows, int64_t first, int64_t last,
                    NamedTensors &inputs) {
  auto part = [&](const std::vector<int32_t> &numbers, const char *name) {
    if (numbers.empty())
      inputs[name] = HostTensor::zeros(Element::I32, {last - first});
    else
      inputs[name] = HostTensor::indices({numbers.begin() + first, numbers.begin() + last});
  };
  part(featureRows, "feature_row");
  part(images.first, "image_first");
  part(images.count, "image_count");
  HostTensor sees = HostTensor::zeros(Element::F32, {last - first, 1});
  for (size_t t = 0; t < sees.values.size(); ++t)
    sees.values[t] = inputs["image_count"].ints[t] > 0 ? 1.0f : 0.0f;
  inputs["sees_image"] = std::move(sees);
  for (const auto &[name, pool] : images.pools)
    inputs[name] = pool;
  if (!images.features.shape.empty()) {
    inputs["features"] = images.features;
    inputs["features"].shape = {images.features.rows(), images.features.columns()};
  }
  auto step = module.lookupSymbol<func::FuncOp>("step");
  for (BlockArgument argument : step.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    const std::string name = argumentName(step, argument.getArgNumber());
    if (!type || !type.hasStaticShape() || inputs.count(name))
      continue;
    std::vector<int64_t> shape = type.getShape().vec();
    shape[0] = 0;
    inputs[name] = HostTensor::zeros(elementOf(type.getElementType()), std::move(shape));
  }
}

} // namespace llama4::reference
