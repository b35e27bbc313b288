//===- Functions.cpp - the table of one level's functions -----------------===//
//
// Compiled once per level with its L4_CORE_SUFFIX; holds data only.
//
//===----------------------------------------------------------------------===//
#include "compiler/microkernels/native/NativeCores.h"

namespace llama4::microkernels {
namespace {

constexpr LinearFunction kLinear[] = {
#define L4_LINEAR(symbol, activation, encoding, k_multiple) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

constexpr RowFunction kRows[] = {
#define L4_DECODE_ROW(symbol, encoding) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

constexpr AttentionFunction kAttention[] = {
#define L4_ATTENTION(symbol, kv_type) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

constexpr SplitAttentionFunction kSplitAttention[] = {
#define L4_SPLIT_ATTENTION(symbol, kv_type) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

constexpr UnitAttentionFunction kUnitAttention[] = {
#define L4_UNIT_ATTENTION(symbol, row_type) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

constexpr CrossAttentionFunction kCrossAttention[] = {
#define L4_CROSS_ATTENTION(symbol) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

constexpr GroupFunction kGroup[] = {
#define L4_GROUP(symbol) L4_CORE(symbol),
#include "compiler/microkernels/Table.def"
};

} // namespace

extern const NativeCores L4_CORE(kNativeCores);
constexpr NativeCores L4_CORE(kNativeCores) = {
    kLinear, kRows, kAttention, kSplitAttention, kUnitAttention, kCrossAttention[0], kGroup[0]};

} // namespace llama4::microkernels
