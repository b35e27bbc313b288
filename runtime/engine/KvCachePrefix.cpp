//===- KvCachePrefix.cpp - pages that are found again and shared ----------===//

#include "runtime/engine/KvCache.h"

#include "runtime/base/Checked.h"

#include <algorithm>
#include <utility>

namespace llama4 {

namespace {

constexpr uint64_t pageTokens = L4_PAGE_TOKENS;

PrefixIndex::Tokens tokensOf(const KvText &text, uint64_t page) {
  return text.tokens.subspan(page * pageTokens).first<L4_PAGE_TOKENS>();
}

ContentKey contentOfPage(const KvText &text, uint64_t page) {
  return contentOf(text.contents, page * pageTokens, pageTokens);
}

} // namespace

/// The page longest without a holder, known for nothing from now on.
int32_t KvCache::evict(uint32_t k) {
  Kind &kind = kinds_[k];
  const uint32_t id = kind.oldest;
  kind.unlink(id);
  index_->clearPage(std::exchange(kind.states[id].node, none), k);
  return static_cast<int32_t>(id);
}

/// A page that nobody holds; there is one.
int32_t KvCache::take(uint32_t k) {
  Kind &kind = kinds_[k];
  int32_t id;
  if (kind.free.empty()) {
    id = evict(k);
  } else {
    id = kind.free.back();
    kind.free.pop_back();
    kind.touched = std::max(kind.touched, static_cast<uint32_t>(id) + 1);
  }
  kind.hold(id);
  return id;
}

Status KvCache::copyPage(const Kind &kind, int32_t from, int32_t to) {
  const std::span<std::byte> bytes(copied_.data(), kind.pageBytes);
  for (uint32_t layer = 0; layer < kind.layers; ++layer) {
    DeviceBuffer &pool = *pools_[kind.firstPool + layer];
    LLAMA4_RETURN_IF_ERROR(
        device_->read(pool, static_cast<uint64_t>(from) * kind.pageBytes, bytes));
    LLAMA4_RETURN_IF_ERROR(device_->write(pool, static_cast<uint64_t>(to) * kind.pageBytes, bytes));
  }
  return {};
}

void KvCache::moveChain(uint32_t slot, uint32_t node, uint64_t pages) {
  index_->pin(node);
  index_->unpin(chains_[slot].node);
  chains_[slot] = {node, pages};
}

void KvCache::cutChain(uint32_t slot, uint64_t pages) {
  uint32_t node = chains_[slot].node;
  if (chains_[slot].pages <= pages)
    return;
  for (uint64_t page = chains_[slot].pages; page > pages; --page)
    node = index_->parent(node);
  moveChain(slot, node, pages);
}

/// Makes the slot's page the node's, or the node's the slot's.
void KvCache::adopt(uint32_t k, uint32_t slot, uint64_t page, uint32_t node) {
  Kind &kind = kinds_[k];
  if (page < kind.ranges[slot].first || page >= kind.ranges[slot].end)
    return;
  int32_t &entry = kind.row(slot)[page];
  const int32_t known = index_->page(node, k);
  if (known < 0) {
    kind.states[static_cast<uint32_t>(entry)].node = node;
    index_->setPage(node, k, entry);
  } else if (known != entry) {
    kind.hold(known);
    kind.drop(std::exchange(entry, known));
  }
}

void KvCache::publish(uint32_t slot, const KvText &text, uint64_t length) {
  if (!index_)
    return;
  for (uint64_t page = chains_[slot].pages; page < length / pageTokens; ++page) {
    const uint32_t node =
        index_->findOrInsert(chains_[slot].node, tokensOf(text, page), contentOfPage(text, page));
    if (node == PrefixIndex::none)
      return; // no more is known of this text
    for (uint32_t kind = 0; kind < kinds(); ++kind)
      adopt(kind, slot, page, node);
    moveChain(slot, node, page + 1);
  }
}

uint64_t KvCache::reuse(uint32_t slot, const KvText &text) {
  if (!index_ || text.tokens.empty())
    return 0;
  const uint64_t most = (text.tokens.size() - 1) / pageTokens;
  uint64_t since[L4_MAX_KV_KINDS] = {}; // pages from here on are there
  uint32_t node = PrefixIndex::root, best = node;
  uint64_t pages = 0;
  for (uint64_t page = 0; page < most; ++page) {
    node = index_->find(node, tokensOf(text, page), contentOfPage(text, page));
    if (node == PrefixIndex::none)
      break;
    bool whole = true;
    for (uint32_t k = 0; k < kinds(); ++k) {
      if (index_->page(node, k) < 0)
        since[k] = page + 1;
      whole &= since[k] <= kinds_[k].firstVisible((page + 1) * pageTokens) / pageTokens;
    }
    if (whole) {
      best = node;
      pages = page + 1;
    }
  }
  moveChain(slot, best, pages);
  for (Kind &kind : kinds_) {
    const uint64_t first = kind.firstVisible(pages * pageTokens) / pageTokens;
    kind.ranges[slot] = {static_cast<uint32_t>(first), static_cast<uint32_t>(pages)};
  }
  for (uint64_t page = pages; page > 0; --page, best = index_->parent(best))
    for (uint32_t k = 0; k < kinds(); ++k)
      if (page > kinds_[k].ranges[slot].first) {
        const int32_t id = index_->page(best, k);
        kinds_[k].hold(id);
        kinds_[k].row(slot)[page - 1] = id;
      }
  return pages * pageTokens;
}

void KvCache::share(uint32_t from, uint32_t to, uint64_t length) {
  const auto end = static_cast<uint32_t>(ceilDiv(length, pageTokens));
  for (Kind &kind : kinds_) {
    const uint32_t first = std::min(kind.ranges[from].first, end);
    kind.ranges[to] = {first, std::min(kind.ranges[from].end, end)};
    for (uint32_t page = first; page < kind.ranges[to].end; ++page) {
      kind.hold(kind.row(from)[page]);
      kind.row(to)[page] = kind.row(from)[page];
    }
  }
  if (!index_)
    return;
  moveChain(to, chains_[from].node, chains_[from].pages);
  cutChain(to, length / pageTokens);
}

void KvCache::dropUnheld() {
  for (uint32_t k = 0; k < kinds(); ++k)
    while (kinds_[k].oldest != none)
      kinds_[k].free.push_back(evict(k));
}

} // namespace llama4
