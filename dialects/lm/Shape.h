//===- Shape.h - op names and shape rules of the model dialect --*- C++ -*-===//
//
// What is known about the ops of the model dialect without MLIR: their names, and which operand
// shapes give which result shape. The graph DSL checks models with it while they are declared. The
// rules speak of shapes only; what an op computes is said in LmOps.td.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_DIALECTS_LM_SHAPE_H
#define LLAMA4_DIALECTS_LM_SHAPE_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llama4::lm::shape {

/// The ops a model is declared with; opName() is the mnemonic in the dialect.
enum class OpKind : uint8_t {
  Embed,
  Linear,
  RmsNorm,
  Rope,
  KvLayer,
  KvWrite,
  Attention,
  Add,
  Mul,
  Silu,
  Bias,
  Gather,
  QuantizeRows,
  QkNorm,
  Temperature,
  Route,
  Experts,
  LayerNorm,
  Gelu,
  HeadNorm,
  TanhGate,
  GatedBias,
  Patches,
  InsertRow,
  FitRows,
  SpreadRows,
  Reshape,
  Concat,
  PixelShuffle,
  MergeRows,
  UnitAttention,
  CrossAttention,
};
std::string_view opName(OpKind kind);

/// Element formats of tensors; those from Q8_0 on are stored in blocks of columns.
enum class Element : uint8_t {
  F32,
  BF16,
  I32,
  Q8_0,
  Q4_1,
  Q8_32,
  Q4_0,
  Q5_0,
  Q4_K,
  Q6_K,
  Int4_G128,
  Q8_128
};
std::string_view elementName(Element element);
/// The format called `name`; nothing for a name nobody knows.
std::optional<Element> parseElement(std::string_view name);
inline bool isBlock(Element element) { return element >= Element::Q8_0; }
/// Rows of 8 bits that are made while a model runs; no weight is stored in them.
inline bool isActivation(Element element) {
  return element == Element::Q8_32 || element == Element::Q8_128;
}
/// Columns of a block: what the columns of a weight must be a multiple of, how many columns of
/// activations share a scale; 1 for plain elements.
inline int64_t blockColumns(Element element) {
  if (element == Element::Int4_G128 || element == Element::Q8_128)
    return 128;
  if (element == Element::Q4_K || element == Element::Q6_K)
    return 256;
  return isBlock(element) ? 32 : 1;
}

/// Which elements of a head RoPE pairs: (i, i + dim/2) or (2i, 2i + 1).
enum class RotateStyle : uint8_t { Half, Pairs };

/// The extent that is the entry's symbol.
inline constexpr int64_t kSymbol = -1;

/// Element format and extents, outermost first; an extent is positive or kSymbol.
struct TensorType {
  Element element = Element::F32;
  std::vector<int64_t> dims;

  bool operator==(const TensorType &) const = default;
  /// Columns of a row: the innermost extent; 1 for a vector over the symbol.
  int64_t columns() const {
    return dims.size() >= 2 || (dims.size() == 1 && dims[0] != kSymbol) ? dims.back() : 1;
  }
};

/// "f32[T, 64]"; `symbol` is how the entry writes its dynamic extent.
std::string typeText(const TensorType &type, std::string_view symbol = "?");

/// Paged keys and values of all layers of one kind.
struct KvType {
  std::string name;
  int64_t kind = 0, layers = 0, heads = 0, dim = 0;
  Element element = Element::F32;
  int64_t chunk = 0; ///< positions of a chunk whose tokens alone are kept; 0 = all

  bool operator==(const KvType &) const = default;
};

/// An operand with the words by which an error calls it ("input", "weight model.norm.weight").
struct Operand {
  const TensorType &type;
  std::string_view name;
};

// The rules. Each returns the result's type or a sentence without place ("input has 64 columns,
// weight expects 128"), as InvalidInput.

/// ids i32[T], table [V, H] -> f32[T, H].
Result<TensorType> embed(Operand ids, Operand table);
/// input [T, K] or [T, S, K], weight [N, K] -> f32[T, N] or f32[T, S, N]; the input's elements are
/// f32, bf16, q8_32 or q8_128.
Result<TensorType> linear(Operand input, Operand weight);
/// input f32[.., N], weight [N] -> as the input.
Result<TensorType> rmsNorm(Operand input, Operand weight, double eps);
/// input f32[.., N], bias [N], or [R, N] where R divides the rows of a unit -> as the input.
Result<TensorType> bias(Operand input, Operand vector);
/// input f32[T, heads * dim], cos and sin f32[T, dim / 2], or input f32[?, K, heads * dim], cos and
/// sin f32[K, dim / 2] -> as the input.
Result<TensorType> rope(Operand input, Operand cos, Operand sin);
/// One layer of paged state exists.
Status kvLayer(const KvType &kv, int64_t layer);
/// key and value f32[T, heads * dim] of the state.
Status kvWrite(Operand key, Operand value, const KvType &kv);
/// query f32[T, n * heads * dim] of the state -> the same type.
Result<TensorType> attention(Operand query, const KvType &kv);
/// Two tensors f32[.., N] -> the same type (add, mul).
Result<TensorType> elementwise(Operand lhs, Operand rhs);
/// input f32[.., N] -> the same type (silu, gelu).
Result<TensorType> unary(Operand input);
/// source f32[M, N] (M fixed, or the symbol), rows i32[R] -> f32[R, N].
Result<TensorType> gather(Operand source, Operand rows);
/// input f32[T, heads * dim] -> the same type.
Result<TensorType> qkNorm(Operand input, int64_t dim, double eps);
/// input f32[T, N], temperature f32[T, 1] -> f32[T, N].
Result<TensorType> temperature(Operand input, Operand temperature);

/// The results of `route`.
struct RouteTypes {
  TensorType ids;    ///< i32[T, top]
  TensorType scores; ///< f32[T, top]
};
/// logits f32[T, E] -> the `top` chosen of E.
Result<RouteTypes> route(Operand logits, int64_t top);
/// input f32[T, H], ids and scores [T, K], gate and up [E, F, H], down [E, H, F] -> f32[T, H].
Result<TensorType> experts(Operand input, Operand ids, Operand scores, Operand gate, Operand up,
                           Operand down);
/// input f32[T, K] -> [T, K] of bf16, q8_32 or q8_128.
Result<TensorType> quantizeRows(Operand input, Element to);

} // namespace llama4::lm::shape

#endif // LLAMA4_DIALECTS_LM_SHAPE_H
