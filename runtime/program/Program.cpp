//===- Program.cpp - a compiled program, mapped and checked ---------------===//

#include "runtime/program/Program.h"

#include "runtime/base/Checked.h"
#include "runtime/format/CheckField.h"
#include "runtime/format/CheckProgram.h"
#include "runtime/format/Checksum.h"
#include "runtime/format/FileLayout.h"
#include "runtime/program/DecodeProgram.h"

#include <algorithm>
#include <cstring>

namespace llama4 {

using check::badField;

namespace {

std::span<const std::byte> slice(std::span<const std::byte> bytes, FileRange range) {
  return bytes.subspan(static_cast<size_t>(range.begin), static_cast<size_t>(range.bytes));
}

bool allZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// Bytes between sections are zero; the layout has been checked.
Status checkPadding(std::span<const std::byte> bytes, const FileHeader &header) {
  uint64_t end = sizeof(FileHeader);
  for (uint32_t i = 0; i < header.sectionCount; ++i) {
    const SectionRecord &record = header.sections[i];
    if (!allZero(slice(bytes, {end, record.offset - end})))
      return badField("padding before header.sections[" + std::to_string(i) + "]",
                      "a byte that is not zero", "zeros");
    end = record.offset + record.bytes;
  }
  return {};
}

/// Bytes between objects of one section are zero; their ranges have been checked.
template <typename Objects>
Status checkInnerPadding(const char *field, std::span<const std::byte> section,
                         const Objects &objects) {
  uint64_t end = 0;
  for (size_t i = 0; i < objects.size(); ++i) {
    if (!allZero(slice(section, {end, objects[i].offset - end})))
      return badField("padding before " + check::atIndex(field, i), "a byte that is not zero",
                      "zeros");
    end = objects[i].offset + objects[i].bytes;
  }
  return {};
}

/// Compares the hashes `table` with the chunks of `bytes`.
Status compareChunks(const char *what, std::span<const std::byte> bytes,
                     std::span<const std::byte> table) {
  ChunkHasher hasher;
  hasher.update(bytes);
  std::vector<uint64_t> hashes = hasher.finish();
  for (size_t i = 0; i < hashes.size(); ++i) {
    uint64_t expected = 0;
    std::memcpy(&expected, table.data() + i * sizeof(expected), sizeof(expected));
    if (hashes[i] != expected)
      return badField(check::atIndex("checksums", i) + " of the " + what,
                      "bytes that do not fit it", "an undamaged file");
  }
  return {};
}

Status checkHashes(std::span<const std::byte> bytes, const FileHeader &header, VerifyMode mode) {
  std::span<const std::byte> table = slice(bytes, sectionRange(header, SectionKind::Checksums));
  std::array<uint8_t, 32> digest = sha256(table);
  if (std::memcmp(digest.data(), header.tableSha256, digest.size()) != 0)
    return badField("header.table_sha256", "a digest that does not fit the checksums",
                    "an undamaged file");
  FileRange metadata = metadataRange(header);
  LLAMA4_RETURN_IF_ERROR(compareChunks("metadata", slice(bytes, metadata), table));
  if (mode == VerifyMode::Default)
    return {};
  return compareChunks("weights", slice(bytes, sectionRange(header, SectionKind::Weights)),
                       table.subspan(static_cast<size_t>(chunkCount(metadata.bytes) * 8)));
}

} // namespace

Result<std::shared_ptr<const Program>> Program::load(const std::string &path, VerifyMode mode) {
  LLAMA4_ASSIGN_OR_RETURN(MappedFile file,
                          MappedFile::open(path, static_cast<size_t>(weightsAlignment)));
  std::shared_ptr<Program> program(new Program);
  program->file_ = std::move(file);
  program->bytes_ = program->file_->bytes();
  program->name_ = path;
  LLAMA4_RETURN_IF_ERROR(program->check(mode).in(path));
  if (const FileRange weights = sectionRange(program->header_, SectionKind::Weights);
      weights.bytes != 0)
    program->pages_ = std::make_unique<WeightPages>(*program->file_, weights.begin, weights.bytes);
  return std::shared_ptr<const Program>(std::move(program));
}

Result<std::shared_ptr<const Program>>
Program::fromBytes(std::span<const std::byte> bytes, VerifyMode mode, const std::string &name) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % tensorAlignment != 0)
    return Status::internal(name + ": found bytes at an odd address, expected a multiple of " +
                            std::to_string(tensorAlignment) + "; this is a fault of the caller.");
  std::shared_ptr<Program> program(new Program);
  program->bytes_ = bytes;
  program->name_ = name;
  LLAMA4_RETURN_IF_ERROR(program->check(mode).in(name));
  return std::shared_ptr<const Program>(std::move(program));
}

Status Program::check(VerifyMode mode) {
  if (bytes_.size() < sizeof(FileHeader))
    return badField("file", std::to_string(bytes_.size()) + " bytes",
                    "a program file of at least " + std::to_string(sizeof(FileHeader)));
  std::memcpy(&header_, bytes_.data(), sizeof(header_));
  LLAMA4_RETURN_IF_ERROR(checkLayout(header_, bytes_.size()));
  LLAMA4_RETURN_IF_ERROR(checkHashes(bytes_, header_, mode));
  LLAMA4_RETURN_IF_ERROR(checkPadding(bytes_, header_));
  LLAMA4_ASSIGN_OR_RETURN(desc_, decodeProgram(section(SectionKind::Program)));
  std::span<const std::byte> code = section(SectionKind::Code);
  std::span<const std::byte> weights = section(SectionKind::Weights);
  uint64_t weightsBytes = weights.size();
  if (!desc_.weightSource.isStored() || (header_.features & featureMadeUpWeights) != 0) {
    LLAMA4_ASSIGN_OR_RETURN(weightsBytes, checkMadeUp());
    madeUp_ = std::make_unique<MadeUpWeights>();
  }
  if (hasExperts(desc_) != ((header_.features & featureExperts) != 0))
    return badField("header.features", std::to_string(header_.features),
                    hasExperts(desc_) ? "the feature bit of a program with experts"
                                      : "none of experts, of which the program has none");
  if (hasImages(desc_) != ((header_.features & featureImages) != 0))
    return badField("header.features", std::to_string(header_.features),
                    hasImages(desc_) ? "the feature bit of a program with pictures"
                                     : "none of pictures, of which the program has none");
  if (hasLibraries(desc_) != ((header_.features & featureLibraries) != 0))
    return badField("header.features", std::to_string(header_.features),
                    hasLibraries(desc_) ? "the feature bit of a program with library calls"
                                        : "none of library calls, of which the program has none");
  LLAMA4_RETURN_IF_ERROR(checkProgram(desc_, code.size(), weightsBytes));
  LLAMA4_RETURN_IF_ERROR(checkInnerPadding("code_objects", code, desc_.codeObjects));
  if (mode == VerifyMode::Full && !madeUp_)
    return checkInnerPadding("weights", weights, desc_.weights);
  return {};
}

/// The memory that made-up weights take: header and program agree that there are such, and the file
/// has none beside them.
Result<uint64_t> Program::checkMadeUp() const {
  if ((header_.features & featureMadeUpWeights) == 0)
    return badField("weight_origin", "weights that are made up",
                    "the feature bit of such a file in its header");
  if (desc_.weightSource.isStored())
    return badField("weight_origin", "stored weights",
                    "weights that are made up, as the header's features say");
  if (!section(SectionKind::Weights).empty())
    return badField("weight_origin", "weights that are made up and a Weights section",
                    "one of the two");
  std::optional<uint64_t> bytes = weightsEnd(desc_);
  if (!bytes || *bytes > limits::maxMadeUpBytes)
    return badField("weights (bytes of all)", bytes ? std::to_string(*bytes) : "more than 2^64",
                    "at most " + std::to_string(limits::maxMadeUpBytes));
  return *bytes;
}

std::string Program::contentId() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : header_.contentId) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::span<const std::byte> Program::section(SectionKind kind) const {
  return slice(bytes_, sectionRange(header_, kind));
}

Result<std::span<const std::byte>> Program::weights() const {
  if (!madeUp_)
    return section(SectionKind::Weights);
  return madeUp_->get(desc_, weightsBytes());
}

WeightsReport Program::weightsReport() const {
  if (pages_)
    return pages_->report();
  WeightsReport report;
  report.form = madeUp_ ? WeightsReport::Form::MadeUp : WeightsReport::Form::Mapped;
  report.bytes = weightsBytes();
  report.inHugePages =
      pageUse(madeUp_ ? madeUp_->made() : section(SectionKind::Weights)).inHugePages;
  return report;
}

uint64_t Program::weightsBytes() const { return weightsEnd(desc_).value_or(0); }

std::span<const std::byte> Program::weight(size_t index) const {
  const Weight &weight = desc_.weights[index];
  std::span<const std::byte> all = madeUp_ ? madeUp_->made() : section(SectionKind::Weights);
  return all.empty() ? all : slice(all, {weight.offset, weight.bytes});
}

std::span<const std::byte> Program::code(size_t index) const {
  const CodeObject &object = desc_.codeObjects[index];
  return slice(section(SectionKind::Code), {object.offset, object.bytes});
}

std::optional<uint32_t> Program::entry(std::string_view name) const {
  for (uint32_t i = 0; i < desc_.entries.size(); ++i)
    if (desc_.entries[i].name == name)
      return i;
  return std::nullopt;
}

std::optional<uint32_t> Program::entryFor(std::string_view function, uint32_t symbol,
                                          bool oneTokenPerSequence) const {
  std::optional<uint32_t> best;
  for (uint32_t i = 0; i < desc_.entries.size(); ++i) {
    const Entry &entry = desc_.entries[i];
    bool decode = entry.specialization == Specialization::Decode;
    if (entry.function != function || symbol > entry.bound || (decode && !oneTokenPerSequence))
      continue;
    // A decode entry beats a general one; among equals the smaller bound is the more special.
    if (!best || std::pair(!decode, entry.bound) <
                     std::pair(desc_.entries[*best].specialization != Specialization::Decode,
                               desc_.entries[*best].bound))
      best = i;
  }
  return best;
}

uint32_t Program::kvPools() const { return kvPool(static_cast<uint32_t>(desc_.kvKinds.size()), 0); }

uint32_t Program::kvPool(uint32_t kind, uint32_t layer) const {
  uint32_t before = 0;
  for (uint32_t k = 0; k < kind; ++k)
    before += desc_.kvKinds[k].layers;
  return before + layer;
}

} // namespace llama4
