//===- TinyModel.h - a program made by hand, and what it computes *- C++ -*-===//
#ifndef LLAMA4_TEST_ENGINE_TINYMODEL_H
#define LLAMA4_TEST_ENGINE_TINYMODEL_H

#include "runtime/engine/Engine.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llama4::test {

inline constexpr uint32_t tinyVocab = 24;
inline constexpr uint32_t tinyStepTokens = 40;
inline constexpr uint32_t tinyBatch = 6;
inline constexpr uint32_t tinyLength = 200;
inline constexpr uint32_t tinyChunk = 32; ///< tokens of the middle layer's attention chunks
inline constexpr uint32_t tinyLogitsRows = 4;
inline constexpr int32_t tinyEos = 5;

/// Layers: full attention, chunked attention, full attention.
ProgramDesc tinyProgram();

/// Writes a program over the same kernels as a file and loads it.
std::shared_ptr<const Program> loadProgram(ProgramDesc program, const std::string &path);
std::shared_ptr<const Program> loadTiny(const std::string &path);

/// The processor with so many threads.
std::unique_ptr<Device> tinyDevice(unsigned threads);

using Hidden = std::array<float, 8>;
/// The hidden rows of a text, computed without pages, batches or steps. `embedded` may change the
/// row of a token before the layers.
std::vector<Hidden> tinyReference(std::span<const int32_t> ids,
                                  const std::function<void(size_t, Hidden &)> &embedded = {});
/// The logits that follow from a hidden row.
std::vector<float> tinyLogits(const Hidden &hidden);

/// `count` ids, the same for the same seed.
std::vector<int32_t> tinyText(size_t count, uint32_t seed);

} // namespace llama4::test

#endif // LLAMA4_TEST_ENGINE_TINYMODEL_H
