//===- RegionEmitter.h - a scalar region on vectors --------------*- C++ -*-===//
//
// A region of lm.row or of an epilogue says how one element is computed. The emitter runs it over a
// range of columns of one row, in chunks of 16 (32 or 128 where a result is quantized in blocks of
// as many; the results with smaller blocks then store several):
//
//   1. Barriers in order. A reduction is a chunk loop of its own (chunks of 64 first: four
//      accumulators) whose operand is emitted from the region; its result is uniform. A reduction
//      over heads runs head by head in chunks of 16 and fills a slot in scratch: at every column
//      the result of its head. A half-split rotation whose operand does not lie in memory fills a
//      slot with it.
//   2. Ops of uniform operands are scalars, emitted once.
//   3. One chunk loop stores what the region yields and puts.
//
// Whole chunks run in scf.for, what is left is one masked chunk. The order of every sum depends on
// the width, or that of the head, alone.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_KERNEL_REGIONEMITTER_H
#define LLAMA4_PASSES_KERNEL_REGIONEMITTER_H

#include "dialects/lm/Lm.h"
#include "passes/kernel/Ir.h"

#include "mlir/IR/IRMapping.h"

namespace llama4::kernel {

/// What a kernel function has at hand.
struct KernelFrame {
  explicit KernelFrame(Ir &ir) : ir(ir) {}

  Ir &ir;
  mlir::DenseMap<mlir::Value, mlir::Value> bindings; ///< block arguments and results -> pointers
  llvm::SmallVector<mlir::Value> workspace;          ///< pointers, in the kernel's order
  mlir::Value step;                                  ///< the step buffer
  mlir::Value symbol;                                ///< i64: tokens or rows of the entry
  mlir::Value scratch;
  /// Loads that are no contiguous vector loads; for the pass's statistics.
  int64_t numGathers = 0;
};

/// Where a region runs: `width` columns of one row from column `base`.
struct RegionSite {
  mlir::Block *body = nullptr;
  mlir::ValueRange results; ///< what the yields store, bindings of the frame
  int64_t width = 0;
  mlir::Value row;          ///< i64
  mlir::Value base;         ///< i64, null for 0
  int64_t baseMultiple = 0; ///< `base` is a multiple of it; 0 when `base` is 0
  mlir::Value isPartial;    ///< i1: only `partialWidth` columns; null when never
  int64_t partialWidth = 0;
  llvm::SmallVector<mlir::Value> arguments; ///< float rows behind the block arguments
  mlir::Value slots;                        ///< scratch for rotated expressions
};

/// Checks that a region can be emitted; says at an op why not. `columns` is the width of a row.
mlir::LogicalResult checkRegion(mlir::Operation *op, mlir::Block &body, int64_t columns);

class RegionEmitter {
public:
  RegionEmitter(KernelFrame &frame, const RegionSite &site);

  /// Emits the region at the insertion point. The region passed `checkRegion`.
  void emit();

private:
  /// Some consecutive columns and the values of the region at them.
  struct Chunk {
    mlir::Value start;  ///< first column, from `base`
    mlir::Value column; ///< first column in the row
    int64_t lanes;
    int64_t active;  ///< lanes in use
    int64_t divisor; ///< `column` is a multiple of it
    mlir::DenseMap<mlir::Value, mlir::Value> values;
  };
  using Values = llvm::SmallVector<mlir::Value, 2>;
  using ChunkBody = llvm::function_ref<Values(Chunk &, mlir::ValueRange)>;

  /// Place of the row's token in a layer's pages.
  struct KvPlace {
    mlir::Value page;
    mlir::Value slot;
  };

  // RegionEmitter.cpp: loops, barriers, expressions.
  void prepare();
  mlir::Value loadRowIndex(lm::ElementOp element);
  void prepareKv(lm::KvPutOp put);
  Chunk makeChunk(mlir::Value start, int64_t lanes, int64_t active);
  Values loop(int64_t lanes, int64_t begin, mlir::Value end, mlir::ValueRange init, ChunkBody body);
  void forAllChunks(int64_t lanes, llvm::function_ref<void(Chunk &)> body);
  mlir::Value newSlot(mlir::Operation *op);
  mlir::Value reduceColumns(lm::ReduceOp op, int64_t width, int64_t wideLanes);
  void emitReduce(lm::ReduceOp op);
  void reduceHeads(lm::ReduceOp op);
  void fillSlot(lm::RotateOp op);
  void emitUniform(mlir::Operation *op);
  bool isUniform(mlir::Value value);
  mlir::Value emitValue(mlir::Value value, Chunk &chunk);
  mlir::Value emitElementwise(mlir::Operation *op, Chunk &chunk);
  void emitStores(Chunk &chunk);

  // RegionLoads.cpp: elements and partners.
  mlir::Value loadArgument(unsigned argument, Chunk &chunk);
  mlir::Value loadElement(lm::ElementOp op, Chunk &chunk);
  mlir::Value loadFloats(mlir::Type element, mlir::Value row, mlir::Value column, int64_t lanes,
                         int64_t active);
  mlir::Value gatherFloats(mlir::Type element, mlir::Value row, mlir::Value columns,
                           int64_t active);
  mlir::Value emitRotate(lm::RotateOp op, Chunk &chunk);
  mlir::Value rotateHalf(lm::RotateOp op, Chunk &chunk);

  // RegionStores.cpp: results and pages.
  void storeResult(mlir::Value result, mlir::Value value, Chunk &chunk);
  void storeQuantized(mlir::Value result, mlir::Value value, Chunk &chunk);
  void storeBlock(mlir::Value result, mlir::Value value, mlir::Value column, int64_t active);
  void storeSums(mlir::Value block, mlir::Value scale, mlir::Value ints);
  void storeWideSums(mlir::Value block, mlir::Value scale, mlir::Value ints);
  void putKv(lm::KvPutOp op, mlir::Value value, Chunk &chunk);
  void putKeyPairs(const KvPlace &place, mlir::Value value, Chunk &chunk);
  void putValuePlane(lm::KvLayerType kv, const KvPlace &place, mlir::Value value, Chunk &chunk);

  KernelFrame &frame_;
  Ir &ir_;
  const RegionSite &site_;
  mlir::DenseMap<mlir::Operation *, mlir::Value> elementRows_; ///< where an element's row starts
  mlir::DenseMap<mlir::Value, KvPlace> kvPlaces_;
  mlir::DenseMap<mlir::Value, mlir::Value> resultRows_;
  mlir::DenseMap<mlir::Operation *, mlir::Value> slots_;
  mlir::IRMapping uniform_;  ///< region value -> scalar
  mlir::Value head_;         ///< first column of the head that is being reduced, else null
  int64_t headMultiple_ = 0; ///< `head_` is a multiple of it
};

/// Element type and bytes of a row as they lie in memory: a row vector is float32 whatever the
/// type of its elements.
mlir::Type storedElement(mlir::RankedTensorType type);
int64_t storedRowBytes(mlir::RankedTensorType type);

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_REGIONEMITTER_H
