//===- nn.h - modules: named pieces of a model ------------------*- C++ -*-===//
//
// A module owns weights under a hierarchical name and applies them. The leaves (Embedding, Linear,
// RmsNorm) are called with a tensor; a piece made of others derives from Composite and writes
// `forward`, which its call operator runs under the module's own path.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_GRAPH_NN_H
#define LLAMA4_COMPILER_GRAPH_NN_H

#include "compiler/graph/Ops.h"

namespace llama4::graph {

/// A place in the hierarchy of names. Refers to its graph, which must outlive it.
class Module {
public:
  /// The root; with an empty path its children are called by their own names only.
  explicit Module(Graph &graph, std::string path = "") : graph_(&graph), path_(std::move(path)) {}
  Module(const Module &parent, const std::string &name)
      : graph_(parent.graph_), path_(parent.nameOf(name)) {}

  Graph &graph() const { return *graph_; }
  const std::string &path() const { return path_; }
  /// "model.layers.0" and "mlp" -> "model.layers.0.mlp".
  std::string nameOf(const std::string &name) const {
    return path_.empty() ? name : path_ + "." + name;
  }

protected:
  const Parameter *parameter(const std::string &name, std::vector<int64_t> dims,
                             Location where) const {
    return graph_->parameter(nameOf(name), std::move(dims), where);
  }

private:
  Graph *graph_;
  std::string path_;
};

/// Calls Derived::forward so that ops made there carry this module's path.
template <typename Derived> class Composite : public Module {
public:
  using Module::Module;

  template <typename... Args> auto operator()(const Args &...args) const {
    Scope scope(graph(), path());
    return static_cast<const Derived &>(*this).forward(args...);
  }
};

/// weight [vocabulary, width]: ids -> rows.
class Embedding : public Module {
public:
  Embedding(const Module &parent, const std::string &name, int64_t vocabulary, int64_t width,
            Location where = Location::current());
  Tensor operator()(Tensor ids, Location where = Location::current()) const;
  const Parameter *weight() const { return weight_; }

private:
  const Parameter *weight_;
};

/// weight [outputs, inputs] and, if asked for, bias [outputs].
class Linear : public Module {
public:
  Linear(const Module &parent, const std::string &name, int64_t inputs, int64_t outputs,
         bool withBias, Location where = Location::current());
  /// A linear without bias on a weight of another module (tied embeddings).
  Linear(const Module &parent, const std::string &name, const Parameter *weight);
  Tensor operator()(Tensor x, Location where = Location::current()) const;

private:
  const Parameter *weight_;
  const Parameter *bias_ = nullptr;
  bool withBias_ = false;
};

/// weight and bias [width].
class LayerNorm : public Module {
public:
  LayerNorm(const Module &parent, const std::string &name, int64_t width, double eps,
            Location where = Location::current());
  Tensor operator()(Tensor x, Location where = Location::current()) const;

private:
  const Parameter *weight_, *bias_;
  double eps_;
};

/// weight [width].
class RmsNorm : public Module {
public:
  RmsNorm(const Module &parent, const std::string &name, int64_t width, double eps,
          Location where = Location::current());
  Tensor operator()(Tensor x, Location where = Location::current()) const;

private:
  const Parameter *weight_;
  double eps_;
};

} // namespace llama4::graph

#endif // LLAMA4_COMPILER_GRAPH_NN_H
