//===- Bpe.h - byte-pair merging of one piece -------------------*- C++ -*-===//
//
// Turns one pre-tokenizer piece into token ids: the merge of lowest rank first, the leftmost among
// equals, until no neighbours merge. Short pieces are scanned, long ones use a heap, so that a
// megabyte without a space costs n log n.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_BPE_H
#define LLAMA4_RUNTIME_TEXT_BPE_H

#include "runtime/text/TokenizerView.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace llama4::text {

using TokenId = int32_t;

/// The working memory of one encode call: a cache of pieces and the buffers of the merge. Not
/// thread-safe; the view must outlive it.
class Bpe {
public:
  explicit Bpe(const TokenizerView &view) : view_(view) {}

  /// Appends the ids of `piece`. Any bytes are accepted; those without a token are dropped or
  /// become the unknown token, as the section says.
  void encodePiece(std::string_view piece, std::vector<TokenId> &out);

private:
  /// A direct-mapped cache entry: a piece (bytes in arena_) and its ids (in idArena_).
  struct CacheEntry {
    uint64_t hash = 0;
    uint32_t textBegin = 0;
    uint32_t textSize = 0;
    uint32_t idsBegin = 0;
    uint32_t idsSize = 0;
  };
  /// A symbol of the heap merge, linked to its neighbours by index.
  struct Symbol {
    uint32_t id;
    uint32_t previous;
    uint32_t next;
    bool dead;
  };

  void mergePiece(std::string_view piece, std::vector<TokenId> &out);
  void loadSymbols(std::string_view piece);
  void mergeShort();
  void mergeLong();
  bool findCached(const CacheEntry &entry, uint64_t hash, std::string_view piece,
                  std::vector<TokenId> &out) const;
  void remember(CacheEntry &entry, uint64_t hash, std::string_view piece,
                const std::vector<TokenId> &out, size_t firstId);

  const TokenizerView &view_;
  std::vector<uint32_t> ids_; ///< the symbols of the piece at work
  std::vector<Merge> merges_; ///< of each symbol with the next
  std::vector<Symbol> symbols_;
  std::vector<CacheEntry> cache_;
  std::vector<char> textArena_;
  std::vector<TokenId> idArena_;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BPE_H
