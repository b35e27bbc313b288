//===- TokenizerWriter.cpp - writes a tokenizer section ---------*- C++ -*-===//

#include "runtime/text/build/TokenizerWriter.h"

#include "runtime/text/OneLine.h"
#include "runtime/text/TokenizerView.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace llama4::text {

namespace {

/// Places `items` into an open-addressed table of `slots`. hashOf(item) gives the hash, isEmpty and
/// sameKey look at slots. Returns the most probes any item needs.
template <typename Slot, typename Hash, typename Empty, typename Same>
uint32_t fillTable(std::vector<Slot> &slots, std::span<const Slot> items, Hash hashOf,
                   Empty isEmpty, Same sameKey) {
  uint32_t worst = 0;
  for (const Slot &item : items) {
    size_t at = firstSlot(hashOf(item), slots.size());
    uint32_t probes = 1;
    while (!isEmpty(slots[at]) && !sameKey(slots[at], item)) {
      at = at + 1 == slots.size() ? 0 : at + 1;
      ++probes;
    }
    slots[at] = item; // of two merges with one pair the later counts
    worst = std::max(worst, probes);
  }
  return worst;
}

/// Grows the table until no item needs more than kMaxProbes.
template <typename Slot, typename... Fns>
std::vector<Slot> buildTable(Slot empty, std::span<const Slot> items, uint32_t &probes,
                             Fns... fns) {
  for (size_t size = items.size() + items.size() / 3 + 1;; size += size / 2 + 1) {
    std::vector<Slot> slots(items.empty() ? 0 : size, empty);
    probes = fillTable<Slot>(slots, items, fns...);
    if (probes <= kMaxProbes)
      return slots;
  }
}

std::vector<MergeSlot> buildMerges(const TokenizerContent &content, uint32_t &probes) {
  std::vector<MergeSlot> items;
  for (const MergeRule &rule : content.merges) {
    auto place = static_cast<uint32_t>(items.size());
    items.push_back(
        {mergeKey(rule.left, rule.right), content.ranksAreIds ? rule.merged : place, rule.merged});
  }
  return buildTable<MergeSlot>(
      {kEmptyKey, 0, 0}, items, probes, [](const MergeSlot &s) { return mixHash(s.key); },
      [](const MergeSlot &s) { return s.key == kEmptyKey; },
      [](const MergeSlot &a, const MergeSlot &b) { return a.key == b.key; });
}

std::vector<LookupSlot> buildLookup(const TokenizerContent &content, uint32_t &probes) {
  std::vector<LookupSlot> items;
  // Descending, so that the lowest id of several with the same bytes is the one that stays.
  for (auto id = static_cast<uint32_t>(content.tokens.size()); id-- > 0;)
    if (!content.tokens[id].empty() && (content.flags[id] & kTokenAdded) == 0)
      items.push_back({static_cast<uint32_t>(hashBytes(content.tokens[id])), id});
  const std::vector<std::string> &tokens = content.tokens;
  return buildTable<LookupSlot>(
      {0, kNoId}, items, probes, [&](const LookupSlot &s) { return hashBytes(tokens[s.id]); },
      [](const LookupSlot &s) { return s.id == kNoId; },
      [&](const LookupSlot &a, const LookupSlot &b) { return tokens[a.id] == tokens[b.id]; });
}

std::vector<uint32_t> orderedAdded(const TokenizerContent &content) {
  std::vector<uint32_t> added;
  for (uint32_t id = 0; id < content.tokens.size(); ++id)
    if ((content.flags[id] & kTokenAdded) != 0)
      added.push_back(id);
  std::sort(added.begin(), added.end(),
            [&](uint32_t a, uint32_t b) { return content.tokens[a] < content.tokens[b]; });
  return added;
}

Status checkContent(const TokenizerContent &content, const std::vector<uint32_t> &added) {
  size_t count = content.tokens.size();
  if (count == 0 || count > kMaxTokens || content.flags.size() != count)
    return Status::invalidInput("the vocabulary has " + std::to_string(count) +
                                " tokens, expected 1 to " + std::to_string(kMaxTokens));
  for (const MergeRule &rule : content.merges)
    if (rule.left >= count || rule.right >= count || rule.merged >= count)
      return Status::invalidInput("a merge names a token that is not in the vocabulary");
  for (size_t i = 0; i + 1 < added.size(); ++i)
    if (content.tokens[added[i]] == content.tokens[added[i + 1]])
      return Status::invalidInput("added token '" + oneLine(content.tokens[added[i]]) +
                                  "' has two ids: " + std::to_string(added[i]) + " and " +
                                  std::to_string(added[i + 1]));
  for (uint32_t id : content.stopIds)
    if (id >= count)
      return Status::invalidInput("stop token id " + std::to_string(id) +
                                  " is not in the vocabulary of " + std::to_string(count) +
                                  " tokens");
  return Status();
}

/// Appends tables behind a header and remembers where they are.
class SectionWriter {
public:
  SectionWriter() : bytes_(sizeof(TokenizerHeader)) {}

  template <typename T> void add(TokenTable table, std::span<const T> values) {
    bytes_.resize((bytes_.size() + 7) & ~size_t{7});
    size_t at = bytes_.size();
    size_t size = values.size_bytes();
    header.tables[static_cast<size_t>(table)] = {at, size};
    bytes_.resize(at + size);
    if (size != 0)
      std::memcpy(bytes_.data() + at, values.data(), size);
  }

  std::vector<std::byte> finish() {
    std::memcpy(header.magic, kTokenizerMagic, sizeof(header.magic));
    header.major = kTokenizerMajor;
    header.minor = kTokenizerMinor;
    header.headerBytes = sizeof(header);
    header.totalBytes = bytes_.size();
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return std::move(bytes_);
  }

  TokenizerHeader header = {};

private:
  std::vector<std::byte> bytes_;
};

void fillHeader(TokenizerHeader &header, const TokenizerContent &content) {
  header.tokenCount = static_cast<uint32_t>(content.tokens.size());
  header.flags = (content.ignoreMerges ? uint32_t{kIgnoreMerges} : 0u) |
                 (content.addBos ? uint32_t{kAddBos} : 0u);
  header.splitKind = static_cast<uint32_t>(content.split);
  header.digitKind = static_cast<uint32_t>(content.digits);
  header.bosId = content.bosId;
  header.eosId = content.eosId;
  header.padId = content.padId;
  header.unkId = content.unkId;
}

} // namespace

Result<std::vector<std::byte>> writeTokenizerSection(const TokenizerContent &content) {
  std::vector<uint32_t> added = orderedAdded(content);
  LLAMA4_RETURN_IF_ERROR(checkContent(content, added));
  std::string strings;
  std::vector<uint32_t> offsets;
  for (const std::string &token : content.tokens) {
    offsets.push_back(static_cast<uint32_t>(strings.size()));
    strings += token;
    if (strings.size() > UINT32_MAX)
      return Status::invalidInput("the vocabulary's strings are larger than 4 GiB");
  }
  offsets.push_back(static_cast<uint32_t>(strings.size()));

  SectionWriter writer;
  fillHeader(writer.header, content);
  std::vector<MergeSlot> merges = buildMerges(content, writer.header.mergeProbes);
  std::vector<LookupSlot> lookup = buildLookup(content, writer.header.lookupProbes);
  // What opening reads comes first and lies together.
  writer.add<uint32_t>(TokenTable::ByteIds, content.byteIds);
  writer.add<uint32_t>(TokenTable::StopIds, content.stopIds);
  writer.add<uint32_t>(TokenTable::PrefixIds, content.prefixIds);
  writer.add<uint32_t>(TokenTable::SuffixIds, content.suffixIds);
  writer.add<uint32_t>(TokenTable::Added, added);
  writer.add<uint32_t>(TokenTable::Offsets, offsets);
  writer.add<uint8_t>(TokenTable::Flags, content.flags);
  writer.add<char>(TokenTable::Strings, strings);
  writer.add<LookupSlot>(TokenTable::Lookup, lookup);
  writer.add<MergeSlot>(TokenTable::Merges, merges);
  std::vector<std::byte> section = writer.finish();
  // The reader is the judge of what is well formed (byte ids, header ids, order).
  Result<TokenizerView> view = TokenizerView::open(section);
  if (!view.ok())
    return view.status();
  return section;
}

} // namespace llama4::text
