//===- FileLayout.cpp - where the sections of a program file lie ----------===//

#include "runtime/format/FileLayout.h"

#include "runtime/base/Checked.h"
#include "runtime/format/CheckField.h"
#include "runtime/format/Checksum.h"

#include <algorithm>
#include <cstring>

namespace llama4 {

using check::badField;
using check::inRange;

FileRange sectionRange(const FileHeader &header, SectionKind kind) {
  for (uint32_t i = 0; i < std::min(header.sectionCount, maxSections); ++i)
    if (header.sections[i].kind == kind)
      return {header.sections[i].offset, header.sections[i].bytes};
  return {};
}

FileRange metadataRange(const FileHeader &header) {
  uint64_t begin = sectionRange(header, SectionKind::Program).begin;
  uint64_t end = begin;
  for (uint32_t i = 0; i < std::min(header.sectionCount, maxSections); ++i)
    if (header.sections[i].kind != SectionKind::Weights)
      end = std::max(end, header.sections[i].offset + header.sections[i].bytes);
  return {begin, end - begin};
}

uint64_t chunkCount(uint64_t bytes) { return ceilDiv(bytes, chunkBytes); }

uint64_t alignmentOf(SectionKind kind) {
  return kind == SectionKind::Weights ? weightsAlignment : sectionAlignment;
}

/// What must hold before any other field of the header is believed.
static Status checkIdentity(const FileHeader &header, uint64_t fileBytes) {
  if (std::memcmp(header.magic, fileMagic, sizeof(fileMagic)) != 0)
    return Status::invalidInput("header.magic: found other bytes than a program file begins with, "
                                "expected a .l4x file; give a file llama4-compile wrote.");
  if (header.major != formatMajor || header.minor > formatMinor)
    return Status::invalidInput(
        "header.version: found format " + std::to_string(header.major) + "." +
        std::to_string(header.minor) + ", expected " + std::to_string(formatMajor) + ".0 to " +
        std::to_string(formatMajor) + "." + std::to_string(formatMinor) +
        "; compile the model again or use the runtime that belongs to its compiler.");
  LLAMA4_RETURN_IF_ERROR(
      inRange("header.header_bytes", header.headerBytes, sizeof(FileHeader), sizeof(FileHeader)));
  LLAMA4_RETURN_IF_ERROR(inRange("header.file_bytes", header.fileBytes, fileBytes, fileBytes));
  if (header.headerHash != headerHash(header))
    return badField("header.header_hash", "a hash that does not fit the header", "the right one");
  if ((header.features & ~knownFeatures) != 0)
    return badField("header.features", std::to_string(header.features),
                    "no features unknown to this runtime");
  if (header.reserved0 != 0)
    return badField("header.reserved0", std::to_string(header.reserved0), "0");
  for (uint8_t byte : header.padding)
    if (byte != 0)
      return badField("header.padding", "a byte that is not zero", "zeros");
  return inRange("header.section_count", header.sectionCount, 2, maxSections);
}

static Status checkSections(const FileHeader &header) {
  uint64_t end = sizeof(FileHeader);
  for (uint32_t i = 0; i < maxSections; ++i) {
    const SectionRecord &record = header.sections[i];
    std::string at = check::atIndex("header.sections", i);
    if (i >= header.sectionCount) {
      if (record.kind != SectionKind::None || record.reserved || record.offset || record.bytes)
        return badField(at, "a record that is not in use and not zero", "zeros");
      continue;
    }
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".reserved", record.reserved, 0, 0));
    if (record.kind == SectionKind::None)
      return badField(at + ".kind", "0", "a kind of section");
    for (uint32_t other = 0; other < i; ++other)
      if (header.sections[other].kind == record.kind)
        return badField(at + ".kind", std::to_string(static_cast<uint32_t>(record.kind)) + " twice",
                        "each kind once");
    LLAMA4_RETURN_IF_ERROR(check::follows(at, record.offset, record.bytes, end,
                                          alignmentOf(record.kind), header.fileBytes));
    end = record.offset + record.bytes;
    if (record.kind == SectionKind::Weights && i + 1 != header.sectionCount)
      return badField(at + ".kind", "weights before another section", "the weights last");
  }
  return inRange("header.file_bytes", header.fileBytes, end, end);
}

Status checkLayout(const FileHeader &header, uint64_t fileBytes) {
  LLAMA4_RETURN_IF_ERROR(checkIdentity(header, fileBytes));
  LLAMA4_RETURN_IF_ERROR(checkSections(header));
  if (header.sections[0].kind != SectionKind::Checksums)
    return badField("header.sections[0].kind", "another section", "the checksums first");
  if (header.sections[1].kind != SectionKind::Program)
    return badField("header.sections[1].kind", "another section", "the program second");
  uint64_t chunks = chunkCount(metadataRange(header).bytes) +
                    chunkCount(sectionRange(header, SectionKind::Weights).bytes);
  return inRange("header.sections[0].bytes", header.sections[0].bytes, chunks * sizeof(uint64_t),
                 chunks * sizeof(uint64_t));
}

} // namespace llama4
