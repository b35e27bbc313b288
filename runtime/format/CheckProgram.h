//===- CheckProgram.h - is a program description well formed? ----*- C++ -*-===//
//
// The semantic check between the serialised form and its use: after it has passed, executing the
// program with arguments of the declared sizes touches no byte outside weights, arena, arguments
// and pools, as far as the kernels keep to their signatures. The writer runs it before writing,
// the loader after reading.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_CHECKPROGRAM_H
#define LLAMA4_RUNTIME_FORMAT_CHECKPROGRAM_H

#include "runtime/base/Status.h"
#include "runtime/format/LibraryCall.h"
#include "runtime/format/ProgramDesc.h"

namespace llama4 {

/// Largest values a program may ask for; far above what models need, far below what overflows.
namespace limits {
inline constexpr uint32_t maxSymbol = 1u << 24;
inline constexpr uint64_t maxTiles = 1u << 30;
inline constexpr uint32_t maxColumns = 1u << 24;
inline constexpr uint32_t maxRowsPerSymbol = 1u << 16;
inline constexpr uint32_t maxEntries = 256;
inline constexpr uint32_t maxTensors = 1024; ///< inputs or outputs of an entry
inline constexpr uint32_t maxParams = 64;
inline constexpr uint32_t maxConstants = 256;
inline constexpr uint32_t maxCommands = 1u << 20; ///< of all entries together
inline constexpr uint32_t maxLayers = 1u << 16;
inline constexpr uint32_t maxExperts = 1u << 16; ///< matrices in one weight
inline constexpr uint32_t maxRopeValues = 1u << 16;
inline constexpr uint32_t maxGridSide = 4096;
inline constexpr uint32_t maxTileSide = 2048; ///< pixels
inline constexpr uint32_t maxImageTiles = 64; ///< of a canvas
inline constexpr uint32_t maxNameBytes = 4096;
inline constexpr uint64_t maxScratchBytes = uint64_t{1} << 28;
inline constexpr uint64_t maxArenaBytes = uint64_t{1} << 42;
inline constexpr uint64_t maxMadeUpBytes = uint64_t{1} << 46;
} // namespace limits

/// Errors: InvalidInput, one sentence beginning with the path of the field
/// ("entries[0].commands[3].bindings[1].offset: found 8192, expected at most 4096; ...").
/// `codeBytes` and `weightsBytes` are the sizes of those sections; weights that are made up take
/// weightsEnd() bytes of memory and no section.
Status checkProgram(const ProgramDesc &program, uint64_t codeBytes, uint64_t weightsBytes);

/// What the signature of a kernel with a `library` says; `at` is its path in errors. Errors:
/// InvalidInput (no such library, or nothing that it computes).
Result<LibraryLinear> readLibraryLinear(const std::string &at, const Kernel &kernel);

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_CHECKPROGRAM_H
