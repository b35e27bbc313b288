//===- PackedTensor.cpp - packed integers with scales for groups ----------===//

#include "compiler/checkpoint/PackedTensor.h"

#include "runtime/format/Half.h"
#include "runtime/format/Quoted.h"

#include <cmath>
#include <cstring>

namespace llama4 {

/// The float16 that is exactly `value`.
static std::optional<uint16_t> exactHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const float magnitude = std::fabs(value);
  if (!(magnitude <= 65504.0f))
    return std::nullopt;
  if (magnitude < 0x1p-14f) { // subnormal: whole multiples of 2^-24
    const float units = magnitude * 0x1p24f;
    const auto whole = static_cast<uint16_t>(units);
    if (static_cast<float>(whole) != units)
      return std::nullopt;
    return static_cast<uint16_t>(sign | whole);
  }
  if (bits & 0x1fffu)
    return std::nullopt;
  return static_cast<uint16_t>(sign | (((bits & 0x7fffffffu) - (112u << 23)) >> 13));
}

static bool isScaleType(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

static float floatAt(const SourceTensor &tensor, uint64_t index) {
  if (tensor.dtype == DType::F32) {
    float value = 0;
    std::memcpy(&value, tensor.bytes.data() + index * sizeof(value), sizeof(value));
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, tensor.bytes.data() + index * sizeof(bits), sizeof(bits));
  return tensor.dtype == DType::F16 ? halfToFloat(bits) : bfloat16ToFloat(bits);
}

/// int32 words that `count` integers take; nothing beyond any real matrix.
static std::optional<int64_t> packedWords(int64_t count, int64_t bits) {
  constexpr int64_t kLargest = int64_t{1} << 48;
  if (count < 1 || count > kLargest)
    return std::nullopt;
  return (count * bits + 31) / 32;
}

/// `tensor` is int32 of `shape`, and all of its bytes are there.
static Status checkWords(const SourceTensor &tensor, std::initializer_list<int64_t> shape) {
  const std::vector<int64_t> wanted(shape);
  if (tensor.dtype == DType::I32 && tensor.shape == wanted &&
      tensorBytes(DType::I32, tensor.shape) == tensor.bytes.size())
    return {};
  return Status::invalidInput(
      "tensor " + quoteName(tensor.name) + ": found " + std::string(dtypeName(tensor.dtype)) + " " +
      shapeText(tensor.shape) + ", expected i32 " + shapeText(wanted) +
      " for its matrix and bits; correct the configuration or convert the checkpoint again.");
}

Status PackedTensor::checkParts() {
  if (!parts_.packed || !parts_.scale || (parts_.bits != 4 && parts_.bits != 8))
    return Status::internal("a packed matrix without integers of 4 or 8 bits or without scales.");
  const std::optional<int64_t> words = packedWords(columns_, parts_.bits);
  const std::optional<int64_t> zeroWords = packedWords(rows_, parts_.bits);
  if (!words || !zeroWords)
    return Status::invalidInput("tensor " + quoteName(parts_.packed->name) + ": found a matrix " +
                                shapeText(std::vector<int64_t>{rows_, columns_}) +
                                ", expected extents from 1 to 2^48; correct the configuration.");
  LLAMA4_RETURN_IF_ERROR(checkWords(*parts_.packed, {rows_, *words}));
  rowBytes_ = static_cast<uint64_t>(*words) * sizeof(int32_t);
  const SourceTensor &scale = *parts_.scale;
  if (!isScaleType(scale.dtype) || scale.shape.size() != 2 || scale.shape[0] != rows_ ||
      scale.shape[1] < 1 || columns_ % scale.shape[1] != 0 ||
      tensorBytes(scale.dtype, scale.shape) != scale.bytes.size())
    return Status::invalidInput(
        "tensor " + quoteName(scale.name) + ": found " + std::string(dtypeName(scale.dtype)) + " " +
        shapeText(scale.shape) + ", expected f32, f16 or bf16 [" + std::to_string(rows_) +
        ", groups] for groups of equal size of " + std::to_string(columns_) +
        " columns; convert the checkpoint again.");
  groups_ = scale.shape[1];
  groupColumns_ = columns_ / groups_;
  return parts_.zeroPoint ? checkWords(*parts_.zeroPoint, {*zeroWords, groups_}) : Status();
}

Status PackedTensor::checkScales() {
  const auto count = static_cast<uint64_t>(groups_) * static_cast<uint64_t>(rows_);
  for (uint64_t i = 0; i < count; ++i) {
    const float value = floatAt(*parts_.scale, i);
    if (!std::isfinite(value))
      return Status::invalidInput("tensor " + quoteName(parts_.scale->name) + ": found the scale " +
                                  std::to_string(value) + " at element " + std::to_string(i) +
                                  ", expected finite numbers; convert the checkpoint again.");
    hasWideScales_ |= !exactHalf(value);
  }
  return {};
}

std::optional<DType> PackedTensor::fittingBlock() const {
  if (hasWideScales_ || groupColumns_ % 32 != 0)
    return std::nullopt;
  if (parts_.bits == 8)
    return parts_.zeroPoint ? std::nullopt : std::optional(DType::Q8_0);
  if (groupColumns_ % 128 == 0)
    return DType::Int4_G128;
  return parts_.zeroPoint ? DType::Q8_0 : DType::Q4_0;
}

Result<PackedTensor> PackedTensor::make(const Parts &parts, int64_t rows, int64_t columns) {
  PackedTensor tensor(parts, rows, columns);
  LLAMA4_RETURN_IF_ERROR(tensor.checkParts());
  LLAMA4_RETURN_IF_ERROR(tensor.checkScales());
  tensor.blockType_ = tensor.fittingBlock();
  return tensor;
}

//===----------------------------------------------------------------------===//
// Reading rows
//===----------------------------------------------------------------------===//

/// Integer `index` of those packed from `bytes` on.
static int integerAt(const uint8_t *bytes, int64_t index, int64_t bits) {
  return bits == 8 ? bytes[index] : bytes[index / 2] >> (index % 2 * 4) & 15;
}

float PackedTensor::scale(int64_t row, int64_t group) const {
  return floatAt(*parts_.scale, static_cast<uint64_t>(row * groups_ + group));
}

int PackedTensor::zeroPoint(int64_t row, int64_t group) const {
  if (!parts_.zeroPoint)
    return 1 << (parts_.bits - 1);
  // A word holds rows of one group.
  const int64_t rowsOfWord = 32 / parts_.bits;
  const int64_t word = row / rowsOfWord * groups_ + group;
  const auto *bytes = reinterpret_cast<const uint8_t *>(parts_.zeroPoint->bytes.data());
  return integerAt(bytes + static_cast<size_t>(word) * sizeof(int32_t), row % rowsOfWord,
                   parts_.bits);
}

const uint8_t *PackedTensor::packedRow(int64_t row) const {
  return reinterpret_cast<const uint8_t *>(parts_.packed->bytes.data()) +
         static_cast<uint64_t>(row) * rowBytes_;
}

/// The 16 bytes of 32 nibbles in the order of block types, from those in the order of columns: byte
/// i holds columns i and 16 + i.
static void reorderNibbles(const uint8_t *from, uint8_t *to) {
  for (int i = 0; i < 8; ++i) {
    const int low = from[i], high = from[8 + i];
    to[2 * i] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
    to[2 * i + 1] = static_cast<uint8_t>(low >> 4 | (high & 0xf0));
  }
}

/// The block whose first column is `column`.
void PackedTensor::blockOf(int64_t row, int64_t column, uint8_t *block) const {
  const int64_t group = column / groupColumns_;
  const uint16_t d = exactHalf(scale(row, group)).value_or(0);
  std::memcpy(block, &d, sizeof(d));
  const uint8_t *quants = packedRow(row) + column * parts_.bits / 8;
  if (blockType_ == DType::Q8_0) {
    const int zero = zeroPoint(row, group);
    for (int i = 0; i < 32; ++i)
      block[2 + i] = static_cast<uint8_t>(integerAt(quants, i, parts_.bits) - zero);
    return;
  }
  const bool isWide = blockType_ == DType::Int4_G128;
  if (isWide)
    block[2] = static_cast<uint8_t>(zeroPoint(row, group));
  for (int part = 0; part < (isWide ? 4 : 1); ++part)
    reorderNibbles(quants + part * 16, block + (isWide ? 3 : 2) + part * 16);
}

Status PackedTensor::checkRange(int64_t first, int64_t count) const {
  if (first < 0 || count < 0 || first > rows_ - count)
    return Status::internal("tensor " + quoteName(parts_.packed->name) +
                            ": asked for rows outside it.");
  return {};
}

Status PackedTensor::readBlocks(int64_t first, int64_t count, std::span<std::byte> out) const {
  LLAMA4_RETURN_IF_ERROR(checkRange(first, count));
  const DTypeInfo *type = blockType_ ? &dtypeInfo(*blockType_) : nullptr;
  const int64_t blocks = type ? columns_ / type->blockElements : 0;
  if (!type || out.size() != static_cast<uint64_t>(count * blocks) * type->blockBytes)
    return Status::internal("tensor " + quoteName(parts_.packed->name) +
                            ": asked for blocks that it has not.");
  auto *to = reinterpret_cast<uint8_t *>(out.data());
  for (int64_t row = first; row < first + count; ++row)
    for (int64_t block = 0; block < blocks; ++block, to += type->blockBytes)
      blockOf(row, block * type->blockElements, to);
  return {};
}

Status PackedTensor::readValues(int64_t first, int64_t count, std::span<float> out) const {
  LLAMA4_RETURN_IF_ERROR(checkRange(first, count));
  if (out.size() != static_cast<uint64_t>(count) * static_cast<uint64_t>(columns_))
    return Status::internal("tensor " + quoteName(parts_.packed->name) +
                            ": asked for values of other rows.");
  float *to = out.data();
  for (int64_t row = first; row < first + count; ++row)
    for (int64_t group = 0; group < groups_; ++group) {
      const float factor = scale(row, group);
      const int zero = zeroPoint(row, group);
      for (int64_t i = 0; i < groupColumns_; ++i, ++to)
        *to =
            factor * static_cast<float>(
                         integerAt(packedRow(row), group * groupColumns_ + i, parts_.bits) - zero);
    }
  return {};
}

} // namespace llama4
