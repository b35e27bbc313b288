//===- CheckpointQueries.cpp - look-ups in an opened checkpoint -----------===//

#include "compiler/checkpoint/Checkpoint.h"

#include <algorithm>
#include <numeric>
#include <sys/mman.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llama4 {

void Checkpoint::dropPages() const {
  for (const MappedFile &mapping : mappings_)
    if (mapping.size() != 0)
      (void)::madvise(const_cast<std::byte *>(mapping.bytes().data()), mapping.bytes().size(),
                      MADV_DONTNEED);
}

const SourceTensor *Checkpoint::find(std::string_view name) const {
  auto it = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const SourceTensor &tensor, std::string_view wanted) { return tensor.name < wanted; });
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

/// Levenshtein distance of two texts, or `bound` if it is not below that.
static size_t editDistance(std::string_view a, std::string_view b, size_t bound) {
  const size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap >= bound)
    return bound;
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    size_t best = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      best = std::min(best, row[j]);
    }
    if (best >= bound)
      return bound;
  }
  return std::min(row.back(), bound);
}

std::string Checkpoint::nearestName(std::string_view name) const {
  // Longer than any real name; the distance is quadratic.
  constexpr size_t kLongest = 512;
  std::string_view wanted = name.substr(0, kLongest);
  const SourceTensor *nearest = nullptr;
  size_t distance = 2 * kLongest;
  for (const SourceTensor &tensor : tensors_) {
    std::string_view candidate = std::string_view(tensor.name).substr(0, kLongest);
    const size_t found = editDistance(wanted, candidate, distance);
    if (found < distance) {
      distance = found;
      nearest = &tensor;
    }
  }
  return nearest ? nearest->name : std::string();
}

/// "NAME SIZE HASH" where the hash covers `bytes`.
static std::string identityLine(const std::string &name, uint64_t size, const void *bytes,
                                size_t length) {
  constexpr char kHex[] = "0123456789abcdef";
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes, length));
  std::string line = name + " " + std::to_string(size) + " xxh3:";
  for (unsigned char byte : digest.digest) {
    line += kHex[byte >> 4];
    line += kHex[byte & 15];
  }
  return line + "\n";
}

std::string Checkpoint::identity() const {
  std::string text;
  auto add = [&](const char *name, const std::string &content) {
    text += identityLine(name, content.size(), content.data(), content.size());
  };
  if (!isGguf())
    add("config.json", configText_);
  const std::pair<const char *, const std::optional<std::string> &> texts[] = {
      {"generation_config.json", generationConfig_},
      {"tokenizer.json", tokenizer_},
      {"tokenizer.model", tokenizerModel_},
      {"tokenizer_config.json", tokenizerConfig_},
      {"chat_template.jinja", chatTemplate_},
      {"preprocessor_config.json", preprocessorConfig_},
      {"processor_config.json", processorConfig_},
  };
  for (const auto &[name, content] : texts)
    if (content)
      add(name, *content);
  for (size_t i = 0; i < files_.size(); ++i) {
    // The name of a GGUF file is the user's choice and says nothing about the model.
    const std::string &name = isGguf() ? std::string("gguf") : files_[i].name;
    text += identityLine(name, files_[i].size, mappings_[i].bytes().data(), files_[i].headerBytes);
  }
  return text;
}

} // namespace llama4
