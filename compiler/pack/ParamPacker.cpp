//===- ParamPacker.cpp - checkpoint tensors to packed weights -------------===//

#include "compiler/pack/ParamPacker.h"

#include "compiler/checkpoint/Dequantize.h"
#include "compiler/pack/Quantize.h"
#include "runtime/format/Rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llama4::pack {

Result<SourceRows> SourceRows::create(const SourceTensor &tensor, int64_t rows, int64_t cols,
                                      int64_t unpermuteHeads) {
  SourceRows source;
  source.tensor_ = &tensor;
  source.cols_ = cols;
  std::optional<uint64_t> bytes = rowBytes(tensor.dtype, static_cast<uint64_t>(cols));
  if (rows < 1 || cols < 1 || tensor.rowElements() != static_cast<uint64_t>(cols) ||
      tensor.elements() / static_cast<uint64_t>(cols) != static_cast<uint64_t>(rows) || !bytes)
    return Status::invalidInput("tensor '" + tensor.name + "': found " + shapeText(tensor.shape) +
                                ", expected " + std::to_string(rows) + " rows of " +
                                std::to_string(cols) + "; the file is not of this model.");
  source.rowBytes_ = *bytes;
  if (unpermuteHeads == 0)
    return source;
  // A bias is one row whose elements belong to the rows of its matrix.
  source.permutedElements_ = rows == 1;
  const int64_t count = rows == 1 ? cols : rows;
  source.headRows_ = unpermuteHeads > 0 ? count / unpermuteHeads : 0;
  if (source.headRows_ == 0 || count % unpermuteHeads != 0 || source.headRows_ % 2 != 0)
    return Status::invalidInput("tensor '" + tensor.name + "': " + std::to_string(count) +
                                " rows are not " + std::to_string(unpermuteHeads) +
                                " heads of an even size; the file is not of this model.");
  return source;
}

int64_t SourceRows::storedPlace(int64_t row) const {
  // Stored: pairs (2i, 2i + 1). In the model: (i, i + half).
  int64_t head = row / headRows_, inside = row % headRows_, half = headRows_ / 2;
  return head * headRows_ + 2 * (inside % half) + inside / half;
}

std::span<const std::byte> SourceRows::raw(int64_t row) const {
  const int64_t stored = headRows_ == 0 || permutedElements_ ? row : storedPlace(row);
  return tensor_->bytes.subspan(static_cast<uint64_t>(stored) * rowBytes_, rowBytes_);
}

Status SourceRows::decode(int64_t row, std::span<float> out) const {
  LLAMA4_RETURN_IF_ERROR(
      dequantize(tensor_->dtype, raw(row), out).in("tensor '" + tensor_->name + "'"));
  if (permutedElements_) {
    const std::vector<float> stored(out.begin(), out.end());
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = stored[static_cast<size_t>(storedPlace(static_cast<int64_t>(i)))];
  }
  return {};
}

/// The encoding that is the stored type itself; nothing where values must be converted.
static bool isStoredAs(DType dtype, Encoding encoding) {
  switch (encoding) {
  case Encoding::Float32:
    return dtype == DType::F32;
  case Encoding::BFloat16:
    return dtype == DType::BF16;
  case Encoding::Q8_0:
    return dtype == DType::Q8_0;
  case Encoding::Q4_1:
    return dtype == DType::Q4_1;
  }
  return false;
}

uint64_t paramBytes(const ParamSpec &param) {
  if (param.panels)
    return packedBytes(param.encoding, param.rows, param.cols);
  return alignRow(static_cast<uint64_t>(param.cols) * sizeof(float));
}

/// Refuses what a block of small integers and float16 scales can't stand for.
static Status checkQuantizable(std::span<const float> values, const SourceTensor &tensor,
                               Encoding encoding) {
  constexpr float largest = 65504.0f; // of float16
  if (encoding != Encoding::Q8_0 && encoding != Encoding::Q4_1)
    return {};
  for (float value : values)
    if (!(std::fabs(value) <= largest))
      return Status::invalidInput("tensor '" + tensor.name + "': found the value " +
                                  std::to_string(value) +
                                  ", expected finite numbers up to 65504 "
                                  "to store as " +
                                  std::string(microkernels::encodingName(encoding)) +
                                  "; choose bfloat16 or float32 for it.");
  return {};
}

/// One padded float32 row.
static Status packVector(const SourceRows &rows, const ParamSpec &param, const ByteSink &sink) {
  std::vector<float> values(paramBytes(param) / sizeof(float), 0.0f);
  LLAMA4_RETURN_IF_ERROR(rows.decode(0, std::span(values).first(static_cast<size_t>(param.cols))));
  return sink(std::as_bytes(std::span(values)));
}

Status packParam(const ParamSpec &param, const ByteSink &sink) {
  LLAMA4_ASSIGN_OR_RETURN(SourceRows rows, SourceRows::create(*param.source, param.rows, param.cols,
                                                              param.unpermuteHeads));
  if (!param.panels)
    return packVector(rows, param, sink);
  uint64_t rowSize = sourceRowBytes(param.encoding, param.cols);
  bool stored = isStoredAs(param.source->dtype, param.encoding);
  std::vector<std::byte> source(rowSize * kPanelRows);
  std::vector<std::byte> panel(panelBytes(param.encoding, param.cols));
  std::vector<float> values(stored ? 0 : static_cast<size_t>(param.cols));
  for (int64_t first = 0; first < param.rows; first += kPanelRows) {
    int64_t count = std::min<int64_t>(kPanelRows, param.rows - first);
    for (int64_t i = 0; i < count; ++i) {
      std::span<std::byte> out =
          std::span(source).subspan(static_cast<uint64_t>(i) * rowSize, rowSize);
      if (stored) {
        std::memcpy(out.data(), rows.raw(first + i).data(), rowSize);
        continue;
      }
      LLAMA4_RETURN_IF_ERROR(rows.decode(first + i, values));
      LLAMA4_RETURN_IF_ERROR(checkQuantizable(values, *param.source, param.encoding));
      encodeRow(param.encoding, values, out);
    }
    packPanel(param.encoding, std::span(source).first(static_cast<uint64_t>(count) * rowSize),
              count, param.cols, panel);
    LLAMA4_RETURN_IF_ERROR(sink(panel));
  }
  return {};
}

} // namespace llama4::pack
