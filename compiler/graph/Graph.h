//===- Graph.h - a declared model: parameters, entries, ops -----*- C++ -*-===//
//
// The result of running a model's declaration: plain lists, without MLIR, that the importer turns
// into a module of the lm dialect. A graph is only ever appended to. Mistakes of a declaration (a
// shape, an unknown weight) are collected as sentences with the C++ line that made them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_GRAPH_GRAPH_H
#define LLAMA4_COMPILER_GRAPH_GRAPH_H

#include "compiler/graph/Tensor.h"
#include "runtime/base/Status.h"

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace llama4::graph {

/// What the checkpoint says about a parameter: #lm.source and the element format.
struct StoredTensor {
  Element element = Element::F32; ///< the format in which the artifact keeps it
  std::string source;             ///< name of the tensor in the checkpoint
  int64_t unpermuteHeads = 0;     ///< heads whose rows are permuted in the checkpoint; 0 = none
  bool transpose = false;         ///< the two innermost extents are stored swapped
  int64_t firstRow = 0;   ///< the stored row (after transpose, of each expert) that is row 0
  bool perExpert = false; ///< rank 3: a tensor per expert, `*` in the names is its number
  std::string scale = {}; ///< tensor of factors, one per row or one in all; empty = none
  int64_t bits = 0;       ///< of packed integers, then `scale` is for groups; 0 = there are none
  std::string zeroPoint = {}; ///< tensor of zero points of packed integers; empty = none
};

/// A weight. `name` is canonical: the tensor's name in the Hugging Face layout.
struct Parameter {
  std::string name;
  TensorType type; ///< element format and static extents
  StoredTensor stored;
  Location declared;
};

/// Looks a canonical name up; `dims` are the extents that the model expects. Errors are sentences
/// without place.
using ParameterResolver =
    std::function<Result<StoredTensor>(const std::string &name, std::span<const int64_t> dims)>;

/// The parameters of an attention temperature: 1 + attnScale * log(1 + floor((position + 1) /
/// floorScale)).
struct TemperatureTable {
  std::string name;
  float attnScale = 0;
  int64_t floorScale = 1;
  Location declared;
};

/// Inverse frequencies of a rotary embedding over a grid of tokens, behind which one more stands;
/// one per pair of half a head.
struct RopeGrid {
  std::string name;
  int64_t rows = 0, columns = 0;
  std::vector<float> invFreq;
  Location declared;
};

/// Inverse frequencies of a rotary embedding, one per pair of a head.
struct RopeTable {
  std::string name;
  std::vector<float> invFreq;
  Location declared;
};

enum class ValueKind : uint8_t { Tensor, Batch, Kv, KvLayer };

/// A typed value; `tensor` counts for tensors, `kv` for state and its layers.
struct Value {
  ValueKind kind = ValueKind::Tensor;
  TensorType tensor;
  KvType kv;
};

/// An op. Which fields count follows from `kind`.
struct Node {
  OpKind kind = OpKind::Add;
  std::vector<ValueId> operands;
  const Parameter *parameter = nullptr; ///< embed, linear, rms_norm, bias: the weight
  const Parameter *second = nullptr;    ///< layer_norm: the bias; gated_bias: the gate
  const Parameter *gate = nullptr, *up = nullptr, *down = nullptr; ///< experts
  double number = 0; ///< rms_norm, qk_norm: eps; attention: scale
  int64_t layer = 0; ///< kv_layer
  int64_t chunk = 0; ///< attention: positions of a chunk beyond which keys are hidden; 0 = causal
  int64_t dim = 0;   ///< qk_norm: columns of a head
  int64_t top = 0;   ///< route: experts per token
  std::vector<std::pair<std::string_view, int64_t>> counts; ///< ops of image towers: attributes
  RotateStyle style = RotateStyle::Half;
  std::vector<ValueId> results;
  Location where;
  std::string path; ///< of the module that made it: "model.layers.0.self_attn.q_proj"

  /// The attribute `name` of `counts`; 0 where there is none.
  int64_t count(std::string_view name) const;
};

/// A named argument of an entry.
struct Input {
  ValueId value = 0;
  std::string name, role;
  std::string rope;        ///< the rope table or grid that fills it, or empty
  std::string temperature; ///< the temperature table that fills it, or empty
};

class Graph;

/// A function of the model with one bounded symbol. Owned by its graph, never moved.
class Entry {
public:
  Entry(Graph &graph, std::string name, std::string symbol, int64_t bound)
      : graph_(graph), name_(std::move(name)), symbol_(std::move(symbol)), bound_(bound) {}
  Entry(const Entry &) = delete;

  /// A tensor argument. `role` tells the engine what to put there; `rope` names the rope table of
  /// cos and sin.
  Tensor input(const std::string &name, TensorType type, const std::string &role,
               const std::string &rope = "");
  /// An argument f32[symbol, 1] that the engine fills from a temperature table.
  Tensor temperature(const std::string &name, const std::string &table);
  Batch batch();
  KvState kv(KvType type, const std::string &name = "kv");
  /// Appends a result. A poisoned one is an error unless an error explains it.
  void output(Tensor tensor, Location where = Location::current());

  Graph &graph() const { return graph_; }
  const std::string &name() const { return name_; }
  const std::string &symbol() const { return symbol_; }
  int64_t bound() const { return bound_; }
  const std::vector<Input> &inputs() const { return inputs_; }
  const std::vector<Node> &nodes() const { return nodes_; }
  const std::vector<ValueId> &outputs() const { return outputs_; }
  const Value &value(ValueId id) const { return values_[id]; }

  /// Appends an op (for Ops.cpp): fills in results and the current path.
  ValueId append(Node node, Value result);
  std::vector<ValueId> append(Node node, std::vector<Value> results);
  void appendWithoutResult(Node node);

private:
  ValueId addInput(const std::string &name, Value value, const std::string &role,
                   const std::string &rope = "", const std::string &temperature = "");
  ValueId addValue(Value value);

  Graph &graph_;
  std::string name_, symbol_;
  int64_t bound_;
  std::vector<Input> inputs_;
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<ValueId> outputs_;
};

/// A number, a list of numbers or a text about the model.
using MetaValue = std::variant<int64_t, std::vector<int64_t>, std::string>;

/// A model. Not copyable: handles and parameters point into it.
class Graph {
public:
  explicit Graph(ParameterResolver resolver) : resolver_(std::move(resolver)) {}
  Graph(const Graph &) = delete;

  Entry &addEntry(std::string name, std::string symbol, int64_t bound);
  void addRopeTable(std::string name, std::vector<float> invFreq,
                    Location where = Location::current());
  void addRopeGrid(std::string name, int64_t rows, int64_t columns, std::vector<float> invFreq,
                   Location where = Location::current());
  void addTemperatureTable(std::string name, float attnScale, int64_t floorScale,
                           Location where = Location::current());
  /// The weight called `name`, declared on first use; null (with an error) where the checkpoint
  /// has no such tensor or where it was declared with other extents.
  const Parameter *parameter(const std::string &name, std::vector<int64_t> dims, Location where);

  /// Ends the declaration: the resolver, which may refer to the checkpoint, is let go.
  void close() { resolver_ = nullptr; }

  /// Collects a mistake: `what` is "linear: input has ...".
  void report(Location where, const std::string &what);
  /// Collects a remark that doesn't stop the compile ("config.json: field ... is not used").
  void remark(std::string text) { remarks_.push_back(std::move(text)); }
  /// Ok, or the first mistake and how many more there are.
  Status status() const;
  const std::vector<std::string> &mistakes() const { return mistakes_; }
  const std::vector<std::string> &remarks() const { return remarks_; }

  /// Facts about the model ("lm.model") and what shapes the artifact ("lm.options").
  std::map<std::string, MetaValue> model, options;

  const std::vector<std::unique_ptr<Entry>> &entries() const { return entries_; }
  /// In order of declaration.
  const std::vector<std::unique_ptr<Parameter>> &parameters() const { return parameters_; }
  const std::vector<RopeTable> &ropeTables() const { return ropeTables_; }
  const std::vector<RopeGrid> &ropeGrids() const { return ropeGrids_; }
  const std::vector<TemperatureTable> &temperatureTables() const { return temperatureTables_; }
  /// Elements of all parameters.
  int64_t parameterCount() const;

  /// The path that new ops get; set by Scope.
  const std::string &path() const { return path_; }

private:
  friend class Scope;

  ParameterResolver resolver_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::map<std::string, const Parameter *> byName_; ///< null where it could not be resolved
  std::vector<RopeTable> ropeTables_;
  std::vector<RopeGrid> ropeGrids_;
  std::vector<TemperatureTable> temperatureTables_;
  std::vector<std::string> mistakes_, remarks_;
  std::string path_;
};

/// Gives ops made during its lifetime the path of a module.
class Scope {
public:
  Scope(Graph &graph, std::string path) : graph_(graph), outer_(std::move(graph.path_)) {
    graph_.path_ = std::move(path);
  }
  ~Scope() { graph_.path_ = std::move(outer_); }
  Scope(const Scope &) = delete;

private:
  Graph &graph_;
  std::string outer_;
};

/// The file of a location relative to the project's root: "models/llama3/Layers.cpp".
std::string sourceFile(const Location &where);

/// The text of --dump-phase=graph: metadata, parameters, and entries op by op with their places.
std::string dumpGraph(const Graph &graph);

} // namespace llama4::graph

#endif // LLAMA4_COMPILER_GRAPH_GRAPH_H
