//===- StepAbi.cpp - fields of the kernel ABI as loads --------------------===//

#include "passes/kernel/StepAbi.h"

#include "compiler/microkernels/Microkernels.h"
#include "passes/Formats.h"

#include <cstddef>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

// Generated code lives in files: what it was compiled against may not move.
static_assert(offsetof(l4_step, symbol) == 0 && offsetof(l4_step, position) == 8 &&
                  offsetof(l4_step, sequence) == 16 && offsetof(l4_step, page_table) == 40 &&
                  offsetof(l4_step, page_stride) == 72,
              "l4_step is append-only");
static_assert(offsetof(l4_dispatch, bindings) == 0 && offsetof(l4_dispatch, step) == 8 &&
                  offsetof(l4_dispatch, tiles) == 24,
              "l4_dispatch is append-only");

Value StepAbi::pointerField(int64_t offset) {
  return ir_.load(ir_.pointerType(), ir_.at(step_, offset));
}

Value StepAbi::symbol() {
  Value value = ir_.load(ir_.b.getI32Type(), ir_.at(step_, offsetof(l4_step, symbol)));
  return ir_.fold<arith::ExtUIOp>(ir_.b.getI64Type(), value);
}

Value StepAbi::position(Value token) {
  Value array = pointerField(offsetof(l4_step, position));
  return ir_.load(ir_.b.getI64Type(), ir_.at(array, ir_.mul(token, 8)));
}

Value StepAbi::sequence(Value token) {
  return ir_.loadInt32(ir_.at(pointerField(offsetof(l4_step, sequence)), ir_.mul(token, 4)));
}

Value StepAbi::page(int64_t kind, Value sequence, Value position) {
  Value table = pointerField(offsetof(l4_step, page_table) + kind * sizeof(void *));
  Value stride =
      ir_.loadInt32(ir_.at(step_, offsetof(l4_step, page_stride) + kind * sizeof(uint32_t)));
  Value entry = ir_.add(ir_.mul(sequence, stride), ir_.div(position, L4_PAGE_TOKENS));
  return ir_.loadInt32(ir_.at(table, ir_.mul(entry, 4)));
}

Value kernel::loadStep(Ir &ir, Value dispatch) {
  return ir.load(ir.pointerType(), ir.at(dispatch, offsetof(l4_dispatch, step)));
}

Value kernel::loadBindings(Ir &ir, Value dispatch) {
  return ir.load(ir.pointerType(), ir.at(dispatch, offsetof(l4_dispatch, bindings)));
}

Value kernel::loadTiles(Ir &ir, Value dispatch) {
  Value tiles = ir.load(ir.b.getI32Type(), ir.at(dispatch, offsetof(l4_dispatch, tiles)));
  return ir.fold<arith::ExtUIOp>(ir.b.getI64Type(), tiles);
}

int64_t kernel::kvPageBytes(lm::KvLayerType kv) {
  std::optional<microkernels::KvType> type = getKvType(kv.getElementType());
  if (!type || kv.getDim() % 2 != 0 || kv.getKind() < 0 || kv.getKind() >= L4_MAX_KV_KINDS)
    return 0;
  return microkernels::kvPageBytes(*type, kv.getHeads(), kv.getDim());
}
