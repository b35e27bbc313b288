//===- Inspect.cpp - a checkpoint as text ---------------------------------===//

#include "compiler/checkpoint/Inspect.h"

#include "runtime/format/Quoted.h"

#include <algorithm>
#include <array>

namespace llama4 {

/// A name without the quotation marks of `quoteName`.
static std::string plain(std::string_view text) {
  std::string shown = quoteName(text);
  return shown.substr(1, shown.size() - 2);
}

static std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

static std::string files(const Checkpoint &checkpoint) {
  std::string text = "format: ";
  text += checkpoint.isGguf() ? "GGUF v" + std::to_string(checkpoint.gguf().version())
                              : "Hugging Face (safetensors)";
  text += "\nfiles:\n";
  for (const CheckpointFile &file : checkpoint.files())
    text += "  " + plain(file.name) + "  " + std::to_string(file.size) + " bytes\n";
  return text;
}

/// GGUF metadata besides the vocabulary, which is shown as counts.
static std::string metadata(const Gguf &gguf) {
  std::string text = "metadata:\n";
  for (const auto &[key, value] : gguf.metadata()) {
    text += "  " + plain(key) + " = ";
    if (value.isArray())
      text += "[" + std::to_string(value.count()) + " x " +
              std::string(ggufTypeName(value.elementType())) + "]";
    else if (auto string = value.string())
      text += quoteName(*string, 60);
    else if (auto boolean = value.boolean())
      text += *boolean ? "true" : "false";
    else if (auto integer = value.integer())
      text += std::to_string(*integer);
    else
      text += std::to_string(value.number().value_or(0));
    text += " (" + std::string(ggufTypeName(value.type())) + ")\n";
  }
  return text;
}

static std::string tensorTable(const std::vector<SourceTensor> &tensors) {
  size_t width = 0;
  for (const SourceTensor &tensor : tensors)
    width = std::max(width, plain(tensor.name).size());
  std::string text = "tensors:\n";
  for (const SourceTensor &tensor : tensors)
    text += "  " + padded(plain(tensor.name), width) + "  " +
            padded(std::string(dtypeName(tensor.dtype)), 7) + "  " +
            padded(shapeText(tensor.shape), 20) + "  " + std::to_string(tensor.bytes.size()) +
            " bytes\n";
  return text;
}

static std::string totals(const std::vector<SourceTensor> &tensors) {
  struct Sum {
    uint64_t tensors = 0, elements = 0, bytes = 0;
    std::string text() const {
      return std::to_string(tensors) + " tensors, " + std::to_string(elements) + " elements, " +
             std::to_string(bytes) + " bytes\n";
    }
  };
  std::array<Sum, kDTypes.size()> byType;
  Sum all;
  for (const SourceTensor &tensor : tensors)
    for (Sum *sum : {&byType[static_cast<size_t>(tensor.dtype)], &all}) {
      ++sum->tensors;
      sum->elements += tensor.elements();
      sum->bytes += tensor.bytes.size();
    }
  std::string text = "totals:\n";
  for (const DTypeInfo &row : kDTypes)
    if (const Sum &sum = byType[static_cast<size_t>(row.dtype)]; sum.tensors)
      text += "  " + padded(std::string(row.name), 7) + "  " + sum.text();
  return text + "  " + padded("all", 7) + "  " + all.text();
}

std::string inspectCheckpoint(const Checkpoint &checkpoint) {
  std::string text = files(checkpoint);
  text += "configuration:\n" + checkpoint.config().text() + "\n";
  if (checkpoint.isGguf())
    text += metadata(checkpoint.gguf());
  return text + tensorTable(checkpoint.tensors()) + totals(checkpoint.tensors());
}

} // namespace llama4
