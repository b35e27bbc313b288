//===- Microkernels.h - the contraction cores, as the compiler sees them -*- C++ -*-===//
//
// Two things: queries over Table.def (which core computes a linear layer of these operands), and
// the cores' LLVM bitcode, one module per CPU level, embedded in this library. The code generator
// links a module into what it generates, makes the cores internal and inlines them. Signatures:
// cpu/Cores.h. Layouts of weights: compiler/pack/Layout.h.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_MICROKERNELS_H
#define LLAMA4_COMPILER_MICROKERNELS_MICROKERNELS_H

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace llama4::microkernels {

/// Rows of a weight in one panel: a core computes that many columns of the output.
inline constexpr int64_t kPanelRows = 16;
/// Tokens that the generator should give to one attention call: enough for keys and values to be
/// read once for many queries, few enough for the queries' state to stay in the first-level cache.
inline constexpr int64_t kAttentionTokens = 16;
/// Tiles that a split attention core divides the keys of one token and one KV head into.
inline constexpr int64_t kAttentionParts = 8;
/// Rows of a unit that one call of unit attention takes at most, and that the generator should give
/// to it: a block of keys is put in order once for all of them.
inline constexpr int64_t kUnitAttentionRows = 64;

/// How a weight is encoded.
enum class Encoding : uint8_t {
#define L4_ENCODING(name, spelling, block_columns, block_bytes) name,
#include "compiler/microkernels/Table.def"
};

/// What an activation row consists of.
enum class Activation : uint8_t {
#define L4_ACTIVATION(name, spelling) name,
#include "compiler/microkernels/Table.def"
};

/// Elements of the KV cache.
enum class KvType : uint8_t {
#define L4_KV_TYPE(name, spelling, bytes) name,
#include "compiler/microkernels/Table.def"
};

/// The block of an encoding as it stands in a checkpoint: `bytes` for `columns` of one row.
struct BlockSize {
  int64_t columns;
  int64_t bytes;
};

std::string_view encodingName(Encoding encoding);
std::string_view activationName(Activation activation);
std::string_view kvTypeName(KvType type);
BlockSize blockSize(Encoding encoding);
/// Bytes of one element.
int64_t kvTypeBytes(KvType type);
std::optional<Encoding> parseEncoding(std::string_view name);
std::optional<Activation> parseActivation(std::string_view name);
std::optional<KvType> parseKvType(std::string_view name);

/// y[m][16] of one panel of weight rows; K must be a multiple of kMultiple.
struct LinearCore {
  std::string_view symbol;
  Activation activation;
  Encoding encoding;
  int64_t kMultiple;
};

/// One row of a packed weight as float32.
struct RowCore {
  std::string_view symbol;
  Encoding encoding;
};

/// Paged attention of the query heads of one KV head.
struct AttentionCore {
  std::string_view symbol;
  KvType type;
};

/// The same for one token whose keys are divided among kAttentionParts tiles.
struct SplitAttentionCore {
  std::string_view symbol;
  KvType type;
};

/// Attention among the rows of one unit, one head; queries, keys and values of `type`.
struct UnitAttentionCore {
  std::string_view symbol;
  KvType type;
};

/// Attention of tokens over the images of a pool, the query heads of one KV head.
struct CrossAttentionCore {
  std::string_view symbol;
};

/// The choice of experts and the order of the slots by expert.
struct GroupCore {
  std::string_view symbol;
};

/// All rows of the table.
std::span<const LinearCore> linearCores();
std::span<const RowCore> rowCores();
std::span<const AttentionCore> attentionCores();

/// The core for these operands, or null where the table has none. Owned by the library.
const LinearCore *findLinear(Activation activation, Encoding encoding);
const RowCore *findRow(Encoding encoding);
const AttentionCore *findAttention(KvType type);
/// Never null. Owned by the library.
const SplitAttentionCore *findSplitAttention(KvType type);
/// Never null. Owned by the library.
const UnitAttentionCore *findUnitAttention(KvType type);
/// The core over float32 rows, never null. Owned by the library.
const CrossAttentionCore *findCrossAttention();
/// The one core of its kind. Owned by the library.
const GroupCore &groupCore();

/// Bytes of scratch (64 byte aligned) that an attention core needs for calls of up to
/// `tokensPerCall` tokens, with `group` query heads per KV head.
int64_t attentionScratchBytes(int64_t group, int64_t headDim,
                              int64_t tokensPerCall = kAttentionTokens);

/// What the tiles of a split attention core share for one token and one KV head.
int64_t splitAttentionFloats(int64_t group, int64_t headDim);
/// int32 of its counter, a whole line of the cache.
int64_t splitAttentionCounters();

/// Bytes of scratch (64 byte aligned) that the unit attention core needs for calls of up to
/// kUnitAttentionRows rows.
int64_t unitAttentionScratchBytes(int64_t headDim);

/// Bytes of scratch (64 byte aligned) that the cross attention core needs for calls of up to
/// `tokensPerCall` tokens, with `group` query heads per KV head.
int64_t crossAttentionScratchBytes(int64_t group, int64_t headDim,
                                   int64_t tokensPerCall = kAttentionTokens);

/// Bytes of scratch (64 byte aligned) that the group core needs.
int64_t groupScratchBytes(int64_t experts);

/// Bytes of one KV page of a layer: L4_PAGE_TOKENS keys and values of all KV heads, the values'
/// head dimension padded to 16.
int64_t kvPageBytes(KvType type, int64_t kvHeads, int64_t headDim);

/// A CPU level: what generated code for it is compiled as, and the cores' bitcode (static data).
struct Level {
  std::string_view name;
  std::string_view cpu;      ///< LLVM target-cpu
  std::string_view features; ///< LLVM target-features
  std::span<const unsigned char> bitcode;
};

/// All levels in ascending order of preference.
std::span<const Level> cpuLevels();

/// The level of that name, or null.
const Level *findLevel(std::string_view name);

} // namespace llama4::microkernels

#endif // LLAMA4_COMPILER_MICROKERNELS_MICROKERNELS_H
