//===- Dump.cpp - a graph as text -----------------------------------------===//
//
// Deterministic, one line per parameter and op. For people and for tests; nothing parses it.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/Graph.h"

#include <cstdio>

namespace llama4::graph {

namespace {

std::string numberText(double number) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.9g", number);
  return text;
}

std::string metaText(const MetaValue &value) {
  if (const auto *number = std::get_if<int64_t>(&value))
    return std::to_string(*number);
  if (const auto *text = std::get_if<std::string>(&value))
    return "\"" + *text + "\"";
  std::string list = "[";
  for (int64_t number : std::get<std::vector<int64_t>>(value))
    list += (list.size() > 1 ? ", " : "") + std::to_string(number);
  return list + "]";
}

std::string placeText(const Location &where) {
  return sourceFile(where) + ":" + std::to_string(where.line());
}

/// " [1, 0.1]".
std::string frequenciesText(const std::vector<float> &invFreq) {
  std::string text = " [";
  for (size_t i = 0; i < invFreq.size(); ++i)
    text += (i ? ", " : "") + numberText(static_cast<double>(invFreq[i]));
  return text + "]";
}

/// " from "NAME" ..." and what is done to the stored values.
std::string sourceText(const StoredTensor &stored) {
  std::string text = " from \"" + stored.source + "\"";
  if (stored.unpermuteHeads)
    text += " unpermute " + std::to_string(stored.unpermuteHeads) + " heads";
  if (stored.transpose)
    text += " transposed";
  if (stored.firstRow)
    text += " from row " + std::to_string(stored.firstRow);
  if (!stored.scale.empty())
    text += " times \"" + stored.scale + "\"";
  if (stored.bits)
    text += " packed in " + std::to_string(stored.bits) + " bits";
  if (!stored.zeroPoint.empty())
    text += " from zero \"" + stored.zeroPoint + "\"";
  return text;
}

/// Writes one entry; values are called by their input's name or numbered in order of definition.
class EntryDump {
public:
  EntryDump(const Entry &entry, std::string &out) : entry_(entry), out_(out) {}

  void run() {
    out_ += "\nentry " + entry_.name() + " (" + entry_.symbol() +
            " <= " + std::to_string(entry_.bound()) + ")\n";
    for (const Input &input : entry_.inputs()) {
      names_[input.value] = "%" + input.name;
      out_ += "  input %" + input.name + ": " + valueText(entry_.value(input.value));
      const std::string &table = input.rope.empty() ? input.temperature : input.rope;
      out_ += (table.empty() ? "" : " from " + table) + "\n";
    }
    for (const Node &node : entry_.nodes())
      dump(node);
    for (ValueId id : entry_.outputs())
      out_ += "  output " + names_[id] + ": " + valueText(entry_.value(id)) + "\n";
  }

private:
  std::string valueText(const Value &value) const {
    switch (value.kind) {
    case ValueKind::Tensor:
      return typeText(value.tensor, entry_.symbol());
    case ValueKind::Batch:
      return "batch";
    case ValueKind::KvLayer:
      return "kv layer";
    case ValueKind::Kv:
      return "kv \"" + value.kv.name + "\" layers " + std::to_string(value.kv.layers) + " heads " +
             std::to_string(value.kv.heads) + " dim " + std::to_string(value.kv.dim) + " " +
             std::string(elementName(value.kv.element)) +
             (value.kv.chunk ? " chunk " + std::to_string(value.kv.chunk) : "");
    }
    return "unknown";
  }

  void dump(const Node &node) {
    out_ += "  ";
    for (ValueId id : node.results) {
      names_[id] = "%" + std::to_string(next_++);
      out_ += names_[id] + (id == node.results.back() ? " = " : ", ");
    }
    out_ += opName(node.kind);
    for (size_t i = 0; i < node.operands.size(); ++i)
      out_ += (i ? ", " : " ") + names_[node.operands[i]];
    if (node.parameter)
      out_ += ", " + node.parameter->name;
    for (const Parameter *weight : {node.gate, node.up, node.down})
      out_ += weight ? ", " + weight->name : "";
    if (node.kind == OpKind::QkNorm)
      out_ += " dim " + std::to_string(node.dim);
    if (node.second)
      out_ += ", " + node.second->name;
    if (node.kind == OpKind::RmsNorm || node.kind == OpKind::QkNorm ||
        node.kind == OpKind::LayerNorm || node.kind == OpKind::HeadNorm)
      out_ += " eps " + numberText(node.number);
    for (const auto &[name, number] : node.counts)
      out_ += " " + std::string(name) + " " + std::to_string(number);
    if (node.kind == OpKind::Attention || node.kind == OpKind::UnitAttention ||
        node.kind == OpKind::CrossAttention)
      out_ += " scale " + numberText(node.number);
    if (node.chunk)
      out_ += " chunk " + std::to_string(node.chunk);
    if (node.kind == OpKind::Route)
      out_ += " top " + std::to_string(node.top);
    if (node.kind == OpKind::KvLayer)
      out_ += " layer " + std::to_string(node.layer);
    if (node.kind == OpKind::Rope)
      out_ += node.style == RotateStyle::Half ? " half" : " pairs";
    for (ValueId id : node.results)
      out_ += (id == node.results.front() ? " : " : ", ") + valueText(entry_.value(id));
    out_ += "  // " + node.path + " " + placeText(node.where) + "\n";
  }

  const Entry &entry_;
  std::string &out_;
  std::map<ValueId, std::string> names_;
  unsigned next_ = 0;
};

} // namespace

std::string dumpGraph(const Graph &graph) {
  std::string out;
  for (const auto &[name, value] : graph.model)
    out += "model " + name + " = " + metaText(value) + "\n";
  for (const auto &[name, value] : graph.options)
    out += "option " + name + " = " + metaText(value) + "\n";
  out += "\n";
  for (const RopeTable &table : graph.ropeTables())
    out += "rope_table " + table.name + frequenciesText(table.invFreq) + "  // " +
           placeText(table.declared) + "\n";
  for (const RopeGrid &grid : graph.ropeGrids())
    out += "rope_grid " + grid.name + " " + std::to_string(grid.rows) + " by " +
           std::to_string(grid.columns) + frequenciesText(grid.invFreq) + "  // " +
           placeText(grid.declared) + "\n";
  for (const TemperatureTable &table : graph.temperatureTables())
    out += "temperature_table " + table.name + " attn_scale " +
           numberText(static_cast<double>(table.attnScale)) + " floor_scale " +
           std::to_string(table.floorScale) + "  // " + placeText(table.declared) + "\n";
  for (const auto &parameter : graph.parameters()) {
    out += "param " + parameter->name + ": " + typeText(parameter->type) +
           sourceText(parameter->stored) + "  // " + placeText(parameter->declared) + "\n";
  }
  for (const auto &entry : graph.entries())
    EntryDump(*entry, out).run();
  return out;
}

} // namespace llama4::graph
