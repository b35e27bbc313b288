//===- TokenizerTables.h - the tokenizer section of an executable *- C++ -*-===//
//
// One flat little-endian blob that is mapped and used in place: a header, then tables found through
// (offset, bytes) pairs relative to the blob's start. Nothing in it is a pointer, nothing needs
// parsing or copying, and no table needs an alignment (fields are loaded bytewise).
//
// This header is shared by the writer (build/TokenizerWriter) and the reader (TokenizerView).
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TOKENIZERTABLES_H
#define LLAMA4_RUNTIME_TEXT_TOKENIZERTABLES_H

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace llama4::text {

static_assert(std::endian::native == std::endian::little, "sections are read in place");

inline constexpr char kTokenizerMagic[8] = {'L', '4', 'T', 'O', 'K', 'E', 'N', 'S'};
inline constexpr uint16_t kTokenizerMajor = 1;
inline constexpr uint16_t kTokenizerMinor = 0;
inline constexpr uint32_t kNoId = 0xffffffffu;
/// Ids are below this; so is the number of merges.
inline constexpr uint32_t kMaxTokens = 1u << 24;
/// No hash table may need more probes than this for any key.
inline constexpr uint32_t kMaxProbes = 256;

/// The tables of a section; the index into TokenizerHeader::tables.
enum class TokenTable : uint32_t {
  Strings,   ///< the bytes of all tokens, one after the other
  Offsets,   ///< u32[tokenCount + 1] into Strings; an id without a token has no bytes
  Flags,     ///< u8[tokenCount], TokenFlag
  ByteIds,   ///< u32[256]: the token of a single byte, or kNoId
  Merges,    ///< MergeSlot[]: open addressing, linear probing
  Lookup,    ///< LookupSlot[]: whole-token lookup of the tokens that are not added ones
  Added,     ///< u32[]: ids of the added tokens, ordered by their bytes (unsigned, shorter first)
  StopIds,   ///< u32[]: generation ends at any of these
  PrefixIds, ///< u32[]: what the post-processor puts before a text
  SuffixIds, ///< u32[]: and after it
  Count
};

/// Bits of a token's flag byte.
enum TokenFlag : uint8_t {
  kTokenAdded = 1,      ///< matched in the text before it is split
  kTokenSpecial = 2,    ///< a control token: never matched in text that is not trusted
  kTokenSecondPass = 4, ///< matched only where no first-pass added token was (HF: normalized)
};

/// Bits of TokenizerHeader::flags.
enum TokenizerFlag : uint32_t {
  kIgnoreMerges = 1, ///< a piece that is a token is that token, whatever the merges say
  kAddBos = 2,       ///< the checkpoint wants PrefixIds put before a text
};

struct TableRange {
  uint64_t offset; ///< from the start of the section
  uint64_t bytes;
};

/// The first bytes of a section.
struct TokenizerHeader {
  char magic[8];
  uint16_t major;
  uint16_t minor;
  uint32_t headerBytes; ///< sizeof(TokenizerHeader) of the writer
  uint64_t totalBytes;  ///< of the section
  uint32_t tokenCount;
  uint32_t flags;
  uint32_t splitKind; ///< SplitKind
  uint32_t digitKind; ///< DigitKind
  uint32_t bosId;     ///< this and the next two: kNoId where there is none
  uint32_t eosId;
  uint32_t padId;
  uint32_t unkId;        ///< stands for a byte without a token; kNoId: such a byte is dropped
  uint32_t mergeProbes;  ///< the most slots any present pair needs to be found
  uint32_t lookupProbes; ///< the same for Lookup
  TableRange tables[static_cast<size_t>(TokenTable::Count)];
};
static_assert(sizeof(TokenizerHeader) == 64 + 16 * static_cast<size_t>(TokenTable::Count));

/// One merge: the pair `key` = left << 32 | right becomes `merged`; lower ranks go first.
struct MergeSlot {
  uint64_t key; ///< kEmptyKey: an empty slot
  uint32_t rank;
  uint32_t merged;
};
static_assert(sizeof(MergeSlot) == 16);
inline constexpr uint64_t kEmptyKey = ~0ull;

/// One token that can be looked up by its bytes.
struct LookupSlot {
  uint32_t tag; ///< the low half of hashBytes
  uint32_t id;  ///< kNoId: an empty slot
};
static_assert(sizeof(LookupSlot) == 8);

inline uint64_t mergeKey(uint32_t left, uint32_t right) {
  return static_cast<uint64_t>(left) << 32 | right;
}

inline uint64_t mixHash(uint64_t x) {
  x ^= x >> 32;
  x *= 0x9e3779b97f4a7c15ull;
  x ^= x >> 29;
  x *= 0xbf58476d1ce4e5b9ull;
  return x ^ (x >> 32);
}

/// The hash of a token's bytes.
inline uint64_t hashBytes(std::string_view bytes) {
  uint64_t hash = bytes.size() * 0x9e3779b97f4a7c15ull;
  size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    hash = mixHash(hash ^ word);
  }
  uint64_t word = 0;
  for (size_t i = at; i < bytes.size(); ++i)
    word = word << 8 | static_cast<unsigned char>(bytes[i]);
  return mixHash(hash ^ word);
}

/// The first slot of a hash in a table of `slots` > 0 slots (any number, not only powers of two).
inline size_t firstSlot(uint64_t hash, size_t slots) {
  return static_cast<size_t>((static_cast<unsigned __int128>(hash) * slots) >> 64);
}

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TOKENIZERTABLES_H
