//===- Invoke.h - raw tensors in, raw tensors out ----------------*- C++ -*-===//
//
// For tests and for looking inside: a program is fed the tensors of a safetensors file, and what
// comes out is written to another one.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_INVOKE_H
#define LLAMA4_RUNTIME_ENGINE_INVOKE_H

#include "runtime/engine/Engine.h"
#include "runtime/format/Safetensors.h"

#include <string>
#include <vector>

namespace llama4 {

/// Tensors that own their bytes.
struct OwnedTensors {
  struct Tensor {
    std::string name;
    DType dtype = DType::F32;
    std::vector<int64_t> shape;
    std::vector<std::byte> bytes;
  };
  std::vector<Tensor> tensors;

  /// Writes them as `path`. Errors: Io.
  Status write(const std::string &path) const;
};

/// The sequences that a file asks for.
struct TokenInput {
  std::vector<int32_t> ids;
  std::vector<uint64_t> lengths; ///< of the sequences; their sum is ids.size()
};

/// Reads `input_ids` i64[T] (or i32) and, where it is, `sequence_lengths` i64[S], which cuts the
/// ids into S sequences; else they are one. Other tensors are ignored. Errors: InvalidInput.
Result<TokenInput> readTokenInput(const SafetensorsFile &file);

/// Processes all sequences together and returns `logits` f32[T, V] of every token, in the order of
/// the ids. `chunkTokens`: most tokens of a sequence in one step, 0: as many as fit. Errors: as
/// Engine::step().
Result<OwnedTensors> invokeTokens(Engine &engine, const TokenInput &input, uint32_t chunkTokens);

/// Runs one entry of a program once. Inputs are the file's tensors of the same names: F32 (or BF16
/// for bf16 rows) [rows, columns], I32 or I64 vectors. The entry's symbol is what the numbers of
/// rows say, or 1. Where the entry takes a batch, it is one sequence of that many tokens from
/// position 0 with an empty cache, and cos, sin and temperatures that the file lacks are made for
/// it. Results are out0, out1, ... in the order of the entry's outputs; q8_32 rows are raw bytes
/// U8. Errors: InvalidInput naming the tensor, Usage (no such entry), and those of Executable.
Result<OwnedTensors> invokeEntry(std::shared_ptr<const Program> program, Device &device,
                                 const std::string &entry, const SafetensorsFile &file);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_INVOKE_H
