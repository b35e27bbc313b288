//===- SourceParam.cpp - a parameter in the tensors of a checkpoint -------===//

#include "compiler/checkpoint/SourceParam.h"

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <cstring>

namespace llama4 {

//===----------------------------------------------------------------------===//
// Finding the tensors
//===----------------------------------------------------------------------===//

/// `name` with the number of an expert in the place of `*`.
static std::string expertName(const std::string &name, int64_t expert) {
  const size_t at = name.find('*');
  if (at == std::string::npos)
    return name;
  return name.substr(0, at) + std::to_string(expert) + name.substr(at + 1);
}

Status SourceParam::misfit(const std::string &name, const SourceTensor *found,
                           const std::string &expected) const {
  return Status::invalidInput("parameter " + quoteName(spec_.name) + ": found " +
                              (found ? shapeText(found->shape) : std::string("no tensor")) +
                              " under " + quoteName(name) + ", expected " + expected +
                              "; use the checkpoint of this module.");
}

bool SourceParam::isPlainMatrix() const {
  return (spec_.shape.size() == 2 || spec_.perExpert) && !spec_.transpose && spec_.firstRow == 0 &&
         spec_.unpermuteHeads == 0;
}

Status SourceParam::setExtents() {
  const std::vector<int64_t> &shape = spec_.shape;
  const bool isVector = shape.size() == 1;
  bool fits = !shape.empty() && shape.size() <= 3 && spec_.firstRow >= 0 &&
              !(isVector && (spec_.firstRow > 0 || spec_.transpose)) &&
              (!spec_.perExpert || shape.size() == 3) && (spec_.bits == 0 || isPlainMatrix());
  for (int64_t extent : shape)
    fits = fits && extent >= 1;
  if (!fits)
    return Status::invalidInput("parameter " + quoteName(spec_.name) + ": found the extents " +
                                shapeText(shape) + " from row " + std::to_string(spec_.firstRow) +
                                ", expected a vector, matrix or matrix per expert as its source "
                                "says; correct the parameter.");
  matrices_ = shape.size() == 3 ? shape[0] : 1;
  rows_ = isVector ? 1 : shape[shape.size() - 2];
  columns_ = shape.back();
  if (spec_.unpermuteHeads == 0)
    return {};
  // The elements of a bias belong to the rows of its matrix.
  const int64_t count = isVector ? columns_ : rows_;
  headRows_ = spec_.unpermuteHeads > 0 ? count / spec_.unpermuteHeads : 0;
  if (shape.size() == 3 || headRows_ == 0 || count % spec_.unpermuteHeads != 0 ||
      headRows_ % 2 != 0)
    return Status::invalidInput("parameter " + quoteName(spec_.name) + " from tensor " +
                                quoteName(spec_.source) + ": found " + shapeText(shape) +
                                ", expected rows of " + std::to_string(spec_.unpermuteHeads) +
                                " heads of an even size; the file is not of this model.");
  return {};
}

/// A convolution's weight [N, C, h, w] as the matrix [N, C h w] that a plain parameter of rank 2
/// is; other tensors as they are.
const SourceTensor *SourceParam::flatten(const SourceTensor *tensor) {
  const bool isPlain = spec_.shape.size() == 2 && !spec_.perExpert && !spec_.transpose &&
                       spec_.firstRow == 0 && spec_.unpermuteHeads == 0;
  if (!tensor || !isPlain || tensor->shape.size() != 4 || isBlockType(tensor->dtype) ||
      tensor->shape[0] < 1)
    return tensor;
  auto flat = std::make_shared<SourceTensor>(*tensor);
  flat->shape = {tensor->shape[0], static_cast<int64_t>(tensor->elements() /
                                                        static_cast<uint64_t>(tensor->shape[0]))};
  flat_ = flat;
  return flat_.get();
}

Status SourceParam::addTensor(const std::string &name, const FindTensor &tensors) {
  std::vector<int64_t> shape = spec_.shape;
  if (spec_.perExpert)
    shape.erase(shape.begin());
  const size_t rank = shape.size(), rowDim = spec_.transpose ? rank - 1 : rank - 2;
  if (spec_.transpose)
    std::swap(shape[rank - 1], shape[rank - 2]);
  const bool isFused = rank == 3 || spec_.firstRow > 0;
  const SourceTensor *tensor = flatten(tensors(name));
  bool fits = tensor && tensor->shape.size() == rank;
  for (size_t i = 0; fits && i < rank; ++i)
    fits = isFused && i == rowDim ? tensor->shape[i] - spec_.firstRow >= shape[i]
                                  : tensor->shape[i] == shape[i];
  if (!fits)
    return misfit(name, tensor, shapeText(shape));
  if (!canDequantize(tensor->dtype) ||
      tensorBytes(tensor->dtype, tensor->shape) != tensor->bytes.size())
    return Status::invalidInput(
        "parameter " + quoteName(spec_.name) + ": found " + std::to_string(tensor->bytes.size()) +
        " bytes of type " + std::string(dtypeName(tensor->dtype)) + " under " + quoteName(name) +
        ", expected all rows of a float or block type; convert the tensor.");
  tensors_.push_back(tensor);
  return {};
}

Status SourceParam::addScale(const std::string &name, const FindTensor &tensors) {
  const SourceTensor *tensor = tensors(name);
  const auto rows = static_cast<uint64_t>(rows_);
  if (!tensor || (tensor->elements() != rows && tensor->elements() != 1))
    return misfit(name, tensor,
                  "a scale for each of " + std::to_string(rows) + " rows, or one in all");
  std::vector<float> &scales = scales_.emplace_back(tensor->elements());
  return dequantizeRows(*tensor, 0, tensor->elements() / tensor->rowElements(), scales)
      .in("parameter " + quoteName(spec_.name));
}

/// The integers, scales and zero points of a matrix.
Status SourceParam::addPacked(const PackedTensor::Parts &parts, const std::string &source) {
  if (!parts.packed || !parts.scale || (!parts.zeroPoint && !spec_.zeroPoint.empty()))
    return misfit(source, parts.packed, "it, its scales and its zero points to be there");
  Result<PackedTensor> packed = PackedTensor::make(parts, rows_, columns_);
  if (!packed.ok())
    return packed.status().in("parameter " + quoteName(spec_.name));
  packed_.push_back(packed.take());
  tensors_.push_back(parts.packed);
  return {};
}

Result<SourceParam> SourceParam::find(const SourceSpec &spec, const FindTensor &tensors) {
  SourceParam param;
  param.spec_ = spec;
  LLAMA4_RETURN_IF_ERROR(param.setExtents());
  for (int64_t matrix = 0; matrix < (spec.perExpert ? param.matrices_ : 1); ++matrix) {
    auto nameOf = [&](const std::string &name) {
      return spec.perExpert ? expertName(name, matrix) : name;
    };
    if (spec.bits != 0) {
      LLAMA4_RETURN_IF_ERROR(param.addPacked(
          {tensors(nameOf(spec.source)), tensors(nameOf(spec.scale)),
           spec.zeroPoint.empty() ? nullptr : tensors(nameOf(spec.zeroPoint)), spec.bits},
          nameOf(spec.source)));
      continue;
    }
    LLAMA4_RETURN_IF_ERROR(param.addTensor(nameOf(spec.source), tensors));
    if (!spec.scale.empty())
      LLAMA4_RETURN_IF_ERROR(param.addScale(nameOf(spec.scale), tensors));
  }
  return param;
}

Result<SourceParam> SourceParam::find(const SourceSpec &spec, const Checkpoint &checkpoint) {
  std::string missing;
  Result<SourceParam> param = find(spec, [&](std::string_view name) {
    const SourceTensor *tensor = checkpoint.find(name);
    if (!tensor)
      missing = name;
    return tensor;
  });
  if (!missing.empty())
    return Status::invalidInput(
        checkpoint.path() + ": parameter " + quoteName(spec.name) + ": found no tensor under " +
        quoteName(missing) + ", the nearest name is " + quoteName(checkpoint.nearestName(missing)) +
        "; use the checkpoint of this module.");
  if (!param.ok())
    return param.status().in(checkpoint.path());
  return param;
}

//===----------------------------------------------------------------------===//
// Reading rows
//===----------------------------------------------------------------------===//

/// Writes `count` rows of `columns` elements whose columns lie one behind the other: fetch(j, to)
/// gives `count` elements of column j. Goes through tiles of columns, so that a cache line of `out`
/// is written at once and each fetch is one run of the source.
template <typename T, typename Fetch>
static Status transposeRows(int64_t count, int64_t columns, Fetch fetch, std::byte *out) {
  constexpr int64_t kTile = 32;
  // Not a power of two apart: elements of a row must not share one set of the cache.
  const auto stride = static_cast<size_t>(count) + 64 / sizeof(T);
  std::vector<T> tile(stride * kTile);
  for (int64_t begin = 0; begin < columns; begin += kTile) {
    const auto width = static_cast<size_t>(std::min(kTile, columns - begin));
    for (size_t j = 0; j < width; ++j)
      LLAMA4_RETURN_IF_ERROR(fetch(begin + static_cast<int64_t>(j), tile.data() + j * stride));
    for (int64_t i = 0; i < count; ++i)
      for (size_t j = 0; j < width; ++j)
        std::memcpy(out + static_cast<size_t>(i * columns + begin) * sizeof(T) + j * sizeof(T),
                    &tile[j * stride + static_cast<size_t>(i)], sizeof(T));
  }
  return {};
}

const SourceTensor &SourceParam::tensor(int64_t matrix) const {
  return *tensors_[spec_.perExpert ? static_cast<size_t>(matrix) : 0];
}

const PackedTensor *SourceParam::packed(int64_t matrix) const {
  return packed_.empty() ? nullptr : &packed_[spec_.perExpert ? static_cast<size_t>(matrix) : 0];
}

bool SourceParam::isTorn(int64_t matrix) const {
  return spec_.transpose && isBlockType(tensor(matrix).dtype);
}

std::optional<DType> SourceParam::storedType(int64_t matrix) const {
  if (const PackedTensor *integers = packed(matrix))
    return integers->blockType();
  const bool isPermutedVector = headRows_ > 0 && spec_.shape.size() == 1;
  if (!scales_.empty() || isPermutedVector || isTorn(matrix))
    return std::nullopt;
  return tensor(matrix).dtype;
}

int64_t SourceParam::storedPlace(int64_t row) const {
  // Stored: pairs (2i, 2i + 1). In the model: (i, i + half).
  const int64_t head = row / headRows_, inside = row % headRows_, half = headRows_ / 2;
  return head * headRows_ + 2 * (inside % half) + inside / half;
}

uint64_t SourceParam::storedRows(int64_t matrix) const {
  const std::vector<int64_t> &shape = tensor(matrix).shape;
  return shape.size() == 1 ? 1
                           : static_cast<uint64_t>(shape[shape.size() - (spec_.transpose ? 1 : 2)]);
}

/// Transposed elements of one size, without a look at what they are.
template <typename T>
static Status copyAcross(const std::byte *from, uint64_t stride, int64_t count, int64_t columns,
                         std::byte *out) {
  auto fetch = [&](int64_t column, T *to) {
    std::memcpy(to, from + static_cast<uint64_t>(column) * stride * sizeof(T),
                static_cast<size_t>(count) * sizeof(T));
    return Status();
  };
  return transposeRows<T>(count, columns, fetch, out);
}

Status SourceParam::copyRun(int64_t matrix, int64_t first, int64_t count,
                            std::span<std::byte> out) const {
  const SourceTensor &source = tensor(matrix);
  const uint64_t stored = storedRows(matrix);
  const auto index = static_cast<uint64_t>(spec_.perExpert ? 0 : matrix);
  const auto row = static_cast<uint64_t>(spec_.firstRow + first);
  if (!spec_.transpose) {
    const uint64_t bytes = out.size() / static_cast<uint64_t>(count);
    std::memcpy(out.data(), source.bytes.data() + (index * stored + row) * bytes, out.size());
    return {};
  }
  const uint32_t size = dtypeInfo(source.dtype).blockBytes;
  const std::byte *from =
      source.bytes.data() + (index * static_cast<uint64_t>(columns_) * stored + row) * size;
  switch (size) {
  case 1:
    return copyAcross<uint8_t>(from, stored, count, columns_, out.data());
  case 2:
    return copyAcross<uint16_t>(from, stored, count, columns_, out.data());
  default:
    return copyAcross<uint32_t>(from, stored, count, columns_, out.data());
  }
}

/// Blocks that lie across the rows are decoded whole, as far as they touch the run.
Status SourceParam::decodeAcross(int64_t matrix, int64_t first, int64_t count,
                                 std::span<float> out) const {
  const SourceTensor &source = tensor(matrix);
  const DTypeInfo &type = dtypeInfo(source.dtype);
  const uint64_t stored = storedRows(matrix);
  const auto index = static_cast<uint64_t>(spec_.perExpert ? 0 : matrix);
  const auto begin = static_cast<uint64_t>(spec_.firstRow + first);
  const uint64_t firstBlock = begin / type.blockElements;
  const uint64_t blocks =
      ceilDiv(begin + static_cast<uint64_t>(count), type.blockElements) - firstBlock;
  std::vector<float> decoded(blocks * type.blockElements);
  auto fetch = [&](int64_t column, float *to) {
    const uint64_t line = index * static_cast<uint64_t>(columns_) + static_cast<uint64_t>(column);
    const uint64_t block = line * (stored / type.blockElements) + firstBlock;
    LLAMA4_RETURN_IF_ERROR(dequantize(
        source.dtype, source.bytes.subspan(block * type.blockBytes, blocks * type.blockBytes),
        decoded));
    std::copy_n(decoded.data() + (begin - firstBlock * type.blockElements), count, to);
    return Status();
  };
  return transposeRows<float>(count, columns_, fetch, std::as_writable_bytes(out).data());
}

Status SourceParam::decodeRun(int64_t matrix, int64_t first, int64_t count,
                              std::span<float> out) const {
  const SourceTensor &source = tensor(matrix);
  if (isTorn(matrix)) {
    LLAMA4_RETURN_IF_ERROR(decodeAcross(matrix, first, count, out));
  } else if (spec_.transpose) {
    std::vector<std::byte> bytes(out.size() * dtypeInfo(source.dtype).blockBytes);
    LLAMA4_RETURN_IF_ERROR(copyRun(matrix, first, count, bytes));
    LLAMA4_RETURN_IF_ERROR(dequantize(source.dtype, bytes, out));
  } else {
    const auto index = static_cast<uint64_t>(spec_.perExpert ? 0 : matrix);
    const auto row = static_cast<uint64_t>(spec_.firstRow + first);
    LLAMA4_RETURN_IF_ERROR(dequantizeRows(source, index * storedRows(matrix) + row,
                                          static_cast<uint64_t>(count), out));
  }
  if (scales_.empty())
    return {};
  const std::vector<float> &scales = scales_[spec_.perExpert ? static_cast<size_t>(matrix) : 0];
  for (size_t i = 0; i < out.size(); ++i)
    out[i] *=
        scales[scales.size() == 1 ? 0
                                  : static_cast<size_t>(first) + i / static_cast<size_t>(columns_)];
  return {};
}

/// Calls run(stored row, count, first row among those asked for) for rows that lie one behind the
/// other in the checkpoint.
template <typename Run>
Status SourceParam::forRuns(int64_t matrix, int64_t first, int64_t count, size_t size,
                            size_t expected, Run run) const {
  if (matrix < 0 || matrix >= matrices_ || first < 0 || count < 1 || first > rows_ - count ||
      size != expected)
    return Status::internal("parameter " + quoteName(spec_.name) + ": asked for rows outside it.");
  if (headRows_ == 0 || spec_.shape.size() == 1)
    return run(first, count, int64_t{0});
  for (int64_t i = 0; i < count; ++i)
    LLAMA4_RETURN_IF_ERROR(run(storedPlace(first + i), int64_t{1}, i));
  return {};
}

Status SourceParam::readStored(int64_t matrix, int64_t first, int64_t count,
                               std::span<std::byte> out) const {
  if (const PackedTensor *integers = packed(matrix))
    return integers->readBlocks(first, count, out);
  const uint64_t width =
      rowBytes(tensor(matrix).dtype, static_cast<uint64_t>(columns_)).value_or(0);
  return forRuns(matrix, first, count, out.size(), static_cast<uint64_t>(count) * width,
                 [&](int64_t row, int64_t rows, int64_t at) {
                   return copyRun(matrix, row, rows,
                                  out.subspan(static_cast<uint64_t>(at) * width,
                                              static_cast<uint64_t>(rows) * width));
                 });
}

Status SourceParam::readRows(int64_t matrix, int64_t first, int64_t count,
                             std::span<float> out) const {
  if (const PackedTensor *integers = packed(matrix))
    return integers->readValues(first, count, out);
  const auto width = static_cast<size_t>(columns_);
  Status status = forRuns(matrix, first, count, out.size(), static_cast<size_t>(count) * width,
                          [&](int64_t row, int64_t rows, int64_t at) {
                            return decodeRun(matrix, row, rows,
                                             out.subspan(static_cast<size_t>(at) * width,
                                                         static_cast<size_t>(rows) * width));
                          });
  LLAMA4_RETURN_IF_ERROR(status.in("parameter " + quoteName(spec_.name)));
  if (headRows_ > 0 && spec_.shape.size() == 1) {
    const std::vector<float> stored(out.begin(), out.end());
    for (size_t i = 0; i < width; ++i)
      out[i] = stored[static_cast<size_t>(storedPlace(static_cast<int64_t>(i)))];
  }
  return {};
}

} // namespace llama4
