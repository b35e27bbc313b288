//===- nn.cpp - modules: named pieces of a model --------------------------===//

#include "compiler/graph/nn.h"

#include "compiler/graph/VisionOps.h"

namespace llama4::graph {

Embedding::Embedding(const Module &parent, const std::string &name, int64_t vocabulary,
                     int64_t width, Location where)
    : Module(parent, name), weight_(parameter("weight", {vocabulary, width}, where)) {}

Tensor Embedding::operator()(Tensor ids, Location where) const {
  Scope scope(graph(), path());
  return embed(ids, weight_, where);
}

Linear::Linear(const Module &parent, const std::string &name, int64_t inputs, int64_t outputs,
               bool withBias, Location where)
    : Module(parent, name), weight_(parameter("weight", {outputs, inputs}, where)),
      withBias_(withBias) {
  if (withBias)
    bias_ = parameter("bias", {outputs}, where);
}

Linear::Linear(const Module &parent, const std::string &name, const Parameter *weight)
    : Module(parent, name), weight_(weight) {}

Tensor Linear::operator()(Tensor x, Location where) const {
  Scope scope(graph(), path());
  Tensor product = linear(x, weight_, where);
  return withBias_ ? bias(product, bias_, where) : product;
}

LayerNorm::LayerNorm(const Module &parent, const std::string &name, int64_t width, double eps,
                     Location where)
    : Module(parent, name), weight_(parameter("weight", {width}, where)),
      bias_(parameter("bias", {width}, where)), eps_(eps) {}

Tensor LayerNorm::operator()(Tensor x, Location where) const {
  Scope scope(graph(), path());
  return layerNorm(x, weight_, bias_, eps_, where);
}

RmsNorm::RmsNorm(const Module &parent, const std::string &name, int64_t width, double eps,
                 Location where)
    : Module(parent, name), weight_(parameter("weight", {width}, where)), eps_(eps) {}

Tensor RmsNorm::operator()(Tensor x, Location where) const {
  Scope scope(graph(), path());
  return rmsNorm(x, weight_, eps_, where);
}

} // namespace llama4::graph
