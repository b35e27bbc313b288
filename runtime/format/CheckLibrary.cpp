//===- CheckLibrary.cpp - is a library's kernel one it can compute? -------===//

#include "runtime/format/CheckField.h"

namespace llama4 {

using check::atIndex;
using check::badField;
using check::inRange;

/// A tensor of `rows` rows for each unit, in multiples of `multiple` columns.
static Status checkRows(const std::string &at, const KernelParam &param, Access access,
                        uint64_t rows, uint32_t multiple) {
  if (param.kind != ParamKind::Tensor || param.access != access)
    return badField(at + ".kind", "another parameter",
                    access == Access::Read ? "a tensor that is read" : "a tensor that is written");
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".rows_per_symbol", param.rowsPerSymbol, rows, rows));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".rows_fixed", param.rowsFixed, 0, 0));
  if (param.columns == 0 || param.columns % multiple != 0)
    return badField(at + ".columns", std::to_string(param.columns),
                    "a multiple of " + std::to_string(multiple));
  return {};
}

Result<LibraryLinear> readLibraryLinear(const std::string &at, const Kernel &kernel) {
  if (kernel.library != oneDnnLibrary)
    return badField(at + ".library", quoteName(kernel.library), quoteName(oneDnnLibrary));
  const std::vector<KernelParam> &params = kernel.params;
  const size_t segments = params.size() / 2;
  if (params.size() < 3 || params.size() % 2 == 0)
    return badField(at + ".params (number)", std::to_string(params.size()),
                    "one tensor, then as many weights as results");
  const std::string in = atIndex(at + ".params", 0);
  const KernelParam &input = params[0];
  if (input.type != ElementType::F32 && input.type != ElementType::BF16)
    return badField(in + ".type", elementTypeName(input.type), "f32 or bf16");
  const uint64_t rows = std::max(input.rowsPerSymbol, 1u);
  LLAMA4_RETURN_IF_ERROR(
      checkRows(in, input, Access::Read, rows, libraryColumnMultiple(input.type)));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".experts", kernel.experts, 0, 0));
  const char *encoding = input.type == ElementType::BF16 ? "bfloat16" : "float32";
  LibraryLinear linear{input.type, rows, input.columns, input.rowBytes, {}};
  for (size_t i = 0; i < segments; ++i) {
    const KernelParam &weight = params[1 + i], &result = params[1 + segments + i];
    const std::string w = atIndex(at + ".params", 1 + i);
    const std::string out = atIndex(at + ".params", 1 + segments + i);
    if (weight.kind != ParamKind::Weight || weight.encoding != encoding)
      return badField(w + ".encoding", quoteName(weight.encoding),
                      "a weight in " + quoteName(encoding));
    LLAMA4_RETURN_IF_ERROR(checkRows(out, result, Access::Write, rows, libraryRowMultiple));
    if (result.type != ElementType::F32)
      return badField(out + ".type", elementTypeName(result.type), "f32");
    const uint64_t bytes = uint64_t{result.columns} * input.columns * elementBytes(input.type);
    LLAMA4_RETURN_IF_ERROR(inRange(w + ".row_bytes", weight.rowBytes, bytes, bytes));
    linear.segments.push_back({result.columns, result.rowBytes});
  }
  return linear;
}

} // namespace llama4
