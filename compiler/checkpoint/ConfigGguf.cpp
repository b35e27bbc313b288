//===- ConfigGguf.cpp - GGUF metadata as a Hugging Face configuration -----===//
//
// The table below is the whole mapping of plain values; everything that follows from tensors or
// needs a rule stands after it. Ranges are not checked here: the accessors of Config do that.
//
//===----------------------------------------------------------------------===//

#include "compiler/checkpoint/Config.h"
#include "compiler/checkpoint/ConfigDocument.h"
#include "compiler/checkpoint/Gguf.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <array>

namespace llama4 {

using nlohmann::json;

namespace {

struct Row {
  std::string_view field;
  std::string_view key;
  bool real; ///< a number, else an integer
};

constexpr std::array<Row, 14> kRows = {{
    {"hidden_size", "llama.embedding_length", false},
    {"num_hidden_layers", "llama.block_count", false},
    {"intermediate_size", "llama.feed_forward_length", false},
    {"num_attention_heads", "llama.attention.head_count", false},
    {"num_key_value_heads", "llama.attention.head_count_kv", false},
    {"head_dim", "llama.attention.key_length", false},
    {"rms_norm_eps", "llama.attention.layer_norm_rms_epsilon", true},
    {"rope_theta", "llama.rope.freq_base", true},
    {"vocab_size", "llama.vocab_size", false},
    {"max_position_embeddings", "llama.context_length", false},
    {"bos_token_id", "tokenizer.ggml.bos_token_id", false},
    {"pad_token_id", "tokenizer.ggml.padding_token_id", false},
    {"unk_token_id", "tokenizer.ggml.unknown_token_id", false},
    {"eos_token_id", "tokenizer.ggml.eos_token_id", false},
}};

/// Builds the document; `used` collects the metadata keys that found a place in it.
class Mapper {
public:
  Mapper(const Gguf &gguf, const std::string &file) : gguf_(gguf), file_(file) {}

  json root = json::object();
  std::map<std::string, std::string> origin;

  Status run();

private:
  Status refuse(std::string_view key, const std::string &found, const std::string &expected) const {
    return Status::invalidInput(file_ + ": metadata key " + quoteName(key) + ": found " + found +
                                ", expected " + expected + "; correct the file.");
  }
  const GgufValue *find(std::string_view key) {
    used_.insert(std::string(key));
    return gguf_.find(key);
  }
  std::string found(const GgufValue &value) const {
    return value.isArray() ? "an array of " + std::string(ggufTypeName(value.elementType()))
                           : "a value of type " + std::string(ggufTypeName(value.type()));
  }
  Status mapRow(const Row &row);
  Status mapArchitecture();
  Status mapHeads();
  Status mapRope();
  Status mapEndTokens();
  void mapTensors();
  void keepUnknown();

  const Gguf &gguf_;
  const std::string &file_;
  std::set<std::string> used_;
};

Status Mapper::mapRow(const Row &row) {
  const GgufValue *value = find(row.key);
  const std::string field(row.field);
  origin[field] = row.key;
  if (!value)
    return {};
  if (row.real) {
    std::optional<double> number = value->number();
    if (!number)
      return refuse(row.key, found(*value), "one number");
    root[field] = *number;
    return {};
  }
  std::optional<int64_t> number = value->integer();
  if (!number)
    return refuse(row.key, found(*value), "one integer below 2^63 for all layers");
  root[field] = *number;
  return {};
}

Status Mapper::mapArchitecture() {
  const GgufValue *value = find("general.architecture");
  std::optional<std::string_view> text = value ? value->string() : std::nullopt;
  if (!text || *text != "llama")
    return refuse("general.architecture", text ? quoteName(*text) : "no text", "\"llama\"");
  root["architectures"] = json::array({"LlamaForCausalLM"});
  root["model_type"] = "llama";
  root["hidden_act"] = "silu";
  if (const GgufValue *parts = find("split.count"); parts && parts->integer().value_or(2) > 1)
    return refuse("split.count", "one part of a split checkpoint",
                  "a whole one, as gguf-split --merge makes it");
  const GgufValue *experts = find("llama.expert_count");
  if (experts && experts->integer().value_or(1) != 0)
    return refuse("llama.expert_count", "a mixture of experts", "0");
  return {};
}

/// Heads of values and rotary dimensions must be what a LlamaForCausalLM has: the head size.
Status Mapper::mapHeads() {
  if (!root.contains("num_key_value_heads") && root.contains("num_attention_heads"))
    root["num_key_value_heads"] = root["num_attention_heads"];
  std::optional<int64_t> size;
  if (root.contains("head_dim"))
    size = root["head_dim"].get<int64_t>();
  else if (root.contains("hidden_size") && root.value("num_attention_heads", int64_t{0}) > 0)
    size = root["hidden_size"].get<int64_t>() / root["num_attention_heads"].get<int64_t>();
  for (std::string_view key : {"llama.attention.value_length", "llama.rope.dimension_count"}) {
    const GgufValue *value = find(key);
    if (value && size && value->integer() != size)
      return refuse(key, value->integer() ? std::to_string(*value->integer()) : found(*value),
                    "the head size, " + std::to_string(*size));
  }
  return {};
}

Status Mapper::mapRope() {
  constexpr std::string_view kFactors = "rope_freqs.weight";
  const GgufValue *type = find("llama.rope.scaling.type");
  const std::optional<std::string_view> text = type ? type->string() : std::optional("linear");
  if (text != "none" && text != "linear")
    return refuse("llama.rope.scaling.type", text ? quoteName(*text) : found(*type),
                  "none or linear");
  // Older files have scale_linear in the place of scaling.factor, and no type.
  std::string_view factorKey = "llama.rope.scaling.factor";
  const GgufValue *old = find("llama.rope.scale_linear");
  const GgufValue *factor = find(factorKey);
  if (!factor && old) {
    factor = old;
    factorKey = "llama.rope.scale_linear";
  }
  const std::optional<double> number = factor ? factor->number() : std::optional(1.0);
  if (!number)
    return refuse(factorKey, found(*factor), "one number");
  const bool scaled = text == "linear" && *number != 1.0;
  const bool factors = gguf_.findTensor(kFactors) != nullptr;
  if (scaled && factors)
    return refuse(factorKey, "linear scaling besides the tensor rope_freqs.weight", "one of them");
  if (factors)
    root["rope_scaling"] = {{"rope_type", "frequency_factors"}, {"tensor", kFactors}};
  if (!scaled)
    return {};
  root["rope_scaling"] = {{"rope_type", "linear"}, {"factor", *number}};
  origin["rope_scaling.factor"] = factorKey;
  return {};
}

/// Every id that ends a turn is an end token, as in the lists of Hugging Face.
Status Mapper::mapEndTokens() {
  json ids = json::array();
  for (std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                               "tokenizer.ggml.eom_token_id"}) {
    const GgufValue *value = find(key);
    if (!value)
      continue;
    if (!value->integer())
      return refuse(key, found(*value), "one integer");
    json id = *value->integer();
    if (std::find(ids.begin(), ids.end(), id) == ids.end())
      ids.push_back(std::move(id));
  }
  if (!ids.empty())
    root["eos_token_id"] = std::move(ids);
  return {};
}

void Mapper::mapTensors() {
  root["tie_word_embeddings"] = gguf_.findTensor("output.weight") == nullptr;
  root["attention_bias"] = gguf_.findTensor("blk.0.attn_q.bias") != nullptr;
  root["mlp_bias"] = gguf_.findTensor("blk.0.ffn_gate.bias") != nullptr;
  if (root.contains("vocab_size"))
    return;
  const SourceTensor *embedding = gguf_.findTensor("token_embd.weight");
  if (embedding && embedding->shape.size() == 2)
    root["vocab_size"] = embedding->shape[0];
}

/// Metadata of the architecture that was not looked at keeps its own name, so that nobody reads it
/// and it is reported.
void Mapper::keepUnknown() {
  for (const auto &[key, value] : gguf_.metadata())
    if (key.starts_with("llama.") && !used_.count(std::string(key)))
      root[std::string(key)] = found(value);
}

Status Mapper::run() {
  LLAMA4_RETURN_IF_ERROR(mapArchitecture());
  for (const Row &row : kRows)
    LLAMA4_RETURN_IF_ERROR(mapRow(row));
  LLAMA4_RETURN_IF_ERROR(mapHeads());
  LLAMA4_RETURN_IF_ERROR(mapRope());
  LLAMA4_RETURN_IF_ERROR(mapEndTokens());
  mapTensors();
  keepUnknown();
  return {};
}

} // namespace

Result<Config> Config::fromGguf(const Gguf &gguf, const std::string &file) {
  Mapper mapper(gguf, file);
  LLAMA4_RETURN_IF_ERROR(mapper.run());
  Config config = make(std::move(mapper.root), file);
  config.document_->origin = std::move(mapper.origin);
  return config;
}

} // namespace llama4
