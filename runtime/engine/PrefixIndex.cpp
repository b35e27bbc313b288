//===- PrefixIndex.cpp - which beginnings of texts have pages -------------===//

#include "runtime/engine/PrefixIndex.h"

#include <algorithm>
#include <bit>
#include <random>

namespace llama4 {

namespace {

/// The finish of SplitMix64: every bit of the result depends on every bit of the value.
uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

uint64_t join(uint64_t hash, uint64_t value) {
  return mix(hash + 0x9e3779b97f4a7c15u + mix(value));
}

uint64_t randomSeed() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

} // namespace

ContentKey contentOf(std::span<const PromptContent> contents, uint64_t first, uint64_t count) {
  ContentKey key;
  for (const PromptContent &content : contents) {
    if (content.position < first || content.position - first >= count)
      continue;
    key.low = join(join(key.low, content.position - first + 1), content.key.low);
    key.high = join(join(key.high, content.position - first + 1), ~content.key.high);
  }
  return key;
}

PrefixIndex::PrefixIndex(uint32_t capacity)
    : capacity_(std::min(capacity, uint32_t{1} << 30)), seed_(randomSeed()) {
  nodes_.reserve(uint64_t{capacity_} + 1);
  buckets_.assign(std::bit_ceil(std::max<size_t>(capacity_, 1)), none);
  Node &first = nodes_.emplace_back();
  first.pages.fill(-1);
  first.parent = first.next = none;
  first.children = 0;
  first.pins = 1;
}

uint32_t PrefixIndex::bucket(uint32_t parent, Tokens tokens, const ContentKey &content) const {
  uint64_t hash = join(seed_, parent);
  for (size_t i = 0; i < tokens.size(); i += 2)
    hash = join(hash, uint64_t{static_cast<uint32_t>(tokens[i])} << 32 |
                          static_cast<uint32_t>(tokens[i + 1]));
  hash = join(join(hash, content.low), content.high);
  return static_cast<uint32_t>(hash & (buckets_.size() - 1));
}

uint32_t PrefixIndex::find(uint32_t parent, Tokens tokens, const ContentKey &content) const {
  uint32_t node = buckets_[bucket(parent, tokens, content)];
  while (node != none) {
    const Node &found = nodes_[node];
    if (found.parent == parent && found.content == content &&
        std::equal(tokens.begin(), tokens.end(), found.tokens.begin()))
      return node;
    node = found.next;
  }
  return none;
}

uint32_t PrefixIndex::findOrInsert(uint32_t parent, Tokens tokens, const ContentKey &content) {
  if (uint32_t node = find(parent, tokens, content); node != none)
    return node;
  uint32_t node = unused_;
  if (node != none) {
    unused_ = nodes_[node].next;
  } else {
    if (nodes_.size() > capacity_)
      return none;
    node = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  }
  Node &made = nodes_[node];
  std::copy(tokens.begin(), tokens.end(), made.tokens.begin());
  made.content = content;
  made.pages.fill(-1);
  made.parent = parent;
  made.children = made.pins = 0;
  uint32_t &head = buckets_[bucket(parent, tokens, content)];
  made.next = head;
  head = node;
  ++nodes_[parent].children;
  ++size_;
  return node;
}

void PrefixIndex::clearPage(uint32_t node, uint32_t kind) {
  nodes_[node].pages[kind] = -1;
  collect(node);
}

void PrefixIndex::unpin(uint32_t node) {
  --nodes_[node].pins;
  collect(node);
}

void PrefixIndex::collect(uint32_t node) {
  while (node != root) {
    Node &ended = nodes_[node];
    const bool hasPage =
        std::any_of(ended.pages.begin(), ended.pages.end(), [](int32_t page) { return page >= 0; });
    if (hasPage || ended.children != 0 || ended.pins != 0)
      return;
    uint32_t *link = &buckets_[bucket(ended.parent, ended.tokens, ended.content)];
    while (*link != node)
      link = &nodes_[*link].next;
    *link = ended.next;
    const uint32_t before = ended.parent;
    ended.next = unused_;
    unused_ = node;
    --size_;
    --nodes_[before].children;
    node = before;
  }
}

} // namespace llama4
