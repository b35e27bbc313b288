//===- ArtifactWriter.h - writes a program file ------------------*- C++ -*-===//
//
// Puts a program description, machine code, tokenizer and weights into one file, in the layout
// that runtime/format/README.md draws. Weights are streamed: memory used is one checksum chunk.
// The same input gives the same bytes. The file appears complete or not at all.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_EMIT_ARTIFACTWRITER_H
#define LLAMA4_COMPILER_EMIT_ARTIFACTWRITER_H

#include "runtime/base/Status.h"
#include "runtime/format/ProgramDesc.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace llama4 {

/// Takes the bytes of one weight, from its first to its last, in pieces of any size.
class WeightSink {
public:
  virtual ~WeightSink() = default;
  virtual Status write(std::span<const std::byte> bytes) = 0;
};

/// Writes exactly program.weights[index].bytes bytes into the sink. Called once for each weight, in
/// order; never when the weights are made up at load. An error stops the writing and is returned as
/// it is.
using WeightProducer = std::function<Status(size_t index, WeightSink &sink)>;

/// All of a file but its weights.
struct ArtifactParts {
  /// Offsets of weights and code objects, and the sizes of code objects, are set by the writer.
  ProgramDesc program;
  /// The bytes of each of program.codeObjects.
  std::vector<std::string> code;
  std::string tokenizer, chatTemplate; ///< whole sections; empty: none
  /// Identity of source and options. All zero: the writer takes the SHA-256 of the checksums.
  std::array<uint8_t, 32> contentId = {};
};

/// What was written.
struct ArtifactSummary {
  uint64_t fileBytes = 0, metadataBytes = 0, codeBytes = 0, weightsBytes = 0;
  std::array<uint8_t, 32> contentId = {};
};

struct ArtifactOptions {
  /// For tests of the loader: changes the description after the file was laid out and before it is
  /// serialised. What comes out is then not checked.
  std::function<void(ProgramDesc &)> tamper;
};

/// Writes `path`. Errors: Io; Internal (the program is not well formed, or a producer gave another
/// number of bytes than declared); whatever the producer returns. Then no file is left.
Result<ArtifactSummary> writeArtifact(const std::string &path, ArtifactParts parts,
                                      const WeightProducer &weights,
                                      const ArtifactOptions &options = {});

/// The flatbuffer of a program, as it stands in the Program section. Deterministic.
std::vector<std::byte> encodeProgram(const ProgramDesc &program);

/// Recomputes the header hash of a whole file in memory after a change made to it, and, when its
/// layout is still readable, the checksums. Returns whether it was. For tests and fuzzing.
bool resealArtifact(std::span<std::byte> file);

} // namespace llama4

#endif // LLAMA4_COMPILER_EMIT_ARTIFACTWRITER_H
