//===- ParamPacker.cpp - checkpoint tensors to packed weights -------------===//

#include "compiler/pack/ParamPacker.h"

#include "compiler/pack/InOrder.h"
#include "compiler/pack/Quantize.h"
#include "runtime/format/Quoted.h"
#include "runtime/format/Rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace llama4::pack {

/// The stored type whose bytes are the encoding's; nothing where there is none.
static std::optional<DType> storedForm(Encoding encoding) {
  if (encoding == Encoding::Float32)
    return DType::F32;
  if (encoding == Encoding::BFloat16)
    return DType::BF16;
  // Block encodings are called like the stored types that they keep.
  for (const DTypeInfo &type : kDTypes)
    if (type.name == microkernels::encodingName(encoding))
      return type.dtype;
  return std::nullopt;
}

uint64_t paramBytes(const ParamSpec &param) {
  if (param.panels)
    return static_cast<uint64_t>(param.matrices) *
           packedBytes(param.encoding, param.rows, param.cols);
  return static_cast<uint64_t>(param.rows) *
         alignRow(static_cast<uint64_t>(param.cols) * sizeof(float));
}

/// Refuses what a block of small integers and float16 scales can't stand for.
static Status checkQuantizable(std::span<const float> values, const SourceTensor &tensor,
                               Encoding encoding) {
  constexpr float largest = 65504.0f; // of float16
  if (microkernels::blockSize(encoding).columns == 1)
    return {};
  // Without an end before the last value, so that it is done in vectors.
  bool fit = true;
  for (float value : values)
    fit &= std::fabs(value) <= largest;
  if (fit)
    return {};
  const float value = *std::find_if(values.begin(), values.end(),
                                    [](float each) { return !(std::fabs(each) <= largest); });
  return Status::invalidInput(
      "tensor " + quoteName(tensor.name) + ": found the value " + std::to_string(value) +
      ", expected finite numbers up to 65504 to store as " +
      std::string(microkernels::encodingName(encoding)) + "; choose bfloat16 or float32 for it.");
}

/// Padded float32 rows.
static Status packRows(const ParamSpec &param, const SourceParam &source, const ByteSink &sink) {
  const auto cols = static_cast<size_t>(param.cols);
  std::vector<float> values(alignRow(cols * sizeof(float)) / sizeof(float), 0.0f);
  for (int64_t row = 0; row < param.rows; ++row) {
    LLAMA4_RETURN_IF_ERROR(source.readRows(0, row, 1, std::span(values).first(cols)));
    LLAMA4_RETURN_IF_ERROR(sink(std::as_bytes(std::span(values))));
  }
  return {};
}

namespace {

/// Rows that are packed at a time: those stored transposed are read in runs of that many elements.
constexpr int64_t kBlockRows = 8 * kPanelRows;
/// Values that are converted at a time.
constexpr int64_t kPieceValues = 16384;

/// Packs blocks of rows of one parameter; one thread's.
class BlockPacker {
public:
  BlockPacker(const ParamSpec &param, const SourceParam &source)
      : param_(param), source_(source), rowSize_(sourceRowBytes(param.encoding, param.cols)),
        panelSize_(panelBytes(param.encoding, param.cols)) {}

  /// The panels of the rows from `first`, in `out`.
  Status pack(int64_t matrix, int64_t first, std::vector<std::byte> &out) {
    const int64_t count = std::min(kBlockRows, param_.rows - first);
    const auto panels = static_cast<uint64_t>((count + kPanelRows - 1) / kPanelRows);
    LLAMA4_RETURN_IF_ERROR(readBlock(matrix, first, count));
    out.resize(panels * panelSize_);
    for (uint64_t panel = 0; panel < panels; ++panel) {
      const auto row = static_cast<int64_t>(panel) * kPanelRows;
      const int64_t rows = std::min<int64_t>(kPanelRows, count - row);
      packPanel(param_.encoding,
                std::span(rows_).subspan(static_cast<uint64_t>(row) * rowSize_,
                                         static_cast<uint64_t>(rows) * rowSize_),
                rows, param_.cols, std::span(out).subspan(panel * panelSize_, panelSize_));
    }
    return {};
  }

private:
  /// Source rows of the encoding, in rows_.
  Status readBlock(int64_t matrix, int64_t first, int64_t count) {
    rows_.resize(static_cast<uint64_t>(count) * rowSize_);
    const std::span<std::byte> rows(rows_);
    std::optional<DType> stored = source_.storedType(matrix);
    if (stored && stored == storedForm(param_.encoding))
      return source_.readStored(matrix, first, count, rows);
    // In pieces that stay in the cache from one step to the next.
    const int64_t piece =
        source_.isTransposed() ? count : std::max<int64_t>(kPieceValues / param_.cols, 1);
    for (int64_t row = 0; row < count; row += piece) {
      const int64_t some = std::min(piece, count - row);
      LLAMA4_RETURN_IF_ERROR(encodeRows(matrix, first + row, some,
                                        rows.subspan(static_cast<uint64_t>(row) * rowSize_,
                                                     static_cast<uint64_t>(some) * rowSize_)));
    }
    return {};
  }

  Status encodeRows(int64_t matrix, int64_t first, int64_t count, std::span<std::byte> out) {
    values_.resize(static_cast<size_t>(count) * static_cast<size_t>(param_.cols));
    LLAMA4_RETURN_IF_ERROR(source_.readRows(matrix, first, count, values_));
    LLAMA4_RETURN_IF_ERROR(checkQuantizable(values_, source_.tensor(matrix), param_.encoding));
    encodeRow(param_.encoding, values_, out);
    return {};
  }

  const ParamSpec &param_;
  const SourceParam &source_;
  uint64_t rowSize_, panelSize_;
  std::vector<std::byte> rows_;
  std::vector<float> values_;
};

} // namespace

Status packParam(const ParamSpec &param, const SourceParam &source, const ByteSink &sink,
                 unsigned threads) {
  if (param.matrices != source.matrices() || param.rows != source.rows() ||
      param.cols != source.columns() || (!param.panels && param.matrices != 1))
    return Status::internal("tensor " + quoteName(source.tensor(0).name) +
                            ": the parameter's layout has other extents than its source.");
  if (!param.panels)
    return packRows(param, source, sink);
  if (const int64_t block = microkernels::blockSize(param.encoding).columns; param.cols % block)
    return Status::invalidInput("tensor " + quoteName(source.tensor(0).name) + ": found " +
                                std::to_string(param.cols) + " columns, expected a multiple of " +
                                std::to_string(block) + " to store as " +
                                std::string(microkernels::encodingName(param.encoding)) +
                                "; choose an encoding of smaller blocks for it.");
  const auto blocks = static_cast<size_t>((param.rows + kBlockRows - 1) / kBlockRows);
  threads = std::max(threads, 1u);
  std::vector<BlockPacker> packers(threads, BlockPacker(param, source));
  return inOrder(
      blocks * static_cast<size_t>(param.matrices), threads,
      [&](unsigned worker, size_t index, std::vector<std::byte> &bytes) {
        return packers[worker].pack(static_cast<int64_t>(index / blocks),
                                    static_cast<int64_t>(index % blocks) * kBlockRows, bytes);
      },
      sink);
}

} // namespace llama4::pack
