//===- Config.cpp - typed view of a model's configuration -----------------===//

#include "compiler/checkpoint/Config.h"

#include "compiler/checkpoint/ConfigDocument.h"
#include "compiler/checkpoint/Json.h"
#include "runtime/format/Quoted.h"

#include <cmath>
#include <limits>

namespace llama4 {

using nlohmann::json;

/// Longest list that is read: per-layer and per-token lists are far shorter.
static constexpr size_t kMaxList = 65536;

/// A value for an error sentence, cut short.
static std::string show(const json &value) {
  if (value.is_structured())
    return std::string(value.is_object() ? "an object" : "a list");
  if (value.is_string())
    return "the text " + quoteName(value.get_ref<const std::string &>());
  return value.dump();
}

/// A number without superfluous digits: "1e-05", "65536".
static std::string show(double value) { return json(value).dump(); }

/// The value as int64, if it is an integer that fits.
static std::optional<int64_t> asInteger(const json &value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    return number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
               ? std::optional(static_cast<int64_t>(number))
               : std::nullopt;
  }
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

Result<Config> Config::parse(std::string_view text, const std::string &file) {
  LLAMA4_ASSIGN_OR_RETURN(json root, parseJsonObject(text, file));
  return make(std::move(root), file);
}

Config Config::make(json root, const std::string &file) {
  auto document = std::make_shared<Document>();
  document->file = file;
  document->root = std::move(root);
  const json *node = &document->root;
  return Config(std::move(document), node, "");
}

const std::string &Config::file() const { return document_->file; }

std::string Config::text() const {
  return document_->root.dump(2, ' ', false, json::error_handler_t::replace);
}

Status Config::error(std::string_view name, const std::string &found,
                     const std::string &expected) const {
  const std::string path = prefix_ + std::string(name);
  auto origin = document_->origin.find(path);
  std::string field = "field " + quoteName(path);
  if (origin != document_->origin.end())
    field += " (from " + quoteName(origin->second) + ")";
  return Status::invalidInput(document_->file + ": " + field + ": found " + found + ", expected " +
                              expected + "; correct the configuration.");
}

Status Config::missing(std::string_view name, const std::string &expected) const {
  return error(name, "no such field", expected);
}

bool Config::has(std::string_view name) const {
  auto it = node_->find(name);
  return it != node_->end() && !it->is_null();
}

bool Config::isNull(std::string_view name) const {
  auto it = node_->find(name);
  return it != node_->end() && it->is_null();
}

std::vector<std::string> Config::fields() const {
  std::vector<std::string> names;
  for (auto it = node_->begin(); it != node_->end(); ++it)
    if (!it->is_null())
      names.push_back(it.key());
  return names;
}

const json *Config::read(std::string_view name) const {
  document_->read.insert(prefix_ + std::string(name));
  auto it = node_->find(name);
  return it != node_->end() && !it->is_null() ? &*it : nullptr;
}

Result<Config> Config::section(std::string_view name) const {
  const json *value = read(name);
  if (!value)
    return missing(name, "an object");
  if (!value->is_object())
    return error(name, show(*value), "an object");
  return Config(document_, value, prefix_ + std::string(name) + ".");
}

Result<int64_t> Config::integer(std::string_view name, int64_t min, int64_t max,
                                std::optional<int64_t> fallback) const {
  const std::string expected =
      "an integer from " + std::to_string(min) + " to " + std::to_string(max);
  const json *value = read(name);
  if (!value && fallback)
    return *fallback;
  if (!value)
    return missing(name, expected);
  std::optional<int64_t> number = asInteger(*value);
  if (!number || *number < min || *number > max)
    return error(name, show(*value), expected);
  return *number;
}

Result<double> Config::number(std::string_view name, double min, double max,
                              std::optional<double> fallback) const {
  const std::string expected = "a number from " + show(min) + " to " + show(max);
  const json *value = read(name);
  if (!value && fallback)
    return *fallback;
  if (!value)
    return missing(name, expected);
  if (!value->is_number())
    return error(name, show(*value), expected);
  const auto number = value->get<double>();
  if (!std::isfinite(number))
    return error(name, std::isnan(number) ? "NaN" : "an infinity", expected);
  if (number < min || number > max)
    return error(name, show(*value), expected);
  return number;
}

Result<bool> Config::boolean(std::string_view name, std::optional<bool> fallback) const {
  const json *value = read(name);
  if (!value && fallback)
    return *fallback;
  if (!value)
    return missing(name, "true or false");
  if (!value->is_boolean())
    return error(name, show(*value), "true or false");
  return value->get<bool>();
}

Result<std::string> Config::string(std::string_view name,
                                   std::optional<std::string> fallback) const {
  const json *value = read(name);
  if (!value && fallback)
    return std::move(*fallback);
  if (!value)
    return missing(name, "a text");
  if (!value->is_string())
    return error(name, show(*value), "a text");
  return value->get<std::string>();
}

Result<std::vector<int64_t>> Config::integers(std::string_view name, int64_t min,
                                              int64_t max) const {
  const json *value = read(name);
  std::vector<int64_t> numbers;
  if (!value)
    return numbers;
  const std::string expected =
      "a list of integers from " + std::to_string(min) + " to " + std::to_string(max);
  const json one = value->is_array() ? json() : json::array({*value});
  const json &list = value->is_array() ? *value : one;
  if (list.size() > kMaxList)
    return error(name, "a list of " + std::to_string(list.size()),
                 "at most " + std::to_string(kMaxList) + " elements");
  for (const json &element : list) {
    std::optional<int64_t> number = asInteger(element);
    if (!number || *number < min || *number > max)
      return error(name, show(element), expected);
    numbers.push_back(*number);
  }
  return numbers;
}

Result<std::vector<double>> Config::numbers(std::string_view name, double min, double max) const {
  const json *value = read(name);
  std::vector<double> numbers;
  if (!value)
    return numbers;
  if (!value->is_array() || value->size() > kMaxList)
    return error(name, show(*value), "a list of at most " + std::to_string(kMaxList) + " numbers");
  for (const json &element : *value) {
    const double number = element.is_number() ? element.get<double>() : NAN;
    if (!(number >= min && number <= max)) // false for NaN as well
      return error(name, show(element), "numbers from " + show(min) + " to " + show(max));
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::vector<std::string>> Config::strings(std::string_view name) const {
  const json *value = read(name);
  std::vector<std::string> texts;
  if (!value)
    return texts;
  if (!value->is_array() || value->size() > kMaxList)
    return error(name, show(*value), "a list of at most " + std::to_string(kMaxList) + " texts");
  for (const json &element : *value) {
    if (!element.is_string())
      return error(name, show(element), "a list of texts");
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

/// What follows from the object that names a scaling; `theta` is already known.
Result<RopeParameters> Config::ropeScaling(const Config &from, double theta) const {
  RopeParameters rope;
  rope.theta = theta;
  // Older files call the field "type".
  const char *typeField = from.has("rope_type") || !from.has("type") ? "rope_type" : "type";
  LLAMA4_ASSIGN_OR_RETURN(std::string type, from.string(typeField, "default"));
  if (typeField == std::string_view("rope_type"))
    from.acknowledge({"type"});
  if (type == "default")
    return rope;
  if (type == "frequency_factors") {
    rope.scaling = RopeScaling::FrequencyFactors;
    LLAMA4_ASSIGN_OR_RETURN(rope.factorsTensor, from.string("tensor"));
    return rope;
  }
  if (type != "linear" && type != "llama3")
    return from.error(typeField, "the text " + quoteName(type), "default, linear or llama3");
  LLAMA4_ASSIGN_OR_RETURN(rope.factor, from.number("factor", 1e-3, 1e6));
  if (type == "linear") {
    rope.scaling = RopeScaling::Linear;
    return rope;
  }
  rope.scaling = RopeScaling::Llama3;
  LLAMA4_ASSIGN_OR_RETURN(rope.lowFreqFactor, from.number("low_freq_factor", 1e-6, 1e6));
  LLAMA4_ASSIGN_OR_RETURN(rope.highFreqFactor, from.number("high_freq_factor", 1e-6, 1e6));
  if (rope.lowFreqFactor > rope.highFreqFactor)
    return from.error("low_freq_factor", show(rope.lowFreqFactor),
                      "at most high_freq_factor, which is " + show(rope.highFreqFactor));
  LLAMA4_ASSIGN_OR_RETURN(rope.originalMaxPositionEmbeddings,
                          from.integer("original_max_position_embeddings", 1, int64_t{1} << 40));
  return rope;
}

Result<RopeParameters> Config::rope(double defaultTheta) const {
  constexpr double kMinTheta = 1, kMaxTheta = 1e12;
  LLAMA4_ASSIGN_OR_RETURN(double theta, number("rope_theta", kMinTheta, kMaxTheta, defaultTheta));
  if (!has("rope_parameters")) {
    document_->read.insert(prefix_ + "rope_parameters");
    const json *scaling = read("rope_scaling");
    if (!scaling) {
      RopeParameters rope;
      rope.theta = theta;
      return rope;
    }
    LLAMA4_ASSIGN_OR_RETURN(Config from, section("rope_scaling"));
    return ropeScaling(from, theta);
  }
  LLAMA4_ASSIGN_OR_RETURN(Config from, section("rope_parameters"));
  LLAMA4_ASSIGN_OR_RETURN(double inner, from.number("rope_theta", kMinTheta, kMaxTheta, theta));
  if (has("rope_theta") && inner != theta)
    return from.error("rope_theta", show(inner),
                      "the value of the outer rope_theta, " + show(theta));
  return ropeScaling(from, inner);
}

Result<std::optional<DType>> Config::dtype() const {
  const char *field = has("dtype") ? "dtype" : "torch_dtype";
  if (!has(field))
    return std::optional<DType>();
  LLAMA4_ASSIGN_OR_RETURN(std::string text, string(field));
  if (text == "float32")
    return std::optional(DType::F32);
  if (text == "float16")
    return std::optional(DType::F16);
  if (text == "bfloat16")
    return std::optional(DType::BF16);
  return error(field, "the text " + quoteName(text), "float32, float16 or bfloat16");
}

void Config::acknowledge(std::initializer_list<std::string_view> names) const {
  for (std::string_view name : names)
    document_->read.insert(prefix_ + std::string(name));
}

/// Records all paths below `node`. Depth is bounded by the parser.
static void recordAll(const json &node, const std::string &prefix, std::set<std::string> &read) {
  for (auto it = node.begin(); it != node.end(); ++it) {
    read.insert(prefix + it.key());
    if (it->is_object())
      recordAll(*it, prefix + it.key() + ".", read);
  }
}

void Config::acknowledgeAll() const { recordAll(*node_, prefix_, document_->read); }

/// Collects unread paths below `node`. Depth is bounded by the parser.
static void collectUnread(const json &node, const std::string &prefix,
                          const std::set<std::string> &read, std::vector<std::string> &unread) {
  for (auto it = node.begin(); it != node.end(); ++it) {
    if (it->is_null())
      continue;
    const std::string path = prefix + it.key();
    if (!read.count(path))
      unread.push_back(path);
    else if (it->is_object())
      collectUnread(*it, path + ".", read, unread);
  }
}

std::vector<std::string> Config::unreadFields() const {
  std::vector<std::string> unread;
  collectUnread(document_->root, "", document_->read, unread);
  return unread;
}

} // namespace llama4
