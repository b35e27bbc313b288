//===- TokenizerView.cpp - a tokenizer section, checked and in place *- C++ -*-===//

#include "runtime/text/TokenizerView.h"

#include "runtime/base/Checked.h"
#include "runtime/text/Splitter.h"

#include <string>

namespace llama4::text {

namespace {

constexpr size_t kTableCount = static_cast<size_t>(TokenTable::Count);

constexpr const char *kTableNames[kTableCount] = {"strings",    "offsets",   "flags", "byte ids",
                                                  "merges",     "lookup",    "added", "stop ids",
                                                  "prefix ids", "suffix ids"};

std::string nameOf(TokenTable table) { return kTableNames[static_cast<size_t>(table)]; }

Status broken(const std::string &what) {
  return Status::invalidInput("tokenizer section: " + what + "; compile the model again");
}

} // namespace

uint32_t TokenizerView::loadU32(TokenTable which, size_t index) const {
  uint32_t value = 0;
  std::memcpy(&value, table(which).data() + index * sizeof(value), sizeof(value));
  return value;
}

template <typename Slot> Slot TokenizerView::loadSlot(TokenTable which, size_t index) const {
  Slot slot;
  std::memcpy(&slot, table(which).data() + index * sizeof(slot), sizeof(slot));
  return slot;
}

template <typename Slot> size_t TokenizerView::slotCount(TokenTable which) const {
  return table(which).size() / sizeof(Slot);
}

Status TokenizerView::checkHeader() const {
  const TokenizerHeader &h = header_;
  if (std::memcmp(h.magic, kTokenizerMagic, sizeof(h.magic)) != 0)
    return broken("the magic bytes are wrong");
  if (h.major != kTokenizerMajor)
    return broken("format version " + std::to_string(h.major) + ", this program reads " +
                  std::to_string(kTokenizerMajor));
  if (h.headerBytes < sizeof(h) || h.totalBytes != section_.size())
    return broken("it says " + std::to_string(h.totalBytes) + " bytes, there are " +
                  std::to_string(section_.size()));
  if (h.tokenCount == 0 || h.tokenCount > kMaxTokens)
    return broken(std::to_string(h.tokenCount) + " tokens, expected 1 to " +
                  std::to_string(kMaxTokens));
  if (h.splitKind > static_cast<uint32_t>(SplitKind::Llama4) ||
      h.digitKind > static_cast<uint32_t>(DigitKind::Runs))
    return broken("unknown splitter " + std::to_string(h.splitKind) + "/" +
                  std::to_string(h.digitKind));
  if (h.mergeProbes > kMaxProbes || h.lookupProbes > kMaxProbes)
    return broken("a hash table needs more than " + std::to_string(kMaxProbes) + " probes");
  for (uint32_t id : {h.bosId, h.eosId, h.padId, h.unkId})
    if (id != kNoId && id >= h.tokenCount)
      return broken("token id " + std::to_string(id) + " of the header is out of range");
  return Status();
}

Status TokenizerView::checkExtents() const {
  auto bytesOfTable = [&](TokenTable t) { return header_.tables[static_cast<size_t>(t)].bytes; };
  for (size_t i = 0; i < kTableCount; ++i) {
    const TableRange &range = header_.tables[i];
    if (!rangeInside(range.offset, range.bytes, section_.size()))
      return broken(std::string("table '") + kTableNames[i] + "' ends outside the section");
  }
  uint64_t count = header_.tokenCount;
  bool exact = bytesOfTable(TokenTable::Offsets) == (count + 1) * 4 &&
               bytesOfTable(TokenTable::Flags) == count &&
               bytesOfTable(TokenTable::ByteIds) == 256 * 4 &&
               bytesOfTable(TokenTable::Merges) % sizeof(MergeSlot) == 0 &&
               bytesOfTable(TokenTable::Lookup) % sizeof(LookupSlot) == 0;
  for (TokenTable t :
       {TokenTable::Added, TokenTable::StopIds, TokenTable::PrefixIds, TokenTable::SuffixIds})
    exact = exact && bytesOfTable(t) % 4 == 0 && bytesOfTable(t) / 4 <= count;
  return exact ? Status() : broken("a table's size does not fit the number of tokens");
}

Status TokenizerView::checkOffsets() const {
  uint32_t last = 0;
  uint32_t strings = 0;
  if (table(TokenTable::Strings).size() > UINT32_MAX)
    return broken("table 'strings' is larger than 4 GiB");
  strings = static_cast<uint32_t>(table(TokenTable::Strings).size());
  bool ordered = true;
  for (size_t i = 0; i <= header_.tokenCount; ++i) {
    uint32_t offset = loadU32(TokenTable::Offsets, i);
    ordered &= offset >= last;
    last = offset;
  }
  return ordered && last <= strings ? Status() : broken("the string offsets are out of order");
}

Status TokenizerView::checkIds() const {
  for (TokenTable t : {TokenTable::ByteIds, TokenTable::Added, TokenTable::StopIds,
                       TokenTable::PrefixIds, TokenTable::SuffixIds})
    for (uint32_t i = 0; i < idCount(t); ++i) {
      uint32_t id = idAt(t, i);
      bool absent = t == TokenTable::ByteIds && id == kNoId;
      if (id >= header_.tokenCount && !absent)
        return broken("table '" + nameOf(t) + "' holds token id " + std::to_string(id) +
                      ", which is out of range");
    }
  return Status();
}

Status TokenizerView::checkAddedOrder() const {
  std::string_view last;
  for (uint32_t i = 0; i < idCount(TokenTable::Added); ++i) {
    uint32_t id = idAt(TokenTable::Added, i);
    std::string_view bytes = bytesOf(id);
    if (bytes.empty() || bytes <= last || (flagsOf(id) & kTokenAdded) == 0)
      return broken("the added tokens are not in order");
    last = bytes;
  }
  return Status();
}

Result<TokenizerView> TokenizerView::open(std::span<const std::byte> section) {
  TokenizerView view;
  if (section.size() < sizeof(TokenizerHeader))
    return broken("it has " + std::to_string(section.size()) + " bytes, the header alone needs " +
                  std::to_string(sizeof(TokenizerHeader)));
  view.section_ = section;
  std::memcpy(&view.header_, section.data(), sizeof(view.header_));
  LLAMA4_RETURN_IF_ERROR(view.checkHeader());
  LLAMA4_RETURN_IF_ERROR(view.checkExtents());
  LLAMA4_RETURN_IF_ERROR(view.checkOffsets());
  LLAMA4_RETURN_IF_ERROR(view.checkIds());
  LLAMA4_RETURN_IF_ERROR(view.checkAddedOrder());
  return view;
}

Status TokenizerView::verify() const {
  for (size_t i = 0; i < slotCount<MergeSlot>(TokenTable::Merges); ++i) {
    auto slot = loadSlot<MergeSlot>(TokenTable::Merges, i);
    auto left = static_cast<uint32_t>(slot.key >> 32);
    auto right = static_cast<uint32_t>(slot.key);
    if (slot.key == kEmptyKey)
      continue;
    if (left >= tokenCount() || right >= tokenCount() || slot.merged >= tokenCount())
      return broken("merge slot " + std::to_string(i) + " holds a token id out of range");
    if (mergeOf(left, right).rank != slot.rank)
      return broken("merge slot " + std::to_string(i) + " cannot be found by its key");
  }
  for (size_t i = 0; i < slotCount<LookupSlot>(TokenTable::Lookup); ++i) {
    auto slot = loadSlot<LookupSlot>(TokenTable::Lookup, i);
    if (slot.id != kNoId && (slot.id >= tokenCount() || lookup(bytesOf(slot.id)) != slot.id))
      return broken("lookup slot " + std::to_string(i) + " does not lead to its token");
  }
  return Status();
}

uint32_t TokenizerView::idCount(TokenTable which) const {
  return static_cast<uint32_t>(table(which).size() / 4);
}

std::string_view TokenizerView::bytesOf(uint32_t id) const {
  if (id >= header_.tokenCount)
    return {};
  uint32_t begin = loadU32(TokenTable::Offsets, id);
  uint32_t end = loadU32(TokenTable::Offsets, id + 1);
  const auto *strings = reinterpret_cast<const char *>(table(TokenTable::Strings).data());
  return {strings + begin, end - begin};
}

uint8_t TokenizerView::flagsOf(uint32_t id) const {
  return id < header_.tokenCount ? static_cast<uint8_t>(table(TokenTable::Flags)[id]) : uint8_t{0};
}

Merge TokenizerView::mergeOf(uint32_t left, uint32_t right) const {
  size_t slots = slotCount<MergeSlot>(TokenTable::Merges);
  if (slots == 0)
    return {};
  uint64_t key = mergeKey(left, right);
  size_t at = firstSlot(mixHash(key), slots);
  for (uint32_t probe = 0; probe < header_.mergeProbes; ++probe) {
    auto slot = loadSlot<MergeSlot>(TokenTable::Merges, at);
    if (slot.key == key)
      return slot.merged < header_.tokenCount ? Merge{slot.rank, slot.merged} : Merge{};
    if (slot.key == kEmptyKey)
      break;
    if (++at == slots)
      at = 0;
  }
  return {};
}

uint32_t TokenizerView::lookup(std::string_view bytes) const {
  size_t slots = slotCount<LookupSlot>(TokenTable::Lookup);
  if (slots == 0)
    return kNoId;
  uint64_t hash = hashBytes(bytes);
  auto tag = static_cast<uint32_t>(hash);
  size_t at = firstSlot(hash, slots);
  for (uint32_t probe = 0; probe < header_.lookupProbes; ++probe) {
    auto slot = loadSlot<LookupSlot>(TokenTable::Lookup, at);
    if (slot.id == kNoId)
      break;
    if (slot.tag == tag && bytesOf(slot.id) == bytes)
      return slot.id < header_.tokenCount ? slot.id : kNoId;
    if (++at == slots)
      at = 0;
  }
  return kNoId;
}

} // namespace llama4::text
