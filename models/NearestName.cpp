//===- NearestName.cpp - the name that was probably meant -----------------===//

#include "models/NearestName.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace llama4::models {

/// Levenshtein distance, or `bound` if it is not below that.
static size_t distance(std::string_view a, std::string_view b, size_t bound) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) >= bound)
    return bound;
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return std::min(row.back(), bound);
}

static size_t commonPrefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

void NearestName::offer(std::string_view name) {
  const std::string_view candidate = name.substr(0, kLongest);
  const size_t found = distance(wanted_, candidate, distance_ + 1);
  const size_t prefix = commonPrefix(wanted_, candidate);
  if (found > distance_ || (found == distance_ && prefix <= prefix_))
    return;
  name_ = name;
  distance_ = found;
  prefix_ = prefix;
}

} // namespace llama4::models
