//===- StoredWeights.cpp - a model's tensors in its checkpoint ------------===//

#include "models/StoredWeights.h"

#include "compiler/checkpoint/PackedTensor.h"
#include "models/NearestName.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <cstring>

namespace llama4::models {

using graph::Element;
using graph::StoredTensor;

StoredTensor StoredWeights::declare(const std::string &source) const {
  StoredTensor stored;
  stored.element =
      facts_.storedType.value_or(DType::BF16) == DType::BF16 ? Element::BF16 : Element::F32;
  stored.source = source;
  return stored;
}

/// The format that keeps a stored type bit by bit; blocks stand in rows of matrices only.
static std::optional<Element> keptFormat(const SourceTensor &tensor) {
  if (isBlockType(tensor.dtype) && tensor.shape.size() < 2)
    return std::nullopt;
  const std::optional<Element> kept = lm::shape::parseElement(dtypeName(tensor.dtype));
  return kept && *kept != Element::I32 ? kept : std::nullopt;
}

/// The block format of the next more bits for a block type that no kernel reads.
static Element widerFormat(const SourceTensor &tensor) {
  if (tensor.dtype == DType::Q2_K || tensor.dtype == DType::Q3_K)
    return Element::Q4_K;
  const bool fits = tensor.shape.back() % lm::shape::blockColumns(Element::Q6_K) == 0;
  return fits ? Element::Q6_K : Element::Q8_0; // q5_1, q5_k
}

Result<Element> StoredWeights::elementFor(const SourceTensor &tensor) const {
  if (std::optional<Element> kept = keptFormat(tensor))
    return *kept;
  if (tensor.dtype == DType::F8E4M3)
    return wideElement();
  if (tensor.dtype == DType::F16)
    return Element::F32; // f16 fits exactly in f32 only
  if (isBlockType(tensor.dtype))
    return tensor.shape.size() >= 2 ? widerFormat(tensor) : Element::F32;
  return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                              ": found elements of type " + std::string(dtypeName(tensor.dtype)) +
                              ", expected f32, f16, bf16, f8_e4m3 or a GGUF block type; convert "
                              "the checkpoint to one of them.");
}

Status StoredWeights::missing(const std::string &source) {
  std::string error = checkpoint_.path() + ": found no tensor " + quoteName(source) +
                      ", which the configuration asks for; ";
  // Looking for the nearest name is slow, and a wrong configuration misses thousands.
  if (!reportedMissing_) {
    NearestName nearest(source);
    for (const SourceTensor &tensor : checkpoint_.tensors())
      nearest.offer(tensor.name);
    error += "the nearest name is " + quoteName(nearest.name()) + "; ";
  }
  reportedMissing_ = true;
  return Status::invalidInput(error + "complete the checkpoint or correct its configuration.");
}

/// "model.x" of "model.x.weight".
static std::string_view moduleOf(std::string_view name) { return name.substr(0, name.rfind('.')); }

/// Checks and counts the scale of an FP8 tensor.
Status StoredWeights::takeScale(const SourceTensor &tensor) {
  const std::string scale = CompressedTensors::scaleName(tensor.name);
  const std::string found = checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                            ": found elements of type f8_e4m3";
  if (!facts_.quantization || !facts_.quantization->hasFloat8() || scale.empty() ||
      tensor.shape.size() != 2)
    return Status::invalidInput(found + ", which are read only as the weights of linear modules "
                                        "that quantization_config describes; correct one of them.");
  if (facts_.quantization->isIgnored(moduleOf(tensor.name)))
    return Status::invalidInput(found + ", but quantization_config lists its module in \"ignore\"; "
                                        "correct the one that is wrong.");
  const SourceTensor *factors = checkpoint_.find(scale);
  if (!factors)
    return missing(scale);
  used_.insert(scale);
  const std::vector<int64_t> perRow = {tensor.shape[0], 1};
  if (factors->shape != perRow && factors->elements() != 1)
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(scale) + ": found " +
                                shapeText(factors->shape) + ", expected " + shapeText(perRow) +
                                " or one number; convert the checkpoint again.");
  return {};
}

//===----------------------------------------------------------------------===//
// Packed integers
//===----------------------------------------------------------------------===//

static constexpr const char *kPackedSuffix = "_packed", *kShapeSuffix = "_shape",
                            *kZeroPointSuffix = "_zero_point", *kOrderSuffix = "_g_idx";

std::string StoredWeights::packedName(std::string_view source) const {
  if (!source.ends_with(".weight"))
    return {};
  std::string name = std::string(source) + kPackedSuffix;
  return checkpoint_.find(name) ? name : std::string();
}

Status StoredWeights::differs(const std::string &name, const std::string &found,
                              const std::string &expected, std::string_view remedy) const {
  return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(name) + ": found " +
                              found + ", expected " + expected + "; " + std::string(remedy) + ".");
}

/// A tensor that belongs to another one; counted.
Result<const SourceTensor *> StoredWeights::takePart(const std::string &name) {
  const SourceTensor *tensor = checkpoint_.find(name);
  if (!tensor)
    return missing(name);
  used_.insert(name);
  return tensor;
}

/// The numbers of an integer tensor of one dimension; nothing for others.
static std::optional<std::vector<int64_t>> integersOf(const SourceTensor &tensor) {
  const bool isWide = tensor.dtype == DType::I64;
  if ((!isWide && tensor.dtype != DType::I32) || tensor.shape.size() != 1 ||
      tensorBytes(tensor.dtype, tensor.shape) != tensor.bytes.size())
    return std::nullopt;
  std::vector<int64_t> numbers(tensor.elements());
  for (size_t i = 0; i < numbers.size(); ++i) {
    int32_t narrow = 0;
    if (isWide)
      std::memcpy(&numbers[i], tensor.bytes.data() + i * sizeof(int64_t), sizeof(int64_t));
    else
      std::memcpy(&narrow, tensor.bytes.data() + i * sizeof(narrow), sizeof(narrow));
    numbers[i] = isWide ? numbers[i] : narrow;
  }
  return numbers;
}

/// weight_shape: the extents before packing.
Status StoredWeights::checkShape(const std::string &name, std::span<const int64_t> dims) {
  LLAMA4_ASSIGN_OR_RETURN(const SourceTensor *tensor, takePart(name));
  const auto numbers = tensor->elements() <= 4 ? integersOf(*tensor) : std::nullopt;
  if (numbers && std::equal(numbers->begin(), numbers->end(), dims.begin(), dims.end()))
    return {};
  return differs(name,
                 numbers ? "the extents " + shapeText(*numbers)
                         : std::string(dtypeName(tensor->dtype)) + " " + shapeText(tensor->shape),
                 (numbers ? "" : "integers ") + shapeText(dims),
                 "correct the configuration or convert the checkpoint again");
}

/// weight_g_idx, where there is one: the group of each column.
Status StoredWeights::checkOrder(const std::string &name, int64_t columns, int64_t groupColumns) {
  const SourceTensor *tensor = checkpoint_.find(name);
  if (!tensor)
    return {};
  used_.insert(name);
  const std::optional<std::vector<int64_t>> groups = integersOf(*tensor);
  const bool fits = groups && static_cast<int64_t>(groups->size()) == columns;
  for (size_t i = 0; fits && i < groups->size(); ++i)
    if (const int64_t wanted = static_cast<int64_t>(i) / groupColumns; (*groups)[i] != wanted)
      return differs(name,
                     "column " + std::to_string(i) + " in group " + std::to_string((*groups)[i]),
                     "group " + std::to_string(wanted) + ", columns in their own order",
                     "quantize with actorder \"static\", or without");
  if (fits)
    return {};
  return differs(name, std::string(dtypeName(tensor->dtype)) + " " + shapeText(tensor->shape),
                 "an integer for each of " + std::to_string(columns) + " columns",
                 "convert the checkpoint again");
}

/// "int4 in groups of 64 with zero points".
static std::string packedText(const PackedTensor &tensor, const PackedFormat &format) {
  return "int" + std::to_string(format.bits) +
         (format.groupColumns ? " in groups of " + std::to_string(tensor.groupColumns())
                              : std::string(" with a scale per row")) +
         (format.hasZeroPoints ? " with zero points" : "") +
         (tensor.hasWideScales() ? " whose scales are no float16" : "");
}

Result<StoredTensor> StoredWeights::takePacked(const std::string &source,
                                               std::span<const int64_t> dims) {
  StoredTensor stored;
  stored.source = packedName(source);
  const bool isFirst = !used_.count(stored.source);
  const std::string_view module = moduleOf(source);
  const std::optional<PackedFormat> format =
      facts_.quantization ? facts_.quantization->packedFormat(module) : std::nullopt;
  if (!format || dims.size() != 2)
    return differs(stored.source, "packed integers",
                   "the weights of linear modules that quantization_config describes",
                   "correct one of them");
  if (facts_.quantization->isIgnored(module))
    return differs(stored.source, "packed integers",
                   "plain numbers, since quantization_config lists the module in \"ignore\"",
                   "correct the one that is wrong");
  PackedTensor::Parts parts;
  parts.bits = stored.bits = format->bits;
  stored.scale = CompressedTensors::scaleName(source);
  LLAMA4_RETURN_IF_ERROR(checkShape(source + kShapeSuffix, dims));
  LLAMA4_ASSIGN_OR_RETURN(parts.packed, takePart(stored.source));
  LLAMA4_ASSIGN_OR_RETURN(parts.scale, takePart(stored.scale));
  if (format->hasZeroPoints) {
    stored.zeroPoint = source + kZeroPointSuffix;
    LLAMA4_ASSIGN_OR_RETURN(parts.zeroPoint, takePart(stored.zeroPoint));
  } else if (has(source + kZeroPointSuffix)) {
    return differs(source + kZeroPointSuffix, "zero points",
                   "none, since quantization_config says \"symmetric\"",
                   "correct the one that is wrong");
  }
  Result<PackedTensor> packed = PackedTensor::make(parts, dims[0], dims[1]);
  if (!packed.ok())
    return packed.status().in(checkpoint_.path());
  const int64_t groupColumns = format->groupColumns ? format->groupColumns : dims[1];
  if (packed->groupColumns() != groupColumns)
    return differs(stored.scale,
                   "scales for " + std::to_string(packed->groupColumns()) + " columns",
                   std::to_string(groupColumns) + " as quantization_config says",
                   "correct the one that is wrong");
  LLAMA4_RETURN_IF_ERROR(checkOrder(source + kOrderSuffix, dims[1], groupColumns));
  const std::optional<DType> block = packed->blockType();
  stored.element = block ? *lm::shape::parseElement(dtypeName(*block)) : wideElement();
  // The same number of bits is no other type.
  if (isFirst && (!block || (*block == DType::Q8_0) != (format->bits == 8)))
    ++converted_[{packedText(*packed, *format), stored.element}];
  return stored;
}

Result<StoredTensor> StoredWeights::take(const std::string &source, std::span<const int64_t> dims) {
  if (checkpoint_.tensors().empty())
    return declare(source);
  const SourceTensor *tensor = checkpoint_.find(source);
  if (!tensor && !packedName(source).empty())
    return takePacked(source, dims);
  if (!tensor)
    return missing(source);
  const bool isFirst = used_.insert(source).second; // fused ones are taken more than once
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), dims.begin(), dims.end()))
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(source) + ": found " +
                                shapeText(tensor->shape) + ", expected " + shapeText(dims) +
                                " from the configuration; correct the one that is wrong.");
  StoredTensor stored;
  stored.source = source;
  LLAMA4_ASSIGN_OR_RETURN(stored.element, elementFor(*tensor));
  if (tensor->dtype == DType::F8E4M3) {
    LLAMA4_RETURN_IF_ERROR(takeScale(*tensor));
    stored.scale = CompressedTensors::scaleName(source);
  }
  if (isFirst && !keptFormat(*tensor))
    ++converted_[{std::string(dtypeName(tensor->dtype)), stored.element}];
  return stored;
}

/// What must be the same for the matrices of one parameter.
static std::string formOf(const StoredTensor &stored, const SourceTensor &tensor) {
  if (stored.bits == 0)
    return std::string(dtypeName(tensor.dtype));
  return "int" + std::to_string(stored.bits) +
         (stored.zeroPoint.empty() ? "" : " with zero points");
}

Result<StoredTensor> StoredWeights::takeEach(const std::string &pattern,
                                             std::span<const int64_t> dims) {
  const size_t star = pattern.find('*');
  StoredTensor all;
  std::string first;
  std::map<Element, int64_t> elements; // packed integers may differ in what holds them
  for (int64_t expert = 0; expert < dims[0]; ++expert) {
    const std::string name =
        pattern.substr(0, star) + std::to_string(expert) + pattern.substr(star + 1);
    LLAMA4_ASSIGN_OR_RETURN(StoredTensor stored, take(name, dims.subspan(1)));
    const std::string form = formOf(stored, *checkpoint_.find(stored.source));
    if (expert == 0) {
      first = form;
      all = stored;
    }
    if (form != first)
      return differs(name, "elements of type " + form, first + " as expert 0 has",
                     "convert the checkpoint again");
    ++elements[stored.element];
  }
  if (elements.size() > 1) {
    all.element = wideElement();
    for (const auto &[element, count] : elements)
      if (element != all.element)
        converted_[{first + " beside experts of other groups or scales", all.element}] += count;
  }
  all.source = pattern;
  all.perExpert = true;
  if (!all.scale.empty())
    all.scale = CompressedTensors::scaleName(pattern);
  if (all.bits != 0)
    all.source += kPackedSuffix;
  if (!all.zeroPoint.empty())
    all.zeroPoint = pattern + kZeroPointSuffix;
  return all;
}

/// Rotary frequencies, which are computed from the configuration or read with it.
static bool isRotary(std::string_view source) {
  return source.ends_with("rotary_emb.inv_freq") || source == "rope_freqs.weight";
}

Status StoredWeights::checkAllUsed(const Predicate &isSuperfluous) const {
  const SourceTensor *unknown = nullptr;
  size_t count = 0;
  for (const SourceTensor &tensor : checkpoint_.tensors())
    if (!used_.count(tensor.name) && !isRotary(tensor.name) && !isSuperfluous(tensor.name) &&
        count++ == 0)
      unknown = &tensor;
  if (!unknown)
    return {};
  NearestName nearest(unknown->name);
  for (const std::string &name : used_)
    nearest.offer(name);
  return Status::invalidInput(
      checkpoint_.path() + ": found the tensor " + quoteName(unknown->name) +
      (count > 1 ? " and " + std::to_string(count - 1) + " more" : "") +
      ", which this model doesn't use; the nearest name it uses is " + quoteName(nearest.name()) +
      "; the configuration may be of another model, or a layer count too small.");
}

int64_t StoredWeights::count(const Predicate &predicate) const {
  return std::count_if(checkpoint_.tensors().begin(), checkpoint_.tensors().end(),
                       [&](const SourceTensor &tensor) { return predicate(tensor.name); });
}

std::vector<std::string> StoredWeights::remarks() const {
  std::vector<std::string> remarks;
  for (const auto &[key, count] : converted_)
    remarks.push_back(std::to_string(count) + " tensors are stored as " + key.first +
                      ", which the artifact doesn't have; they become " +
                      std::string(elementName(key.second)));
  if (facts_.quantization && facts_.quantization->quantizesActivations())
    remarks.push_back("quantization_config asks for activations of 8 bits; they stay in the "
                      "compute type");
  return remarks;
}

} // namespace llama4::models
