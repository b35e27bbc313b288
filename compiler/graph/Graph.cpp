//===- Graph.cpp - a declared model: parameters, entries, ops -------------===//

#include "compiler/graph/Graph.h"

#include <string_view>

namespace llama4::graph {

std::string sourceFile(const Location &where) {
  std::string_view file = where.file_name();
  while (file.starts_with("./"))
    file.remove_prefix(2);
  return std::string(file);
}

const TensorType &Tensor::type() const {
  static const TensorType none;
  return valid() ? entry()->value(id()).tensor : none;
}

int64_t Node::count(std::string_view name) const {
  for (const auto &[known, number] : counts)
    if (known == name)
      return number;
  return 0;
}

//===----------------------------------------------------------------------===//
// Entry
//===----------------------------------------------------------------------===//

ValueId Entry::addValue(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Entry::addInput(const std::string &name, Value value, const std::string &role,
                        const std::string &rope, const std::string &temperature) {
  ValueId id = addValue(std::move(value));
  inputs_.push_back({id, name, role, rope, temperature});
  return id;
}

Tensor Entry::input(const std::string &name, TensorType type, const std::string &role,
                    const std::string &rope) {
  return {this, addInput(name, {ValueKind::Tensor, std::move(type), {}}, role, rope)};
}

Tensor Entry::temperature(const std::string &name, const std::string &table) {
  Value value{ValueKind::Tensor, {Element::F32, {kSymbol, 1}}, {}};
  return {this, addInput(name, std::move(value), "temperature", "", table)};
}

Batch Entry::batch() { return {this, addInput("batch", {ValueKind::Batch, {}, {}}, "batch")}; }

KvState Entry::kv(KvType type, const std::string &name) {
  return {this, addInput(name, {ValueKind::Kv, {}, std::move(type)}, "kv")};
}

void Entry::output(Tensor tensor, Location where) {
  if (tensor.entry() == this)
    outputs_.push_back(tensor.id());
  else if (tensor.valid())
    graph_.report(where, "output: the value belongs to entry " + tensor.entry()->name() +
                             ", expected one of entry " + name_);
  else if (graph_.status().ok())
    graph_.report(where, "output: entry " + name_ + " ends in no value");
}

ValueId Entry::append(Node node, Value result) {
  return append(std::move(node), std::vector<Value>{std::move(result)}).front();
}

std::vector<ValueId> Entry::append(Node node, std::vector<Value> results) {
  std::vector<ValueId> ids;
  for (Value &result : results)
    ids.push_back(addValue(std::move(result)));
  node.results = ids;
  appendWithoutResult(std::move(node));
  return ids;
}

void Entry::appendWithoutResult(Node node) {
  node.path = graph_.path();
  nodes_.push_back(std::move(node));
}

//===----------------------------------------------------------------------===//
// Graph
//===----------------------------------------------------------------------===//

Entry &Graph::addEntry(std::string name, std::string symbol, int64_t bound) {
  entries_.push_back(std::make_unique<Entry>(*this, std::move(name), std::move(symbol), bound));
  return *entries_.back();
}

void Graph::addRopeTable(std::string name, std::vector<float> invFreq, Location where) {
  ropeTables_.push_back({std::move(name), std::move(invFreq), where});
}

void Graph::addRopeGrid(std::string name, int64_t rows, int64_t columns, std::vector<float> invFreq,
                        Location where) {
  ropeGrids_.push_back({std::move(name), rows, columns, std::move(invFreq), where});
}

void Graph::addTemperatureTable(std::string name, float attnScale, int64_t floorScale,
                                Location where) {
  temperatureTables_.push_back({std::move(name), attnScale, floorScale, where});
}

const Parameter *Graph::parameter(const std::string &name, std::vector<int64_t> dims,
                                  Location where) {
  auto [it, isNew] = byName_.try_emplace(name, nullptr);
  if (!isNew) {
    if (it->second && it->second->type.dims != dims) {
      report(where, "parameter " + name + ": declared as " +
                        lm::shape::typeText({it->second->type.element, std::move(dims)}) +
                        ", before as " + typeText(it->second->type));
      return nullptr;
    }
    return it->second;
  }
  if (!resolver_) {
    report(where, "parameter " + name + ": the declaration has ended");
    return nullptr;
  }
  Result<StoredTensor> stored = resolver_(name, dims);
  if (!stored.ok()) {
    report(where, stored.status().message());
    return nullptr;
  }
  TensorType type{stored->element, std::move(dims)};
  parameters_.push_back(
      std::make_unique<Parameter>(Parameter{name, std::move(type), stored.take(), where}));
  it->second = parameters_.back().get();
  return it->second;
}

void Graph::report(Location where, const std::string &what) {
  mistakes_.push_back(sourceFile(where) + ":" + std::to_string(where.line()) + ": " + what);
}

Status Graph::status() const {
  if (mistakes_.empty())
    return {};
  const size_t more = mistakes_.size() - 1;
  return Status::invalidInput(mistakes_.front() +
                              (more ? " (and " + std::to_string(more) + " more like it)" : ""));
}

int64_t Graph::parameterCount() const {
  int64_t count = 0;
  for (const auto &parameter : parameters_) {
    int64_t elements = 1;
    for (int64_t extent : parameter->type.dims)
      elements *= extent;
    count += elements;
  }
  return count;
}

} // namespace llama4::graph
