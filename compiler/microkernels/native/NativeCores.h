//===- NativeCores.h - the cores as ordinary functions -----------*- C++ -*-===//
//
// The sources of the bitcode, compiled into the program once per level, for tests and benchmarks.
// Nothing that ships links this.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_NATIVE_NATIVECORES_H
#define LLAMA4_COMPILER_MICROKERNELS_NATIVE_NATIVECORES_H

#include "compiler/microkernels/Microkernels.h"
#include "compiler/microkernels/cpu/Cores.h"

namespace llama4::microkernels {

using LinearFunction = void(*) L4_LINEAR_PARAMETERS;
using RowFunction = void(*) L4_DECODE_ROW_PARAMETERS;
using AttentionFunction = void(*) L4_ATTENTION_PARAMETERS;
using SplitAttentionFunction = int32_t(*) L4_SPLIT_ATTENTION_PARAMETERS;
using UnitAttentionFunction = void(*) L4_UNIT_ATTENTION_PARAMETERS;
using CrossAttentionFunction = void(*) L4_CROSS_ATTENTION_PARAMETERS;
using GroupFunction = void(*) L4_GROUP_PARAMETERS;

/// The functions of one level, in the order of linearCores(), rowCores() and attentionCores().
struct NativeCores {
  std::span<const LinearFunction> linear;
  std::span<const RowFunction> rows;
  std::span<const AttentionFunction> attention;
  std::span<const SplitAttentionFunction> splitAttention; ///< by KvType
  std::span<const UnitAttentionFunction> unitAttention;   ///< by KvType
  CrossAttentionFunction crossAttention;                  ///< that of findCrossAttention()
  GroupFunction group;                                    ///< that of groupCore()

  LinearFunction find(Activation activation, Encoding encoding) const {
    const LinearCore *core = findLinear(activation, encoding);
    return core ? linear[static_cast<size_t>(core - linearCores().data())] : nullptr;
  }
  RowFunction find(Encoding encoding) const {
    return rows[static_cast<size_t>(findRow(encoding) - rowCores().data())];
  }
  AttentionFunction find(KvType type) const {
    return attention[static_cast<size_t>(findAttention(type) - attentionCores().data())];
  }
};

/// A level and its functions; they may be called only where `runsHere`.
struct NativeLevel {
  const Level *level;
  bool runsHere;
  const NativeCores *cores;
};

/// All levels, in the order of cpuLevels().
std::span<const NativeLevel> nativeLevels();

/// The level with AMX on a machine that has the rest of it: tile registers made of memory.
const NativeLevel &emulatedTiles();

} // namespace llama4::microkernels

#endif // LLAMA4_COMPILER_MICROKERNELS_NATIVE_NATIVECORES_H
