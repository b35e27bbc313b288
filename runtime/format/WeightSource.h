//===- WeightSource.h - where the bytes of the weights come from -*- C++ -*-===//
//
// The weights of a program lie in its file, or, so that a model of full size can be tested with
// nothing on disk, are made up when it is loaded: every element the same (splat), or random numbers
// that depend on a seed, the name of the weight and the place inside it, and on nothing else.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_WEIGHTSOURCE_H
#define LLAMA4_RUNTIME_FORMAT_WEIGHTSOURCE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llama4 {

/// Stored in files: append only.
enum class WeightOrigin : uint8_t {
  Stored = 0, ///< in the Weights section
  Splat = 1,  ///< every element of every weight is `value`
  Random = 2, ///< matrices uniform in +-1 / sqrt(columns), vectors around 1, biases around 0
};

struct WeightSource {
  WeightOrigin origin = WeightOrigin::Stored;
  float value = 0;   ///< Splat: at most 65504 in magnitude, so that every scale can hold it
  uint64_t seed = 0; ///< Random

  bool isStored() const { return origin == WeightOrigin::Stored; }
};

inline constexpr float maxSplatValue = 65504.0f;

/// "random:SEED" or "splat:VALUE"; nothing for another text or a value out of range.
std::optional<WeightSource> parseWeightSource(std::string_view text);

/// The text that parseWeightSource() reads, one for equal sources; "stored" where nothing is made
/// up.
std::string weightSourceText(const WeightSource &source);

/// True for the encodings that weights can be made up in.
bool canMakeUp(std::string_view encoding);

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_WEIGHTSOURCE_H
