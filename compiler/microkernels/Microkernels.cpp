//===- Microkernels.cpp - queries over Table.def and Levels.def ----------===//
#include "compiler/microkernels/Microkernels.h"

#include "compiler/microkernels/cpu/Sizes.h"
#include "runtime/format/KernelAbi.h"

#include <algorithm>

namespace llama4::microkernels {
namespace {

struct EncodingRow {
  std::string_view name;
  BlockSize block;
};

constexpr EncodingRow kEncodings[] = {
#define L4_ENCODING(name, spelling, block_columns, block_bytes)                                    \
  {spelling, {block_columns, block_bytes}},
#include "compiler/microkernels/Table.def"
};

constexpr std::string_view kActivations[] = {
#define L4_ACTIVATION(name, spelling) spelling,
#include "compiler/microkernels/Table.def"
};

struct KvRow {
  std::string_view name;
  int64_t bytes;
};

constexpr KvRow kKvTypes[] = {
#define L4_KV_TYPE(name, spelling, bytes) {spelling, bytes},
#include "compiler/microkernels/Table.def"
};

constexpr LinearCore kLinear[] = {
#define L4_LINEAR(symbol, activation, encoding, k_multiple)                                        \
  {#symbol, Activation::activation, Encoding::encoding, k_multiple},
#include "compiler/microkernels/Table.def"
};

constexpr RowCore kRows[] = {
#define L4_DECODE_ROW(symbol, encoding) {#symbol, Encoding::encoding},
#include "compiler/microkernels/Table.def"
};

constexpr AttentionCore kAttention[] = {
#define L4_ATTENTION(symbol, kv_type) {#symbol, KvType::kv_type},
#include "compiler/microkernels/Table.def"
};

constexpr SplitAttentionCore kSplitAttention[] = {
#define L4_SPLIT_ATTENTION(symbol, kv_type) {#symbol, KvType::kv_type},
#include "compiler/microkernels/Table.def"
};

constexpr UnitAttentionCore kUnitAttention[] = {
#define L4_UNIT_ATTENTION(symbol, row_type) {#symbol, KvType::row_type},
#include "compiler/microkernels/Table.def"
};

constexpr CrossAttentionCore kCrossAttention[] = {
#define L4_CROSS_ATTENTION(symbol) {#symbol},
#include "compiler/microkernels/Table.def"
};

constexpr GroupCore kGroup[] = {
#define L4_GROUP(symbol) {#symbol},
#include "compiler/microkernels/Table.def"
};

/// The first row of `rows` that `matches` accepts, or null.
template <typename Row, size_t N, typename Predicate>
const Row *findRowWhere(const Row (&rows)[N], Predicate matches) {
  const Row *row = std::find_if(std::begin(rows), std::end(rows), matches);
  return row == std::end(rows) ? nullptr : row;
}

/// The enumerator whose row is called `name`.
template <typename Enum, typename Row, size_t N>
std::optional<Enum> parseIn(const Row (&rows)[N], std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    std::string_view spelling;
    if constexpr (std::is_same_v<Row, std::string_view>)
      spelling = rows[i];
    else
      spelling = rows[i].name;
    if (spelling == name)
      return static_cast<Enum>(i);
  }
  return std::nullopt;
}

} // namespace

std::string_view encodingName(Encoding encoding) {
  return kEncodings[static_cast<size_t>(encoding)].name;
}

std::string_view activationName(Activation activation) {
  return kActivations[static_cast<size_t>(activation)];
}

std::string_view kvTypeName(KvType type) { return kKvTypes[static_cast<size_t>(type)].name; }

BlockSize blockSize(Encoding encoding) { return kEncodings[static_cast<size_t>(encoding)].block; }

int64_t kvTypeBytes(KvType type) { return kKvTypes[static_cast<size_t>(type)].bytes; }

std::optional<Encoding> parseEncoding(std::string_view name) {
  return parseIn<Encoding>(kEncodings, name);
}

std::optional<Activation> parseActivation(std::string_view name) {
  return parseIn<Activation>(kActivations, name);
}

std::optional<KvType> parseKvType(std::string_view name) { return parseIn<KvType>(kKvTypes, name); }

std::span<const LinearCore> linearCores() { return kLinear; }

std::span<const RowCore> rowCores() { return kRows; }

std::span<const AttentionCore> attentionCores() { return kAttention; }

const LinearCore *findLinear(Activation activation, Encoding encoding) {
  return findRowWhere(kLinear, [&](const LinearCore &core) {
    return core.activation == activation && core.encoding == encoding;
  });
}

const RowCore *findRow(Encoding encoding) {
  return findRowWhere(kRows, [&](const RowCore &core) { return core.encoding == encoding; });
}

const AttentionCore *findAttention(KvType type) {
  return findRowWhere(kAttention, [&](const AttentionCore &core) { return core.type == type; });
}

const SplitAttentionCore *findSplitAttention(KvType type) {
  static_assert(std::size(kSplitAttention) == std::size(kKvTypes), "one core for each type");
  return &kSplitAttention[static_cast<size_t>(type)];
}

const UnitAttentionCore *findUnitAttention(KvType type) {
  static_assert(std::size(kUnitAttention) == std::size(kKvTypes), "one core for each type");
  return &kUnitAttention[static_cast<size_t>(type)];
}

const CrossAttentionCore *findCrossAttention() {
  static_assert(std::size(kCrossAttention) == 1, "the core is found by its kind alone");
  return kCrossAttention;
}

const GroupCore &groupCore() {
  static_assert(std::size(kGroup) == 1, "the group core is found by its kind alone");
  return kGroup[0];
}

int64_t attentionScratchBytes(int64_t group, int64_t headDim, int64_t tokensPerCall) {
  return l4_attention_scratch_bytes(group * tokensPerCall, headDim);
}

int64_t splitAttentionFloats(int64_t group, int64_t headDim) {
  static_assert(kAttentionParts == L4_ATTENTION_PARTS);
  return L4_ATTENTION_PARTS * l4_part_floats(group, headDim);
}

int64_t splitAttentionCounters() { return L4_ATTENTION_COUNTER; }

int64_t unitAttentionScratchBytes(int64_t headDim) {
  static_assert(kUnitAttentionRows == L4_UNIT_ATTENTION_ROWS);
  return l4_row_attention_scratch_bytes(kUnitAttentionRows, headDim);
}

int64_t crossAttentionScratchBytes(int64_t group, int64_t headDim, int64_t tokensPerCall) {
  return l4_row_attention_scratch_bytes(group * tokensPerCall, headDim);
}

int64_t groupScratchBytes(int64_t experts) { return l4_group_scratch_bytes(experts); }

int64_t kvPageBytes(KvType type, int64_t kvHeads, int64_t headDim) {
  return l4_kv_page_elements(kvHeads, headDim) * kvTypeBytes(type);
}

const Level *findLevel(std::string_view name) {
  for (const Level &level : cpuLevels())
    if (level.name == name)
      return &level;
  return nullptr;
}

} // namespace llama4::microkernels
