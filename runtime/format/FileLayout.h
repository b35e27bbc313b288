//===- FileLayout.h - where the sections of a program file lie ---*- C++ -*-===//
//
// The one layout that README.md describes, as ranges read off a header. The writer fills the
// header, the loader proves it (checkLayout), and both hash the same two ranges.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_FILELAYOUT_H
#define LLAMA4_RUNTIME_FORMAT_FILELAYOUT_H

#include "runtime/base/Status.h"
#include "runtime/format/FileHeader.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4 {

struct FileRange {
  uint64_t begin = 0, bytes = 0;
  uint64_t end() const { return begin + bytes; }
};

/// The range of a section; empty when the header has none of this kind.
FileRange sectionRange(const FileHeader &header, SectionKind kind);

/// Program up to the end of the last section before the weights: guarded by the first hashes.
FileRange metadataRange(const FileHeader &header);

/// Number of chunks that cover `bytes`.
uint64_t chunkCount(uint64_t bytes);

/// Alignment of the first byte of a section.
uint64_t alignmentOf(SectionKind kind);

/// Everything the header says about itself and the layout, for a file of `fileBytes` bytes. Errors:
/// InvalidInput naming the field.
Status checkLayout(const FileHeader &header, uint64_t fileBytes);

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_FILELAYOUT_H
