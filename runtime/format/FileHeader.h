//===- FileHeader.h - the first 4096 bytes of a program file -----*- C++ -*-===//
//
// Fixed layout, little-endian, the same in every version of the format up to `fileBytes`, so that
// any reader can say what it found. README.md beside this file draws the whole file.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_FILEHEADER_H
#define LLAMA4_RUNTIME_FORMAT_FILEHEADER_H

#include <cstddef>
#include <cstdint>

namespace llama4 {

inline constexpr char fileMagic[8] = {'L', 'L', 'A', 'M', 'A', '4', 'X', '\n'};
/// A reader of major M reads every minor of M up to its own, and no other major.
inline constexpr uint16_t formatMajor = 1;
inline constexpr uint16_t formatMinor = 0;

/// Sections and code objects start at multiples of this.
inline constexpr uint64_t sectionAlignment = 4096;
/// The weights section starts at a multiple of this, so that huge pages can map it.
inline constexpr uint64_t weightsAlignment = uint64_t{2} << 20;
/// Tensors inside the weights section start at multiples of this.
inline constexpr uint64_t tensorAlignment = 64;
/// Bytes that one entry of the checksum table covers.
inline constexpr uint64_t chunkBytes = uint64_t{4} << 20;
inline constexpr uint32_t maxSections = 16;

/// Append only. A reader ignores kinds it does not know.
enum class SectionKind : uint32_t {
  None = 0,
  Checksums = 1,    ///< XXH3-64 of every chunk: first of the metadata, then of the weights
  Program = 2,      ///< program.fbs
  Code = 3,         ///< code objects
  Tokenizer = 4,    ///< tables of the tokenizer
  ChatTemplate = 5, ///< the compiled chat template
  Weights = 6,      ///< packed tensors; the last section
};

struct SectionRecord {
  SectionKind kind;
  uint32_t reserved; ///< 0
  uint64_t offset;   ///< from the start of the file
  uint64_t bytes;    ///< without padding, never 0
};

struct FileHeader {
  char magic[8];
  uint16_t major, minor;
  uint32_t headerBytes;    ///< sizeof(FileHeader)
  uint64_t fileBytes;      ///< length of the whole file
  uint64_t features;       ///< a bit for each optional feature; an unknown bit means: cannot read
  uint32_t sectionCount;   ///< records in use; the others are zero
  uint32_t reserved0;      ///< 0
  uint8_t contentId[32];   ///< identity of source and options, given by the compiler
  uint8_t tableSha256[32]; ///< SHA-256 of the Checksums section
  SectionRecord sections[maxSections];                    ///< ascending offsets
  uint8_t padding[4096 - 40 - 64 - maxSections * 24 - 8]; ///< 0
  uint64_t headerHash; ///< XXH3-64 of all bytes of the header before this field
};
static_assert(sizeof(SectionRecord) == 24);
static_assert(sizeof(FileHeader) == 4096);
static_assert(offsetof(FileHeader, sections) == 104);
static_assert(offsetof(FileHeader, headerHash) == 4088);

/// Feature bits this version of the runtime can read.
inline constexpr uint64_t featureMadeUpWeights = 1; ///< no Weights section, see WeightSource.h
/// Grouped linears or weights of several matrices; kernels read l4_dispatch::tiles.
inline constexpr uint64_t featureExperts = 2;
/// Rope grids or facts about pictures: entries whose inputs readers before them cannot fill.
inline constexpr uint64_t featureImages = 4;
/// Kernels without code, which a library computes.
inline constexpr uint64_t featureLibraries = 8;
inline constexpr uint64_t knownFeatures =
    featureMadeUpWeights | featureExperts | featureImages | featureLibraries;

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_FILEHEADER_H
