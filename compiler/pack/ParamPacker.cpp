//===- ParamPacker.cpp - checkpoint tensors to packed weights -------------===//

#include "compiler/pack/ParamPacker.h"

#include "compiler/checkpoint/Dequantize.h"
#include "compiler/pack/Quantize.h"
#include "runtime/format/Rows.h"

#include <algorithm>
#include <cstring>

namespace llama4::pack {

Result<SourceRows> SourceRows::create(const SourceTensor &tensor, int64_t rows, int64_t cols,
                                      int64_t unpermuteHeads) {
  SourceRows source;
  source.tensor_ = &tensor;
  source.cols_ = cols;
  std::optional<uint64_t> bytes = rowBytes(tensor.dtype, static_cast<uint64_t>(cols));
  if (rows < 1 || cols < 1 ||
      tensor.elements() != static_cast<uint64_t>(rows) * static_cast<uint64_t>(cols) || !bytes)
    return Status::invalidInput("tensor '" + tensor.name + "': found " + shapeText(tensor.shape) +
                                ", expected " + std::to_string(rows) + " rows of " +
                                std::to_string(cols) + "; the file is not of this model.");
  source.rowBytes_ = *bytes;
  if (unpermuteHeads == 0)
    return source;
  source.headRows_ = rows / unpermuteHeads;
  if (rows % unpermuteHeads != 0 || source.headRows_ % 2 != 0)
    return Status::invalidInput("tensor '" + tensor.name + "': " + std::to_string(rows) +
                                " rows are not " + std::to_string(unpermuteHeads) +
                                " heads of an even size; the file is not of this model.");
  return source;
}

int64_t SourceRows::storedRow(int64_t row) const {
  if (headRows_ == 0)
    return row;
  // Stored: pairs (2i, 2i + 1). In the model: (i, i + half).
  int64_t head = row / headRows_, inside = row % headRows_, half = headRows_ / 2;
  return head * headRows_ + 2 * (inside % half) + inside / half;
}

std::span<const std::byte> SourceRows::raw(int64_t row) const {
  return tensor_->bytes.subspan(static_cast<uint64_t>(storedRow(row)) * rowBytes_, rowBytes_);
}

Status SourceRows::decode(int64_t row, std::span<float> out) const {
  return dequantize(tensor_->dtype, raw(row), out).in("tensor '" + tensor_->name + "'");
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
      encodeRow(param.encoding, values, out);
    }
    packPanel(param.encoding, std::span(source).first(static_cast<uint64_t>(count) * rowSize),
              count, param.cols, panel);
    LLAMA4_RETURN_IF_ERROR(sink(panel));
  }
  return {};
}

} // namespace llama4::pack
