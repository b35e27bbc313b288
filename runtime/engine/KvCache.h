//===- KvCache.h - pages of keys and values and who holds them ---*- C++ -*-===//
//
// All memory of the cache is reserved when it is made: one pool per layer, cut into pages of
// L4_PAGE_TOKENS tokens. A sequence holds one slot; a slot holds, for every kv kind of the program,
// a row of the page table. One page id stands for the same page in the pools of all layers of its
// kind. Handing out and taking back pages moves numbers between a free list and the tables:
// nothing is allocated and no page is cleared.
//
// Entries of a table that stand for no page are 0, which is a page that exists: a kernel that looks
// further than it should reads wrong numbers and never outside the pool.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_KVCACHE_H
#define LLAMA4_RUNTIME_ENGINE_KVCACHE_H

#include "runtime/base/Status.h"
#include "runtime/device/Device.h"
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
  /// Takes back the slot and all its pages.
  void release(uint32_t slot);

  /// Makes sure that `slot` has pages for its first `length` tokens, all or none of them. Errors:
  /// OutOfMemory (no free page; nothing changed), Usage (longer than maxLength).
  Status reserve(uint32_t slot, uint64_t length);
  /// Takes back the pages that no token at position `length` or later can see: those of chunks that
  /// have ended, in kinds with chunked attention.
  void retire(uint32_t slot, uint64_t length);
  /// Takes back the pages behind the first `length` tokens. Errors: Internal, when the next token
  /// would need a page that was retired; nothing changed.
  Status truncate(uint32_t slot, uint64_t length);

  /// The pools in the order of Program::kvPool().
  std::span<void *const> pools() const { return poolPointers_; }
  /// The row of a slot in the table of a kind: stride(kind) page ids.
  std::span<const int32_t> row(uint32_t kind, uint32_t slot) const;
  /// Entries of a row that stand for pages, counted from the start of the row.
  uint32_t rowPages(uint32_t kind, uint32_t slot) const;

  uint32_t kinds() const { return static_cast<uint32_t>(kinds_.size()); }
  uint32_t stride(uint32_t kind) const { return kinds_[kind].stride; }
  uint32_t pages(uint32_t kind) const { return kinds_[kind].pages; }
  uint32_t freePages(uint32_t kind) const {
    return static_cast<uint32_t>(kinds_[kind].free.size());
  }
  /// Bytes of all pools.
  uint64_t bytes() const { return bytes_; }
  /// Tokens of the longest sequence that fits when it is alone.
  uint64_t maxLength() const { return maxLength_; }

private:
  /// Pages [first, end) of one slot in one kind.
  struct Range {
    uint32_t first = 0, end = 0;
  };
  struct Kind {
    std::string name;
    uint32_t chunkTokens = 0;
    uint32_t pages = 0, stride = 0;
    std::unique_ptr<DeviceBuffer> table; ///< [slots][stride], zero where there is no page
    std::vector<Range> ranges;           ///< [slots]
    std::vector<int32_t> free;           ///< capacity: all pages

    int32_t *row(uint32_t slot) const {
      return static_cast<int32_t *>(table->data()) + uint64_t{slot} * stride;
    }
    uint64_t firstVisible(uint64_t length) const;
    void giveBack(uint32_t slot, uint32_t from, uint32_t to);
  };

  KvCache() = default;
  Status addKind(const KvKind &kind, Device &device, uint32_t pages, uint32_t slots);

  std::vector<Kind> kinds_;
  std::vector<std::unique_ptr<DeviceBuffer>> pools_;
  std::vector<void *> poolPointers_;
  std::vector<uint32_t> freeSlots_;
  uint64_t bytes_ = 0;
  uint64_t maxLength_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_KVCACHE_H
