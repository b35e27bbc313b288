//===- Formats.cpp - IR types and the formats of the other rooms ----------===//

#include "passes/Formats.h"

#include "runtime/format/Rows.h"

using namespace mlir;
using namespace llama4;

static std::optional<lm::BlockFormat> getBlockFormat(Type element) {
  auto block = dyn_cast<lm::BlockType>(element);
  return block ? std::optional(block.getFormat()) : std::nullopt;
}

std::optional<microkernels::Encoding> llama4::getEncoding(Type element) {
  if (element.isF32())
    return microkernels::Encoding::Float32;
  if (element.isBF16())
    return microkernels::Encoding::BFloat16;
  if (std::optional<lm::BlockFormat> format = getBlockFormat(element))
    return microkernels::parseEncoding(lm::stringifyBlockFormat(*format));
  return std::nullopt;
}

std::optional<microkernels::Activation> llama4::getActivation(Type element) {
  if (element.isF32())
    return microkernels::Activation::F32;
  if (element.isBF16())
    return microkernels::Activation::BF16;
  if (getBlockFormat(element) == lm::BlockFormat::Q8_32)
    return microkernels::Activation::Q8;
  if (getBlockFormat(element) == lm::BlockFormat::Q8_128)
    return microkernels::Activation::Q8_128;
  return std::nullopt;
}

std::optional<microkernels::KvType> llama4::getKvType(Type element) {
  if (element.isF32())
    return microkernels::KvType::Float32;
  if (element.isBF16())
    return microkernels::KvType::BFloat16;
  return std::nullopt;
}

const microkernels::LinearCore *llama4::findLinearCore(Type activation, Type weight) {
  std::optional<microkernels::Activation> rows = getActivation(activation);
  std::optional<microkernels::Encoding> encoding = getEncoding(weight);
  return rows && encoding ? microkernels::findLinear(*rows, *encoding) : nullptr;
}

std::optional<ElementType> llama4::getElementType(Type element) {
  if (element.isF32())
    return ElementType::F32;
  if (element.isBF16())
    return ElementType::BF16;
  if (element.isInteger(32))
    return ElementType::I32;
  if (element.isInteger(64))
    return ElementType::I64;
  if (getBlockFormat(element) == lm::BlockFormat::Q8_32)
    return ElementType::Q8_32;
  if (getBlockFormat(element) == lm::BlockFormat::Q8_128)
    return ElementType::Q8_128;
  return std::nullopt;
}

uint32_t llama4::getRowColumns(RankedTensorType type) {
  return type.getRank() >= 2 ? static_cast<uint32_t>(type.getShape().back()) : 0;
}

std::optional<uint64_t> llama4::getRowBytes(RankedTensorType type) {
  std::optional<ElementType> element = getElementType(type.getElementType());
  if (!element || type.getRank() > 3 ||
      (type.getEncoding() && !isa<target::ZeroAttr>(type.getEncoding())))
    return std::nullopt;
  return rowBytes(*element, getRowColumns(type));
}

LogicalResult llama4::verifyWeights(Operation *op) {
  SmallVector<Value> weights;
  if (auto linear = dyn_cast<lm::LinearOp>(op))
    llvm::append_range(weights, linear.getWeights());
  else if (auto embed = dyn_cast<lm::EmbedOp>(op))
    weights.push_back(embed.getTable());
  for (Value weight : weights) {
    auto type = cast<RankedTensorType>(weight.getType());
    auto layout = dyn_cast_or_null<target::LayoutAttr>(type.getEncoding());
    if (!layout || layout.getKind() != "panels")
      return op->emitOpError("reads a weight of type ")
             << type << ", expected a parameter in panels; run lm-select-layout";
  }
  return success();
}
