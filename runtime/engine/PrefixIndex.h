//===- PrefixIndex.h - which beginnings of texts have pages ------*- C++ -*-===//
//
// A tree of pages: a node stands for a page of tokens behind the pages on the way to it, so for one
// beginning of a text. It is found by its parent and its tokens, all of which are compared; a hash
// only says where to look. What tokens alone don't tell, as the picture behind the tokens of an
// image, is part of the comparison as the hash of its content.
//
// A node names a page of each kind, or none where the page is gone. Nodes live as long as they have
// a page, a child or a sequence that stands on them. All memory is reserved when the index is made.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_PREFIXINDEX_H
#define LLAMA4_RUNTIME_ENGINE_PREFIXINDEX_H

#include "runtime/format/KernelAbi.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace llama4 {

/// A hash of content by which it is known; two contents with the same key are taken for the same.
struct ContentKey {
  uint64_t low = 0, high = 0;
  friend bool operator==(const ContentKey &, const ContentKey &) = default;
};

/// Content that stands behind the tokens from `position` on, as an image does: it is named at its
/// first token and told apart from others from there to the end of the text.
struct PromptContent {
  uint64_t position = 0;
  ContentKey key;
};

/// The key of all contents that begin at one of the tokens [first, first + count), and where.
ContentKey contentOf(std::span<const PromptContent> contents, uint64_t first, uint64_t count);

class PrefixIndex {
public:
  static constexpr uint32_t root = 0;   ///< the empty beginning
  static constexpr uint32_t none = ~0u; ///< no node

  using Tokens = std::span<const int32_t, L4_PAGE_TOKENS>;

  /// An index of at most `capacity` nodes beside the root, whose order in memory nobody can guess.
  explicit PrefixIndex(uint32_t capacity);

  /// The node of these tokens behind `parent`, or none.
  uint32_t find(uint32_t parent, Tokens tokens, const ContentKey &content) const;
  /// The same, made where there is none; none when all nodes are used.
  uint32_t findOrInsert(uint32_t parent, Tokens tokens, const ContentKey &content);

  uint32_t parent(uint32_t node) const { return nodes_[node].parent; }
  /// The page of a kind, or -1.
  int32_t page(uint32_t node, uint32_t kind) const { return nodes_[node].pages[kind]; }
  void setPage(uint32_t node, uint32_t kind, int32_t page) { nodes_[node].pages[kind] = page; }
  /// Takes the page from the node, which may end with it.
  void clearPage(uint32_t node, uint32_t kind);

  /// Keeps a node alive; as many unpin() as pin().
  void pin(uint32_t node) { ++nodes_[node].pins; }
  void unpin(uint32_t node);

  /// Nodes beside the root.
  uint32_t size() const { return size_; }

private:
  struct Node {
    std::array<int32_t, L4_PAGE_TOKENS> tokens;
    ContentKey content;
    std::array<int32_t, L4_MAX_KV_KINDS> pages; ///< -1: none
    uint32_t parent, children, pins;
    uint32_t next; ///< in its bucket, or in the list of unused nodes
  };

  uint32_t bucket(uint32_t parent, Tokens tokens, const ContentKey &content) const;
  /// Ends the node if nobody needs it, and then the ones before it.
  void collect(uint32_t node);

  std::vector<Node> nodes_; ///< capacity: all; grows as nodes are first used
  std::vector<uint32_t> buckets_;
  uint32_t capacity_, unused_ = none, size_ = 0;
  uint64_t seed_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PREFIXINDEX_H
