//===- Weights.cpp - names and layouts of Llama 3.2 Vision weights --------===//

#include "models/llama3_vision/Weights.h"

namespace llama4::llama3_vision {

static constexpr std::string_view kTower = "vision_model.", kProjector = "multi_modal_projector.";
static constexpr std::string_view kLanguage = "language_model.";
static constexpr std::string_view kPatches = "vision_model.patch_embedding.weight";

Weights::Weights(const Checkpoint &checkpoint, const ModelConfig &config,
                 const models::ModelOptions &options)
    : config_(config), withVision_(options.vision),
      stored_(checkpoint, {config.storedType, config.quantization, options.compute == "float32"}) {}

Result<graph::StoredTensor> Weights::resolve(const std::string &canonical,
                                             std::span<const int64_t> dims) {
  if (canonical == kPatches) {
    const int64_t patch = config_.vision.patchSize;
    const std::vector<int64_t> convolution = {dims[0], config_.vision.channels, patch, patch};
    return stored_.take(canonical, convolution);
  }
  if (canonical.starts_with(kTower) || canonical.starts_with(kProjector))
    return stored_.take(canonical, dims);
  return stored_.take(std::string(kLanguage) + canonical, dims);
}

bool Weights::isVision(std::string_view source) const {
  if (source.starts_with(kTower) || source.starts_with(kProjector))
    return true;
  for (size_t i = 0; i < config_.facts.size(); ++i)
    if (config_.facts[i].isCross &&
        source.starts_with(std::string(kLanguage) + "model.layers." + std::to_string(i) + "."))
      return true;
  return false;
}

Status Weights::checkAllUsed() const {
  return stored_.checkAllUsed(
      [this](std::string_view source) { return !withVision_ && isVision(source); });
}

std::vector<std::string> Weights::remarks() const {
  std::vector<std::string> remarks = stored_.remarks();
  const int64_t vision =
      stored_.count([this](std::string_view source) { return isVision(source); });
  if (vision && !withVision_)
    remarks.push_back(std::to_string(vision) +
                      " tensors of the vision part are left out (vision_model.*, "
                      "multi_modal_projector.*, layers of cross-attention): only text is compiled");
  return remarks;
}

} // namespace llama4::llama3_vision
