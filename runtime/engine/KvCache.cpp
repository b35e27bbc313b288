//===- KvCache.cpp - pages of keys and values and who holds them ----------===//

#include "runtime/engine/KvCache.h"

#include "runtime/base/Checked.h"
#include "runtime/format/KvPages.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace llama4 {

namespace {

constexpr uint64_t pageTokens = L4_PAGE_TOKENS;

uint64_t multiplyOrMost(uint64_t a, uint64_t b) {
  return checkedMul(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

uint64_t pagesOfOne(const KvKind &kind, const KvCacheOptions &options) {
  return kvPagesOfSequence(kind, options.maxLength, options.maxStepTokens);
}

/// Pages of each kind: what is needed, or the same share of it for all kinds.
std::vector<uint64_t> pagesThatFit(const ProgramDesc &program, const KvCacheOptions &options) {
  std::vector<uint64_t> pages;
  long double bytes = 0;
  for (const KvKind &kind : program.kvKinds) {
    pages.push_back(multiplyOrMost(pagesOfOne(kind, options), options.maxSequences));
    bytes += static_cast<long double>(pages.back()) * static_cast<long double>(kind.pageBytes) *
             kind.layers;
  }
  constexpr uint64_t most = std::numeric_limits<int32_t>::max();
  long double share = bytes > 0 ? static_cast<long double>(options.memory) / bytes : 1;
  for (uint64_t &count : pages) {
    if (share < 1)
      count = static_cast<uint64_t>(static_cast<long double>(count) * share);
    count = std::min(count, most);
  }
  return pages;
}

/// Pages that hold any one chunk, wherever in a page it begins.
uint64_t pagesOfChunk(const KvKind &kind) {
  const uint64_t latest = pageTokens - std::gcd(uint64_t{kind.chunkTokens}, pageTokens);
  return ceilDiv(latest + kind.chunkTokens, pageTokens);
}

/// Tokens of the longest sequence for which `pages` of a kind are enough. Chunks that have ended
/// are given up, so where any chunk fits, all do.
uint64_t longestOn(const KvKind &kind, uint64_t pages) {
  const bool isEndless = kind.chunkTokens != 0 && pages >= pagesOfChunk(kind);
  return isEndless ? std::numeric_limits<uint64_t>::max() : pages * pageTokens;
}

uint64_t bytesOfOnePageEach(const ProgramDesc &program) {
  uint64_t bytes = 0;
  for (const KvKind &kind : program.kvKinds)
    bytes += kind.pageBytes * kind.layers;
  return bytes;
}

} // namespace

/// First position that the token at position `length` sees.
uint64_t KvCache::Kind::firstVisible(uint64_t length) const {
  return chunkTokens == 0 ? 0 : length / chunkTokens * chunkTokens;
}

void KvCache::Kind::unlink(uint32_t id) {
  Page &page = states[id];
  (page.older == none ? oldest : states[page.older].newer) = page.newer;
  (page.newer == none ? newest : states[page.newer].older) = page.older;
  page.older = page.newer = none;
  --unheld;
}

void KvCache::Kind::hold(int32_t id) {
  Page &page = states[static_cast<uint32_t>(id)];
  if (page.holders++ == 0 && page.node != none)
    unlink(static_cast<uint32_t>(id));
}

/// A page that is known for its text waits for others to want it, the rest is free.
void KvCache::Kind::drop(int32_t id) {
  Page &page = states[static_cast<uint32_t>(id)];
  if (--page.holders != 0)
    return;
  if (page.node == none)
    return free.push_back(id);
  page.older = newest;
  (newest == none ? oldest : states[newest].newer) = static_cast<uint32_t>(id);
  newest = static_cast<uint32_t>(id);
  ++unheld;
}

/// The last page first: of a text's pages without holders the later ones are evicted before those
/// that they stand behind.
void KvCache::Kind::giveBack(uint32_t slot, uint32_t from, uint32_t to) {
  int32_t *entries = row(slot);
  for (uint32_t page = to; page > from; --page) {
    drop(entries[page - 1]);
    entries[page - 1] = 0;
  }
}

Status KvCache::addKind(const KvKind &kind, Device &device, uint32_t pages, uint32_t slots) {
  Kind state;
  state.name = kind.name;
  state.chunkTokens = kind.chunkTokens;
  state.pages = pages;
  const uint64_t rowPages = ceilDiv(maxLength_, pageTokens);
  state.stride = static_cast<uint32_t>(rowPages);
  LLAMA4_ASSIGN_OR_RETURN(state.table,
                          device.allocate(uint64_t{slots} * rowPages * sizeof(int32_t)));
  state.ranges.resize(slots);
  state.states.resize(pages);
  state.firstPool = static_cast<uint32_t>(pools_.size());
  state.layers = kind.layers;
  state.pageBytes = kind.pageBytes;
  state.free.reserve(pages);
  for (uint32_t page = pages; page > 0; --page)
    state.free.push_back(static_cast<int32_t>(page - 1));
  for (uint32_t layer = 0; layer < kind.layers; ++layer) {
    LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> pool,
                            device.allocate(uint64_t{pages} * kind.pageBytes));
    poolPointers_.push_back(pool->data());
    pools_.push_back(std::move(pool));
  }
  bytes_ += uint64_t{pages} * kind.pageBytes * kind.layers;
  kinds_.push_back(std::move(state));
  return {};
}

std::vector<PoolBacking::Pools> KvCache::poolsOfKinds() const {
  std::vector<PoolBacking::Pools> all;
  for (const Kind &kind : kinds_)
    for (PoolBacking::Pools &pools = all.emplace_back(); pools.size() < kind.layers;)
      pools.push_back(pools_[kind.firstPool + pools.size()].get());
  return all;
}

Result<std::unique_ptr<KvCache>> KvCache::create(const ProgramDesc &program, Device &device,
                                                 const KvCacheOptions &options) {
  std::unique_ptr<KvCache> cache(new KvCache);
  cache->device_ = &device;
  cache->maxLength_ = std::max<uint64_t>(options.maxLength, 1);
  std::vector<uint64_t> pages = pagesThatFit(program, options);
  for (size_t k = 0; k < pages.size(); ++k) {
    cache->maxLength_ = std::min(cache->maxLength_, longestOn(program.kvKinds[k], pages[k]));
    if (pages[k] == 0)
      return Status::error(StatusKind::OutOfMemory,
                           "kv cache: found " + std::to_string(options.memory) +
                               " bytes of memory, expected at least " +
                               std::to_string(bytesOfOnePageEach(program)) + " for " +
                               std::to_string(L4_PAGE_TOKENS) +
                               " tokens; give more memory or ask for fewer sequences.");
  }
  for (size_t k = 0; k < pages.size(); ++k)
    LLAMA4_RETURN_IF_ERROR(cache->addKind(program.kvKinds[k], device,
                                          static_cast<uint32_t>(pages[k]), options.maxSequences));
  for (uint32_t slot = options.maxSequences; slot > 0; --slot)
    cache->freeSlots_.push_back(slot - 1);
  cache->chains_.resize(options.maxSequences);
  uint64_t allPages = 0, pageBytes = 0;
  for (const Kind &kind : cache->kinds_) {
    allPages += kind.pages;
    pageBytes = std::max(pageBytes, kind.pageBytes);
  }
  cache->copied_.resize(pageBytes);
  cache->backing_ = std::make_unique<PoolBacking>(cache->poolsOfKinds());
  if (!options.prefixes)
    return cache;
  // Each node has a page, but for some that others stand behind.
  cache->index_.emplace(static_cast<uint32_t>(
      std::min<uint64_t>(allPages + options.maxSequences, std::numeric_limits<int32_t>::max())));
  for (uint32_t slot = 0; slot < options.maxSequences; ++slot)
    cache->index_->pin(cache->chains_[slot].node);
  return cache;
}

std::optional<uint32_t> KvCache::acquire() {
  if (freeSlots_.empty())
    return std::nullopt;
  uint32_t slot = freeSlots_.back();
  freeSlots_.pop_back();
  return slot;
}

void KvCache::release(uint32_t slot) {
  for (Kind &kind : kinds_) {
    Range &range = kind.ranges[slot];
    kind.giveBack(slot, range.first, range.end);
    range = {};
  }
  cutChain(slot, 0);
  freeSlots_.push_back(slot);
}

/// Whether the page that takes the token behind the first `written` has some of them and is held by
/// others too or known for its text.
bool KvCache::mustCopy(const Kind &kind, uint32_t slot, uint64_t length, uint64_t written) const {
  const uint64_t page = written / pageTokens;
  const Range &range = kind.ranges[slot];
  if (written % pageTokens == 0 || length <= written || page < range.first || page >= range.end)
    return false;
  const Page &state = kind.states[static_cast<uint32_t>(kind.row(slot)[page])];
  return state.holders > 1 || state.node != none;
}

/// Whether nobody else holds the page that takes the token behind the first `written`.
bool KvCache::isAlone(const Kind &kind, uint32_t slot, uint64_t written) const {
  return kind.states[static_cast<uint32_t>(kind.row(slot)[written / pageTokens])].holders == 1;
}

/// Pages that the slot lacks up to page `end`.
uint64_t KvCache::growth(const Kind &kind, uint32_t slot, uint64_t end) const {
  const uint64_t held = kind.ranges[slot].end;
  return end > held ? end - held : 0;
}

Status KvCache::reserve(uint32_t slot, uint64_t length, uint64_t written) {
  if (length > maxLength_)
    return Status::error(StatusKind::Usage,
                         "a sequence: found " + std::to_string(length) +
                             " tokens, expected at most " + std::to_string(maxLength_) +
                             "; shorten the prompt, or allow a greater length or more memory.");
  uint64_t end = ceilDiv(length, pageTokens);
  for (uint32_t k = 0; k < kinds(); ++k) {
    const Kind &kind = kinds_[k];
    uint64_t needed = growth(kind, slot, end);
    if (mustCopy(kind, slot, length, written) && !isAlone(kind, slot, written))
      ++needed;
    if (needed > freePages(k))
      return Status::error(StatusKind::OutOfMemory,
                           "kv cache: found " + std::to_string(freePages(k)) +
                               " free pages of kind " + quoteName(kind.name) + ", expected " +
                               std::to_string(needed) +
                               " for the next tokens; end or shorten a sequence, or give more "
                               "memory.");
  }
  for (uint32_t k = 0; k < kinds(); ++k) {
    Kind &kind = kinds_[k];
    int32_t *entries = kind.row(slot);
    if (mustCopy(kind, slot, length, written) && isAlone(kind, slot, written) &&
        freePages(k) <= growth(kind, slot, end)) {
      // There is no room for a copy: the page is written, and known for its text no more.
      Page &own = kind.states[static_cast<uint32_t>(entries[written / pageTokens])];
      index_->clearPage(std::exchange(own.node, none), k);
    } else if (mustCopy(kind, slot, length, written)) {
      int32_t &entry = entries[written / pageTokens];
      const int32_t own = take(k);
      const int32_t shared = std::exchange(entry, own);
      Status status = copyPage(kind, shared, own);
      kind.drop(shared);
      LLAMA4_RETURN_IF_ERROR(status);
    }
    for (uint32_t &page = kind.ranges[slot].end; page < end; ++page)
      entries[page] = take(k);
    backing_->use(k, kind.touched * kind.pageBytes);
  }
  return {};
}

uint64_t KvCache::room(uint32_t slot, uint64_t length) const {
  uint64_t end = maxLength_;
  for (const Kind &kind : kinds_)
    end = std::min(end, (uint64_t{kind.ranges[slot].first} + kind.pages) * pageTokens);
  return end > length ? end - length : 0;
}

/// Pages that others hold too are not free when this slot gives them up.
uint64_t KvCache::demand(uint32_t k, uint32_t slot, uint64_t processed, uint64_t length,
                         uint64_t step) const {
  const Kind &kind = kinds_[k];
  const Range &range = kind.ranges[slot];
  const bool copies = mustCopy(kind, slot, length, processed) && !isAlone(kind, slot, processed);
  uint64_t most = 0, givenBack = 0, page = range.first;
  // Most are held by the step that begins with the last token of a chunk. Behind the pages that are
  // held by now, chunks need the same pages again and again.
  uint64_t begin = kind.firstVisible(processed), end = 0;
  for (uint64_t behind = 0; end < length && behind < pageTokens; begin += kind.chunkTokens) {
    const uint64_t first = begin / pageTokens;
    for (; page < std::min<uint64_t>(first, range.end); ++page)
      givenBack += kind.states[static_cast<uint32_t>(kind.row(slot)[page])].holders == 1 ||
                   (copies && page == processed / pageTokens);
    behind += first >= range.end;
    end = kind.chunkTokens == 0 ? length : std::min(begin + kind.chunkTokens - 1 + step, length);
    const uint64_t held = std::max<uint64_t>(first, range.end), last = ceilDiv(end, pageTokens);
    const uint64_t taken = (last > held ? last - held : 0) + copies;
    most = std::max(most, taken - std::min(taken, givenBack));
  }
  return most;
}

void KvCache::retire(uint32_t slot, uint64_t length) {
  for (Kind &kind : kinds_) {
    Range &range = kind.ranges[slot];
    uint64_t dead = std::min<uint64_t>(kind.firstVisible(length) / pageTokens, range.end);
    if (dead <= range.first)
      continue;
    kind.giveBack(slot, range.first, static_cast<uint32_t>(dead));
    range.first = static_cast<uint32_t>(dead);
  }
}

Status KvCache::truncate(uint32_t slot, uint64_t length) {
  // A cut at the very start of a page and of a chunk needs nothing that came before.
  auto needsNothing = [&](const Kind &kind) {
    return length % pageTokens == 0 && kind.firstVisible(length) == length;
  };
  for (const Kind &kind : kinds_)
    if (kind.ranges[slot].first > kind.firstVisible(length) / pageTokens && !needsNothing(kind))
      return Status::internal("a sequence: found a cut to " + std::to_string(length) +
                              " tokens, expected one behind the pages of kind " +
                              quoteName(kind.name) +
                              " that were dropped; process the sequence again from its start.");
  cutChain(slot, length / pageTokens);
  uint64_t end = ceilDiv(length, pageTokens);
  for (Kind &kind : kinds_) {
    Range &range = kind.ranges[slot];
    if (end >= range.end)
      continue;
    uint32_t from = std::max(range.first, static_cast<uint32_t>(end));
    kind.giveBack(slot, from, range.end);
    range.end = static_cast<uint32_t>(end);
    range.first = std::min(range.first, range.end);
  }
  return {};
}

std::span<const int32_t> KvCache::row(uint32_t kind, uint32_t slot) const {
  return {kinds_[kind].row(slot), kinds_[kind].stride};
}

uint32_t KvCache::rowPages(uint32_t kind, uint32_t slot) const {
  return kinds_[kind].ranges[slot].end;
}

uint32_t KvCache::heldPages(uint32_t kind, uint32_t slot) const {
  return kinds_[kind].ranges[slot].end - kinds_[kind].ranges[slot].first;
}

} // namespace llama4
