//===- TokenizerView.h - a tokenizer section, checked and in place *- C++ -*-===//
//
// Reads the tables of TokenizerTables.h from bytes that may be hostile. Opening checks the header,
// all extents and the small tables and touches no page of the big hash tables; what is read from
// those is checked where it is used, so that no content whatsoever leads outside the section.
// `verify` reads everything and finds what opening leaves to the accessors.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TOKENIZERVIEW_H
#define LLAMA4_RUNTIME_TEXT_TOKENIZERVIEW_H

#include "runtime/base/Status.h"
#include "runtime/text/TokenizerTables.h"

#include <optional>
#include <span>
#include <string_view>

namespace llama4::text {

/// A merge that a pair of tokens allows.
struct Merge {
  uint32_t rank = kNoId; ///< kNoId: the pair does not merge
  uint32_t merged = 0;
};

/// A section opened in place. Copyable; the bytes must outlive it. Thread-safe (all const).
class TokenizerView {
public:
  /// Checks `section` as said above. The Status says which field or table is wrong.
  static Result<TokenizerView> open(std::span<const std::byte> section);

  /// Checks every slot of every table: what a file verifier wants. Opening did the rest.
  Status verify() const;

  const TokenizerHeader &header() const { return header_; }
  uint32_t tokenCount() const { return header_.tokenCount; }
  bool has(TokenizerFlag flag) const { return (header_.flags & flag) != 0; }

  /// The bytes of a token; empty for an id without a token and for an id out of range.
  std::string_view bytesOf(uint32_t id) const;
  /// The flags of a token, 0 for an id out of range.
  uint8_t flagsOf(uint32_t id) const;
  /// The token of one byte, or kNoId.
  uint32_t byteId(unsigned char byte) const { return loadU32(TokenTable::ByteIds, byte); }
  /// What (left, right) merges to.
  Merge mergeOf(uint32_t left, uint32_t right) const;
  /// The token, added ones left out, whose bytes these are; kNoId if there is none.
  uint32_t lookup(std::string_view bytes) const;

  /// Number of u32 entries of a table of ids.
  uint32_t idCount(TokenTable table) const;
  /// Entry `index` (< idCount) of a table of ids.
  uint32_t idAt(TokenTable table, uint32_t index) const { return loadU32(table, index); }

private:
  std::span<const std::byte> table(TokenTable table) const {
    const TableRange &range = header_.tables[static_cast<size_t>(table)];
    return section_.subspan(range.offset, range.bytes);
  }
  uint32_t loadU32(TokenTable which, size_t index) const;
  template <typename Slot> Slot loadSlot(TokenTable which, size_t index) const;
  template <typename Slot> size_t slotCount(TokenTable which) const;

  Status checkHeader() const;
  Status checkExtents() const;
  Status checkOffsets() const;
  Status checkIds() const;
  Status checkAddedOrder() const;

  std::span<const std::byte> section_;
  TokenizerHeader header_ = {};
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TOKENIZERVIEW_H
