//===- Checksum.cpp - hashes of the program file --------------------------===//

#include "runtime/format/Checksum.h"

#include <algorithm>
#include <openssl/sha.h>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llama4 {

uint64_t xxh3(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::array<uint8_t, 32> sha256(std::span<const std::byte> bytes) {
  std::array<uint8_t, 32> digest = {};
  SHA256(reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size(), digest.data());
  return digest;
}

uint64_t headerHash(const FileHeader &header) {
  return XXH3_64bits(&header, offsetof(FileHeader, headerHash));
}

struct ChunkHasher::State {
  XXH3_state_t hash;
  uint64_t filled = 0; ///< bytes of the current chunk
  std::vector<uint64_t> done;

  void close() {
    done.push_back(XXH3_64bits_digest(&hash));
    XXH3_64bits_reset(&hash);
    filled = 0;
  }
};

ChunkHasher::ChunkHasher() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->hash); }

ChunkHasher::~ChunkHasher() = default;

void ChunkHasher::update(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    size_t part =
        static_cast<size_t>(std::min<uint64_t>(bytes.size(), chunkBytes - state_->filled));
    XXH3_64bits_update(&state_->hash, bytes.data(), part);
    state_->filled += part;
    if (state_->filled == chunkBytes)
      state_->close();
    bytes = bytes.subspan(part);
  }
}

std::vector<uint64_t> ChunkHasher::finish() {
  if (state_->filled != 0)
    state_->close();
  return std::exchange(state_->done, {});
}

} // namespace llama4
