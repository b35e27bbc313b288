//===- NearestName.h - the name that was probably meant ---------*- C++ -*-===//
#ifndef LLAMA4_MODELS_NEARESTNAME_H
#define LLAMA4_MODELS_NEARESTNAME_H

#include <cstddef>
#include <string_view>

namespace llama4::models {

/// The offered name nearest to a wanted one by edit distance; of equally near ones the one that
/// shares the longest start, so that a misspelt tensor comes before the same tensor of another
/// layer. Refers to the texts.
class NearestName {
public:
  explicit NearestName(std::string_view wanted) : wanted_(wanted.substr(0, kLongest)) {}

  void offer(std::string_view name);
  /// Empty where nothing was offered.
  std::string_view name() const { return name_; }

private:
  static constexpr size_t kLongest = 256; ///< longer than any real name; the distance is quadratic
  std::string_view wanted_, name_;
  size_t distance_ = 2 * kLongest, prefix_ = 0;
};

} // namespace llama4::models

#endif // LLAMA4_MODELS_NEARESTNAME_H
