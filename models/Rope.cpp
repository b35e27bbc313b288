//===- Rope.cpp - frequencies of the rotary embedding ---------------------===//
//
// Every intermediate is rounded to float32, as tensors of transformers are.
//
//===----------------------------------------------------------------------===//

#include "models/Rope.h"

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Quoted.h"

#include <cmath>
#include <numbers>

namespace llama4::models {

void scaleLlama3(const RopeParameters &rope, std::vector<float> &invFreq) {
  const auto original = static_cast<double>(rope.originalMaxPositionEmbeddings);
  const auto longest = static_cast<float>(original / rope.lowFreqFactor);
  const auto shortest = static_cast<float>(original / rope.highFreqFactor);
  const auto low = static_cast<float>(rope.lowFreqFactor);
  const auto band = static_cast<float>(rope.highFreqFactor - rope.lowFreqFactor);
  const auto factor = static_cast<float>(rope.factor);
  for (float &frequency : invFreq) {
    const float wavelength = (1.0f / frequency) * (2.0f * std::numbers::pi_v<float>);
    if (wavelength > longest) {
      frequency /= factor;
    } else if (wavelength >= shortest && band > 0.0f) {
      const float blend = (static_cast<float>(original) / wavelength - low) / band;
      frequency = (1.0f - blend) * frequency / factor + blend * frequency;
    }
  }
}

/// Divides by the stored factors, one per frequency.
static Status applyFactors(const Checkpoint &checkpoint, const std::string &name,
                           std::vector<float> &invFreq) {
  const SourceTensor *tensor = checkpoint.find(name);
  if (!tensor || tensor->elements() != invFreq.size() || tensor->shape.size() != 1)
    return Status::invalidInput(checkpoint.path() + ": tensor " + quoteName(name) + ": found " +
                                (tensor ? shapeText(tensor->shape) : "no such tensor") +
                                ", expected [" + std::to_string(invFreq.size()) +
                                "]: one divisor per rotary frequency; convert the file again.");
  std::vector<float> factors(invFreq.size());
  LLAMA4_RETURN_IF_ERROR(dequantizeRows(*tensor, 0, 1, factors).in(checkpoint.path()));
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0) || !std::isfinite(factors[i]))
      return Status::invalidInput(checkpoint.path() + ": tensor " + quoteName(name) +
                                  ": found the divisor " + std::to_string(factors[i]) +
                                  ", expected positive numbers; convert the file again.");
    invFreq[i] /= factors[i];
  }
  return {};
}

Result<std::vector<float>> computeInvFreq(const Checkpoint &checkpoint, const RopeParameters &rope,
                                          int64_t headDim) {
  std::vector<float> invFreq(static_cast<size_t>(headDim / 2));
  const auto theta = static_cast<double>(static_cast<float>(rope.theta));
  for (size_t i = 0; i < invFreq.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(headDim);
    invFreq[i] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  switch (rope.scaling) {
  case RopeScaling::None:
    break;
  case RopeScaling::Linear:
    for (float &frequency : invFreq)
      frequency /= static_cast<float>(rope.factor);
    break;
  case RopeScaling::Llama3:
    scaleLlama3(rope, invFreq);
    break;
  case RopeScaling::FrequencyFactors:
    LLAMA4_RETURN_IF_ERROR(applyFactors(checkpoint, rope.factorsTensor, invFreq));
    break;
  }
  return invFreq;
}

} // namespace llama4::models
