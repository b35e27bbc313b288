//===- Target.h - device, layout and micro-kernel attributes ----*- C++ -*-===//
#ifndef LLAMA4_DIALECTS_TARGET_TARGET_H
#define LLAMA4_DIALECTS_TARGET_TARGET_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"

#include "dialects/target/TargetDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/target/TargetAttrs.h.inc"

namespace llama4::target {

/// Name of the module attribute that lists the devices.
inline constexpr llvm::StringLiteral devicesAttrName = "target.devices";

} // namespace llama4::target

#endif // LLAMA4_DIALECTS_TARGET_TARGET_H
