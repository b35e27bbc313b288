//===- Bpe.cpp - byte-pair merging of one piece -----------------*- C++ -*-===//

#include "runtime/text/Bpe.h"

#include <algorithm>
#include <queue>

namespace llama4::text {

namespace {

constexpr size_t kCacheEntries = 4096; ///< a power of two
constexpr size_t kMaxCachedBytes = 64;
constexpr size_t kMaxArenaBytes = 1u << 20;
constexpr size_t kShortSymbols = 48;
constexpr uint32_t kEnd = 0xffffffffu;

/// A candidate merge of the heap: the symbol at `at` with its successor, as seen when pushed.
struct Candidate {
  uint32_t rank;
  uint32_t at;
  uint32_t left;
  uint32_t right;
  uint32_t merged;

  /// Order of a max-heap whose top is the lowest rank, then the leftmost.
  bool operator<(const Candidate &other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

} // namespace

void Bpe::encodePiece(std::string_view piece, std::vector<TokenId> &out) {
  if (piece.empty())
    return;
  if (piece.size() > kMaxCachedBytes) {
    mergePiece(piece, out);
    return;
  }
  if (cache_.empty())
    cache_.resize(kCacheEntries);
  uint64_t hash = hashBytes(piece);
  CacheEntry &entry = cache_[hash & (kCacheEntries - 1)];
  if (findCached(entry, hash, piece, out))
    return;
  size_t firstId = out.size();
  mergePiece(piece, out);
  remember(entry, hash, piece, out, firstId);
}

bool Bpe::findCached(const CacheEntry &entry, uint64_t hash, std::string_view piece,
                     std::vector<TokenId> &out) const {
  if (entry.hash != hash || entry.textSize != piece.size() ||
      std::string_view(textArena_.data() + entry.textBegin, entry.textSize) != piece)
    return false;
  auto ids = idArena_.begin() + entry.idsBegin;
  out.insert(out.end(), ids, ids + entry.idsSize);
  return true;
}

void Bpe::remember(CacheEntry &entry, uint64_t hash, std::string_view piece,
                   const std::vector<TokenId> &out, size_t firstId) {
  if (textArena_.size() + piece.size() > kMaxArenaBytes)
    return;
  entry = {hash, static_cast<uint32_t>(textArena_.size()), static_cast<uint32_t>(piece.size()),
           static_cast<uint32_t>(idArena_.size()), static_cast<uint32_t>(out.size() - firstId)};
  textArena_.insert(textArena_.end(), piece.begin(), piece.end());
  idArena_.insert(idArena_.end(), out.begin() + static_cast<std::ptrdiff_t>(firstId), out.end());
}

void Bpe::loadSymbols(std::string_view piece) {
  ids_.clear();
  ids_.reserve(piece.size());
  uint32_t unknown = view_.header().unkId;
  for (char c : piece) {
    uint32_t id = view_.byteId(static_cast<unsigned char>(c));
    if (id == kNoId)
      id = unknown;
    if (id != kNoId)
      ids_.push_back(id);
  }
}

void Bpe::mergePiece(std::string_view piece, std::vector<TokenId> &out) {
  if (view_.has(kIgnoreMerges))
    if (uint32_t id = view_.lookup(piece); id != kNoId) {
      out.push_back(static_cast<TokenId>(id));
      return;
    }
  loadSymbols(piece);
  if (ids_.size() <= kShortSymbols)
    mergeShort();
  else
    mergeLong();
  for (uint32_t id : ids_)
    out.push_back(static_cast<TokenId>(id));
}

void Bpe::mergeShort() {
  if (ids_.size() < 2)
    return;
  merges_.resize(ids_.size() - 1);
  for (size_t i = 0; i + 1 < ids_.size(); ++i)
    merges_[i] = view_.mergeOf(ids_[i], ids_[i + 1]);
  while (ids_.size() > 1) {
    auto best = std::min_element(merges_.begin(), merges_.end(),
                                 [](const Merge &a, const Merge &b) { return a.rank < b.rank; });
    if (best->rank == kNoId)
      return;
    auto at = best - merges_.begin();
    ids_[static_cast<size_t>(at)] = best->merged;
    ids_.erase(ids_.begin() + at + 1);
    merges_.erase(best);
    auto i = static_cast<size_t>(at);
    if (i > 0)
      merges_[i - 1] = view_.mergeOf(ids_[i - 1], ids_[i]);
    if (i + 1 < ids_.size())
      merges_[i] = view_.mergeOf(ids_[i], ids_[i + 1]);
  }
}

void Bpe::mergeLong() {
  auto count = static_cast<uint32_t>(ids_.size());
  symbols_.resize(count);
  std::priority_queue<Candidate> heap;
  auto push = [&](uint32_t at) {
    uint32_t next = symbols_[at].next;
    if (next == kEnd)
      return;
    Merge merge = view_.mergeOf(symbols_[at].id, symbols_[next].id);
    if (merge.rank != kNoId)
      heap.push({merge.rank, at, symbols_[at].id, symbols_[next].id, merge.merged});
  };
  for (uint32_t i = 0; i < count; ++i)
    symbols_[i] = {ids_[i], i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1, false};
  for (uint32_t i = 0; i < count; ++i)
    push(i);
  while (!heap.empty()) {
    Candidate top = heap.top();
    heap.pop();
    Symbol &left = symbols_[top.at];
    if (left.dead || left.id != top.left || left.next == kEnd ||
        symbols_[left.next].id != top.right)
      continue; // one of the two has been merged away since
    Symbol &right = symbols_[left.next];
    right.dead = true;
    left.id = top.merged;
    left.next = right.next;
    if (left.next != kEnd)
      symbols_[left.next].previous = top.at;
    if (left.previous != kEnd)
      push(left.previous);
    push(top.at);
  }
  ids_.clear();
  for (uint32_t i = 0; i != kEnd; i = symbols_[i].next)
    ids_.push_back(symbols_[i].id);
}

} // namespace llama4::text
