//===- ParamPacker.h - checkpoint tensors to packed weights -----*- C++ -*-===//
//
// Streams one parameter at a time, a few panels at a time, from the bytes of the checkpoint to the
// bytes of the weight section. Values that are stored in the asked-for encoding are moved, never
// decoded; everything else goes through float32.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_PARAMPACKER_H
#define LLAMA4_COMPILER_PACK_PARAMPACKER_H

#include "compiler/checkpoint/SourceParam.h"
#include "compiler/pack/Layout.h"
#include "runtime/base/Status.h"

#include <functional>

namespace llama4::pack {

/// One parameter as the artifact stores it.
struct ParamSpec {
  int64_t matrices = 1;       ///< experts; more than one only in panels
  int64_t rows = 0, cols = 0; ///< of one matrix; a vector has one row
  Encoding encoding = Encoding::Float32;
  bool panels = false; ///< panels of 16 rows, else one padded float32 row
};

/// Bytes of the parameter in the weight section: matrices lie one behind the other, each in panels
/// of its own.
uint64_t paramBytes(const ParamSpec &param);

/// Takes the packed bytes in order, in the thread that packs.
using ByteSink = std::function<Status(std::span<const std::byte>)>;

/// Writes exactly paramBytes(param) bytes to `sink`, the same for any number of threads. Errors:
/// InvalidInput, naming parameter or tensor, when the source has other extents than `param`, can't
/// be read, or holds values that the encoding can't; what the sink returns.
Status packParam(const ParamSpec &param, const SourceParam &source, const ByteSink &sink,
                 unsigned threads = 1);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_PARAMPACKER_H
