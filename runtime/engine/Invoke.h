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
  std::vector<uint64_t> lengths;    ///< of the sequences; their sum is ids.size()
  std::vector<PromptImages> images; ///< of each sequence; empty: none has any
};

/// Reads `input_ids` i64[T] (or i32) and, where it is, `sequence_lengths` i64[S], which cuts the
/// ids into S sequences; else they are one. Other tensors are ignored. Errors: InvalidInput.
Result<TokenInput> readTokenInput(const SafetensorsFile &file);

/// Reads the pictures of the sequences, as an image processor of transformers makes them:
/// `pixel_values` f32 (Llama 4: [tiles, 3, S, S]; Llama 3.2 Vision: [.., images, tiles, 3, S, S]
/// with `aspect_ratio_ids`, `aspect_ratio_mask` and perhaps `cross_attention_mask` [1, T, images,
/// tiles]; without the mask tokens see what Meta's code lets them see). They belong to the
/// sequences in the order of the tokens that stand for them. Nothing where the file has no pixels.
/// Errors: InvalidInput, naming the tensor, also where the program takes no pictures.
Status readImageInput(const SafetensorsFile &file, const ImageInfo &info, TokenInput &input);

/// Processes all sequences together and returns `logits` f32[T, V] of every token, in the order of
/// the ids. `chunkTokens`: most tokens of a sequence in one step, 0: as many as fit. Errors: as
/// Engine::step().
Result<OwnedTensors> invokeTokens(Engine &engine, const TokenInput &input, uint32_t chunkTokens);

/// Runs one entry of a program once. Inputs are the file's tensors of the same names: F32 (or BF16
/// for bf16 rows) [rows, columns], I32 or I64 vectors. The entry's symbol is what the numbers of
/// rows say, or 1. Where the entry takes a batch, it is one sequence of that many tokens, and cos,
/// sin and temperatures that the file lacks are made for it. The tokens start at position 0, or
/// where `positions` i64[T] of the file do, one after the other; keys and values of the tokens
/// before them are zero. Results are out0, out1, ... in the order of the entry's outputs; q8_32
/// rows are raw bytes U8. Errors: InvalidInput naming the tensor, Usage (no such entry), and those
/// of Executable.
Result<OwnedTensors> invokeEntry(std::shared_ptr<const Program> program, Device &device,
                                 const std::string &entry, const SafetensorsFile &file);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_INVOKE_H
