//===- SampleProgram.h - a small complete program for tests ------*- C++ -*-===//
//
// Three entries over the kernels of kernels.c:
//   step         hidden[T] = s * embed(ids) + (cos, sin) + sum of own and earlier first elements
//   step.decode  the same, for one token per sequence
//   logits       logits[R] = hidden . table
// Rows of 40 floats are padded to 48; the sum goes through the KV cache of layer 1 of 2.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_RUNTIME_SAMPLEPROGRAM_H
#define LLAMA4_TEST_RUNTIME_SAMPLEPROGRAM_H

#include "compiler/emit/ArtifactWriter.h"
#include "runtime/program/Program.h"

#include <string>
#include <vector>

namespace llama4::test {

inline constexpr uint32_t vocab = 11, columns = 40, rowFloats = 48, angles = 20, angleFloats = 32;
inline constexpr uint32_t stepBound = 64, decodeBound = 8, layers = 2, heads = 1, headDim = 4;

/// The shared object of kernels.c as bytes; `variant` 1 or 2.
std::string kernelObject(int variant = 1);

ArtifactParts sampleParts(int variant = 1);
/// Element c of row `id` of the table; element c of the scale.
float tableValue(uint32_t id, uint32_t c);
float scaleValue(uint32_t c);
/// Writes the sample's weights in pieces of `piece` bytes.
WeightProducer sampleWeights(size_t piece = 100);

/// The sample with a fourth entry, which spreads its symbol * expertTop slots over experts:
///   experts  rows[slot] += weight of the slot's expert; the tiles are gone when it ends
/// `used` experts have slots, or as many as there are slots.
ArtifactParts expertParts(uint32_t used = 3);
inline constexpr uint32_t experts = 9, expertTop = 2, expertBound = 16, expertEntry = 3;
inline constexpr uint64_t expertBytes = rowFloats * 4; ///< of one matrix: a row
/// Element c of expert `expert`.
float expertValue(uint32_t expert, uint32_t c);
WeightProducer expertWeights();

/// The sample with facts about pictures and a fourth entry, which adds a grid's cosines and sines
/// to its rows: rows[5] = cos + sin of the places.
ArtifactParts imageParts();

/// A path in a folder of this test run.
std::string testPath(const std::string &name);
/// Writes the sample to `path` and fails the test if that fails.
void writeSample(const std::string &path, int variant = 1);
/// A whole file at a 64-byte aligned address, changeable.
class FileBytes {
public:
  explicit FileBytes(const std::string &path);
  explicit FileBytes(std::string_view bytes);
  FileBytes(const FileBytes &) = delete;
  std::span<std::byte> span() { return {data_, size_}; }
  std::span<std::byte> first(size_t bytes) { return {data_, bytes}; }
  FileHeader &header() { return *reinterpret_cast<FileHeader *>(data_); }

private:
  std::vector<std::byte> storage_;
  std::byte *data_ = nullptr;
  size_t size_ = 0;
};

} // namespace llama4::test

#endif // LLAMA4_TEST_RUNTIME_SAMPLEPROGRAM_H
