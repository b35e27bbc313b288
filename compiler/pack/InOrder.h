//===- InOrder.h - pieces made by several threads, taken in order -*- C++ -*-===//
#ifndef LLAMA4_COMPILER_PACK_INORDER_H
#define LLAMA4_COMPILER_PACK_INORDER_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace llama4::pack {

/// Makes a piece: replaces the content of `bytes`. `worker` is below the number of threads; no two
/// calls at a time have the same.
using MakePiece =
    std::function<Status(unsigned worker, size_t index, std::vector<std::byte> &bytes)>;
/// Takes a piece.
using TakePiece = std::function<Status(std::span<const std::byte>)>;

/// Makes pieces 0 to count - 1 by `threads` threads and gives each to `take`, in order, in the
/// calling thread; of those not taken there are never more than two for each thread. Errors: that
/// of the first piece that cannot be made, or of `take`; nothing behind it is taken.
Status inOrder(size_t count, unsigned threads, const MakePiece &make, const TakePiece &take);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_INORDER_H
