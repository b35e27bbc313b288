//===- Checksum.h - hashes of the program file -------------------*- C++ -*-===//
//
// XXH3-64 finds accidental damage at memory speed; SHA-256 names content. Neither is a signature.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_CHECKSUM_H
#define LLAMA4_RUNTIME_FORMAT_CHECKSUM_H

#include "runtime/format/FileHeader.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace llama4 {

uint64_t xxh3(std::span<const std::byte> bytes);
std::array<uint8_t, 32> sha256(std::span<const std::byte> bytes);

/// The value of FileHeader::headerHash for the rest of `header`.
uint64_t headerHash(const FileHeader &header);

/// XXH3-64 of each chunkBytes of a stream, the last one shorter.
class ChunkHasher {
public:
  ChunkHasher();
  ~ChunkHasher();
  void update(std::span<const std::byte> bytes);
  /// Ends the stream, begins a new one, and returns the hashes of its chunks.
  std::vector<uint64_t> finish();

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_CHECKSUM_H
