//===- PackRounding.cpp - block formats as the packer makes them ----------===//

#include "compiler/reference/PackRounding.h"

#include "compiler/checkpoint/Dequantize.h"
#include "compiler/pack/Layout.h"
#include "compiler/pack/Quantize.h"

namespace llama4::reference {

static void roundRow(Element element, std::span<float> row) {
  const std::optional<microkernels::Encoding> encoding =
      microkernels::parseEncoding(elementName(element));
  const std::optional<DType> dtype = dtypeFromName(elementName(element));
  if (!encoding || !dtype || row.size() % dtypeInfo(*dtype).blockElements != 0)
    return;
  std::vector<std::byte> bytes(pack::sourceRowBytes(*encoding, static_cast<int64_t>(row.size())));
  pack::encodeRow(*encoding, row, bytes);
  // Can't fail: the type is a block type and the sizes are its own.
  (void)dequantize(*dtype, bytes, row).ok();
}

BlockRounding packRounding() { return roundRow; }

} // namespace llama4::reference
