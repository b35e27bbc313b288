//===- PackRounding.cpp - block formats as the packer makes them ----------===//

#include "compiler/reference/PackRounding.h"

#include "compiler/checkpoint/Dequantize.h"
#include "compiler/pack/Quantize.h"

namespace llama4::reference {

static void roundRow(Element element, std::span<float> row) {
  const DType dtype = element == Element::Q8_0 ? DType::Q8_0 : DType::Q4_1;
  std::vector<std::byte> bytes(rowBytes(dtype, row.size()).value_or(0));
  if (bytes.empty())
    return;
  if (element == Element::Q8_0)
    pack::quantizeQ8_0(row, bytes);
  else
    pack::quantizeQ4_1(row, bytes);
  // Can't fail: the type is a block type and the sizes are its own.
  (void)dequantize(dtype, bytes, row).ok();
}

BlockRounding packRounding() { return roundRow; }

} // namespace llama4::reference
