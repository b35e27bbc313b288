//===- KvCache.h - pages of keys and values and who holds them ---*- C++ -*-===//
//
// All memory of the cache is reserved when it is made: one pool per layer, cut into pages of
// L4_PAGE_TOKENS tokens. A sequence holds one slot; a slot holds, for every kv kind of the program,
// a row of the page table. One page id stands for the same page in the pools of all layers of its
// kind. Handing out and taking back pages moves numbers between lists and the tables: nothing is
// allocated and no page is cleared.
//
// Pages are counted by the slots that hold them. A full page whose tokens are published is found
// again by the beginning of the text that it ends (PrefixIndex.h) and never written any more; when
// no slot holds it, it stays until its room is needed, the one longest without a holder first. A
// page that is partly filled and held by several is copied when one of them writes.
//
// Entries of a table that stand for no page are 0, which is a page that exists: a kernel that looks
// further than it should reads wrong numbers and never outside the pool.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_KVCACHE_H
#define LLAMA4_RUNTIME_ENGINE_KVCACHE_H

#include "runtime/base/Status.h"
#include "runtime/device/Device.h"
#include "runtime/engine/PoolBacking.h"
#include "runtime/engine/PrefixIndex.h"
#include "runtime/format/ProgramDesc.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace llama4 {

/// How much the cache must hold.
struct KvCacheOptions {
  uint64_t maxLength = 1;     ///< tokens of the longest sequence
  uint32_t maxSequences = 1;  ///< sequences that exist at once
  uint32_t maxStepTokens = 1; ///< most tokens that one step adds to a sequence
  uint64_t memory = 0;        ///< bytes of all pools together; pages are at most what fits
  bool prefixes = false;      ///< publish() and reuse() do something
};

/// The tokens of a sequence, and the contents behind them in ascending order.
struct KvText {
  std::span<const int32_t> tokens;
  std::span<const PromptContent> contents = {};
};

class KvCache {
public:
  /// Reserves the pools on `device`, which must outlive the cache. Pages per kind are what
  /// maxSequences sequences of maxLength tokens need, or as many as fit into the memory, shared
  /// among the kinds in proportion to their needs. Errors: OutOfMemory (not even one page fits, or
  /// the reservation failed).
  static Result<std::unique_ptr<KvCache>> create(const ProgramDesc &program, Device &device,
                                                 const KvCacheOptions &options);

  /// An empty slot, or nothing when all are held.
  std::optional<uint32_t> acquire();
  /// Takes back the slot and what it holds of its pages.
  void release(uint32_t slot);

  /// Makes sure that `slot` has pages for its first `length` tokens, all or none of them. The first
  /// `written` have been processed: if the page of the next one may not be written, it is copied.
  /// Errors: OutOfMemory (no free page; nothing changed), Usage (longer than maxLength), those of
  /// the device.
  Status reserve(uint32_t slot, uint64_t length, uint64_t written = 0);
  /// The most tokens that one step may add to a slot whose first `length` were processed and
  /// retired: were no other slot held, there would be pages for them. At least 1 below maxLength().
  uint64_t room(uint32_t slot, uint64_t length) const;
  /// Pages that a slot takes from those that are free, less what it gives back before, at most, on
  /// its way from the first `processed` tokens to `length` in steps of up to `step` tokens.
  uint64_t demand(uint32_t kind, uint32_t slot, uint64_t processed, uint64_t length,
                  uint64_t step) const;
  /// Gives up the pages that no token at position `length` or later can see: those of chunks that
  /// have ended, in kinds with chunked attention.
  void retire(uint32_t slot, uint64_t length);
  /// Gives up the pages behind the first `length` tokens. Errors: Internal, when the next token
  /// would need a page that was retired; nothing changed.
  Status truncate(uint32_t slot, uint64_t length);

  /// The first `length` tokens of the slot's text have been processed: their full pages can be
  /// found from now on. Where the same beginning was published before, the slot goes over to those
  /// pages, whose numbers are the same. Before retire() of the same tokens.
  void publish(uint32_t slot, const KvText &text, uint64_t length);
  /// Gives an empty slot the pages that are known of a beginning of the text, as long as every
  /// kind has what the next token sees, and never all of the text. Returns its tokens.
  uint64_t reuse(uint32_t slot, const KvText &text);
  /// Lets the empty slot `to` hold what `from` holds of its first `length` tokens, all of which
  /// have been processed and none later.
  void share(uint32_t from, uint32_t to, uint64_t length);
  /// Forgets the pages that no slot holds.
  void dropUnheld();
  /// Takes memory for the pools from the system, before steps need it.
  PoolBacking &backing() const { return *backing_; }

  /// The pools in the order of Program::kvPool().
  std::span<void *const> pools() const { return poolPointers_; }
  /// The row of a slot in the table of a kind: stride(kind) page ids.
  std::span<const int32_t> row(uint32_t kind, uint32_t slot) const;
  /// Entries of a row that stand for pages, counted from the start of the row.
  uint32_t rowPages(uint32_t kind, uint32_t slot) const;
  /// Pages that a slot holds, alone or with others.
  uint32_t heldPages(uint32_t kind, uint32_t slot) const;

  uint32_t kinds() const { return static_cast<uint32_t>(kinds_.size()); }
  uint32_t stride(uint32_t kind) const { return kinds_[kind].stride; }
  uint32_t pages(uint32_t kind) const { return kinds_[kind].pages; }
  /// Pages that no slot holds: those that are known for their text are among them.
  uint32_t freePages(uint32_t kind) const {
    return static_cast<uint32_t>(kinds_[kind].free.size()) + kinds_[kind].unheld;
  }
  /// Those of them that are known for their text.
  uint32_t unheldPages(uint32_t kind) const { return kinds_[kind].unheld; }
  /// Bytes of all pools.
  uint64_t bytes() const { return bytes_; }
  /// Tokens of the longest sequence that fits when it is alone and its steps keep to room().
  uint64_t maxLength() const { return maxLength_; }

private:
  static constexpr uint32_t none = ~0u;

  /// Pages [first, end) of one slot in one kind.
  struct Range {
    uint32_t first = 0, end = 0;
  };
  struct Page {
    uint32_t holders = 0;
    uint32_t node = none;                ///< of the index, which knows the page for its text
    uint32_t older = none, newer = none; ///< in the list of those without holders
  };
  struct Kind {
    std::string name;
    uint32_t chunkTokens = 0;
    uint32_t pages = 0, stride = 0;
    uint32_t firstPool = 0, layers = 0;
    uint64_t pageBytes = 0;
    std::unique_ptr<DeviceBuffer> table; ///< [slots][stride], zero where there is no page
    std::vector<Range> ranges;           ///< [slots]
    std::vector<Page> states;            ///< [pages]
    std::vector<int32_t> free;           ///< known for no text; capacity: all pages
    uint32_t touched = 0;                ///< pages from here on were never handed out
    uint32_t oldest = none, newest = none, unheld = 0;

    int32_t *row(uint32_t slot) const {
      return static_cast<int32_t *>(table->data()) + uint64_t{slot} * stride;
    }
    uint64_t firstVisible(uint64_t length) const;
    void hold(int32_t id);
    void drop(int32_t id);
    void unlink(uint32_t id);
    void giveBack(uint32_t slot, uint32_t from, uint32_t to);
  };
  /// How far a slot's text is published.
  struct Chain {
    uint32_t node = PrefixIndex::root;
    uint64_t pages = 0;
  };

  KvCache() = default;
  Status addKind(const KvKind &kind, Device &device, uint32_t pages, uint32_t slots);
  std::vector<PoolBacking::Pools> poolsOfKinds() const;
  bool mustCopy(const Kind &kind, uint32_t slot, uint64_t length, uint64_t written) const;
  bool isAlone(const Kind &kind, uint32_t slot, uint64_t written) const;
  uint64_t growth(const Kind &kind, uint32_t slot, uint64_t end) const;
  int32_t take(uint32_t kind);
  int32_t evict(uint32_t kind);
  Status copyPage(const Kind &kind, int32_t from, int32_t to);
  void adopt(uint32_t kind, uint32_t slot, uint64_t page, uint32_t node);
  void cutChain(uint32_t slot, uint64_t pages);
  void moveChain(uint32_t slot, uint32_t node, uint64_t pages);

  Device *device_ = nullptr;
  std::vector<Kind> kinds_;
  std::vector<std::unique_ptr<DeviceBuffer>> pools_;
  std::vector<void *> poolPointers_;
  std::vector<uint32_t> freeSlots_;
  std::vector<Chain> chains_; ///< [slots]
  std::optional<PrefixIndex> index_;
  std::vector<std::byte> copied_; ///< one page of one layer
  std::unique_ptr<PoolBacking> backing_;
  uint64_t bytes_ = 0;
  uint64_t maxLength_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_KVCACHE_H
