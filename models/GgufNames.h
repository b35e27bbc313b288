//===- GgufNames.h - what GGUF calls the tensors of a model -----*- C++ -*-===//
#ifndef LLAMA4_MODELS_GGUFNAMES_H
#define LLAMA4_MODELS_GGUFNAMES_H

#include <span>
#include <string>
#include <string_view>

namespace llama4::models {

/// A module inside a layer, behind "model.layers.N." and "blk.N.".
struct GgufName {
  std::string_view canonical, gguf;
};

/// The GGUF name of the canonical name of a weight or bias, given the modules of a layer; empty
/// where GGUF has none. "model.layers.3.self_attn.q_proj.weight" is "blk.3.attn_q.weight".
std::string ggufName(std::string_view canonical, std::span<const GgufName> layerNames);

} // namespace llama4::models

#endif // LLAMA4_MODELS_GGUFNAMES_H
