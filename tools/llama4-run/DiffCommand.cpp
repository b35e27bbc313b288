//===- DiffCommand.cpp - llama4-run diff ----------------------------------===//
//
// Two files are equal when all their sections are, byte by byte. What differs is named by what
// inspect shows; of tensors the largest difference of a number, where their encodings are known.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/MadeUpWeights.h"
#include "runtime/program/PanelValues.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Inspect.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llama4::run {

namespace {

using nlohmann::ordered_json;
using Bytes = std::span<const std::byte>;

bool sameBytes(Bytes a, Bytes b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

/// What is found, in the order of the parts.
struct Differences {
  ordered_json list = ordered_json::array();

  void add(const std::string &what, ordered_json a, ordered_json b) {
    list.push_back({{"what", what}, {"a", std::move(a)}, {"b", std::move(b)}});
  }
};

/// The name by which an element of a list is found again; empty: by its place.
std::string nameOf(const ordered_json &element) {
  for (const char *key : {"name", "level"})
    if (element.is_object() && element.contains(key) && element[key].is_string())
      return element[key].get<std::string>();
  return "";
}

void compareJson(const std::string &path, const ordered_json &a, const ordered_json &b,
                 Differences &found);

void compareLists(const std::string &path, const ordered_json &a, const ordered_json &b,
                  Differences &found) {
  const bool named = !a.empty() && !b.empty() && !nameOf(a[0]).empty() && !nameOf(b[0]).empty();
  if (!named) {
    if (a.size() != b.size())
      found.add(path + " (number)", a.size(), b.size());
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
      compareJson(path + "[" + std::to_string(i) + "]", a[i], b[i], found);
    return;
  }
  auto find = [](const ordered_json &list, const std::string &name) {
    return std::find_if(list.begin(), list.end(),
                        [&](const ordered_json &element) { return nameOf(element) == name; });
  };
  for (const ordered_json &element : a) {
    const std::string name = nameOf(element);
    if (auto other = find(b, name); other != b.end())
      compareJson(path + "." + name, element, *other, found);
    else
      found.add(path + "." + name, "present", nullptr);
  }
  for (const ordered_json &element : b)
    if (find(a, nameOf(element)) == a.end())
      found.add(path + "." + nameOf(element), nullptr, "present");
}

void compareJson(const std::string &path, const ordered_json &a, const ordered_json &b,
                 Differences &found) {
  if (a == b)
    return;
  if (a.is_array() && b.is_array())
    return compareLists(path, a, b, found);
  if (!a.is_object() || !b.is_object())
    return found.add(path, a, b);
  for (const auto &[key, value] : a.items())
    compareJson(path + "." + key, value, b.contains(key) ? b[key] : ordered_json(), found);
  for (const auto &[key, value] : b.items())
    if (!a.contains(key))
      compareJson(path + "." + key, ordered_json(), value, found);
}

/// The largest difference of two numbers at the same place; nothing where they cannot be compared.
std::optional<double> maxError(const Weight &a, Bytes bytesA, const Weight &b, Bytes bytesB) {
  if (a.rows != b.rows || a.columns != b.columns || a.matrices != b.matrices ||
      panelCount(a) != panelCount(b) || !canDecode(a) || !canDecode(b))
    return std::nullopt;
  double most = 0;
  std::vector<float> valuesA, valuesB;
  for (uint64_t panel = 0; panel < panelCount(a); ++panel) {
    panelValues(a, bytesA, panel, valuesA);
    panelValues(b, bytesB, panel, valuesB);
    for (size_t i = 0; i < std::min(valuesA.size(), valuesB.size()); ++i)
      most = std::max(most, std::fabs(static_cast<double>(valuesA[i]) - valuesB[i]));
  }
  return most;
}

Status compareWeights(const Program &a, const Program &b, Differences &found) {
  LLAMA4_RETURN_IF_ERROR(a.weights().status());
  LLAMA4_RETURN_IF_ERROR(b.weights().status());
  auto find = [](const Program &program, const std::string &name) -> std::optional<size_t> {
    const std::vector<Weight> &weights = program.desc().weights;
    for (size_t i = 0; i < weights.size(); ++i)
      if (weights[i].name == name)
        return i;
    return std::nullopt;
  };
  for (size_t i = 0; i < a.desc().weights.size(); ++i) {
    const Weight &weight = a.desc().weights[i];
    std::optional<size_t> j = find(b, weight.name);
    if (!j) {
      found.add("tensor " + weight.name, weight.encoding, nullptr);
      continue;
    }
    const Weight &other = b.desc().weights[*j];
    if (weight.encoding == other.encoding && sameBytes(a.weight(i), b.weight(*j)))
      continue;
    found.add("tensor " + weight.name, weight.encoding, other.encoding);
    if (std::optional<double> error = maxError(weight, a.weight(i), other, b.weight(*j)))
      found.list.back()["max_error"] = *error;
  }
  for (const Weight &weight : b.desc().weights)
    if (!find(a, weight.name))
      found.add("tensor " + weight.name, nullptr, weight.encoding);
  return {};
}

Result<Differences> compare(const Program &a, const Program &b) {
  Differences found;
  const ordered_json left = inspectJson(a), right = inspectJson(b);
  for (const char *part : {"model", "options", "generation", "weight_source", "memory_bytes", "kv",
                           "ropes", "temperatures", "entries", "kernels", "code"})
    compareJson(part, left.value(part, ordered_json()), right.value(part, ordered_json()), found);
  auto section = [&](const char *name, SectionKind kind) {
    if (!sameBytes(a.section(kind), b.section(kind)))
      found.add(name, a.section(kind).size(), b.section(kind).size());
  };
  if (found.list.empty()) // what inspect does not show
    section("program (bytes)", SectionKind::Program);
  section("kernels (bytes of code)", SectionKind::Code);
  section("tokenizer (bytes)", SectionKind::Tokenizer);
  section("chat template (bytes)", SectionKind::ChatTemplate);
  LLAMA4_RETURN_IF_ERROR(compareWeights(a, b, found));
  return found;
}

void print(const Differences &found) {
  auto text = [](const ordered_json &value) {
    return value.is_null()     ? "nothing"
           : value.is_string() ? value.get<std::string>()
                               : value.dump();
  };
  for (const ordered_json &one : found.list) {
    std::string line =
        one["what"].get<std::string>() + ": " + text(one["a"]) + " | " + text(one["b"]);
    if (one.contains("max_error"))
      line += format(", largest error %.6g", one["max_error"].get<double>());
    std::puts(line.c_str());
  }
}

} // namespace

void addDiff(CLI::App &app, Action &action) {
  struct Options {
    std::string a, b;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand(
      "diff", "say how two compiled models differ: ends with 0 when equal, 1 when not");
  command->add_option("A", options->a, "a compiled model (.l4x)")->required();
  command->add_option("B", options->b, "another")->required();
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([options, &action] {
    action = [options]() -> Status {
      LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const Program> a, Program::load(options->a));
      LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const Program> b, Program::load(options->b));
      LLAMA4_ASSIGN_OR_RETURN(Differences found, compare(*a, *b));
      const bool equal = found.list.empty();
      if (options->json)
        std::puts(dumpJson({{"equal", equal}, {"differences", found.list}}).c_str());
      else
        print(found);
      exitCodeWhenDone() = equal ? 0 : 1;
      return {};
    };
  });
}

} // namespace llama4::run
