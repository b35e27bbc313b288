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

namespace llama4 {

using nlohmann::json;

namespace {

struct Row {
  std::string_view field;
  std::string_view key; ///< behind "llama." or "llama4.", or a whole key of the tokenizer
  bool real;            ///< a number, else an integer
};

constexpr Row kRows[] = {
    {"hidden_size", "embedding_length", false},
    {"num_hidden_layers", "block_count", false},
    {"num_attention_heads", "attention.head_count", false},
    {"num_key_value_heads", "attention.head_count_kv", false},
    {"head_dim", "attention.key_length", false},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", true},
    {"rope_theta", "rope.freq_base", true},
    {"vocab_size", "vocab_size", false},
    {"max_position_embeddings", "context_length", false},
    {"bos_token_id", "tokenizer.ggml.bos_token_id", false},
    {"pad_token_id", "tokenizer.ggml.padding_token_id", false},
    {"unk_token_id", "tokenizer.ggml.unknown_token_id", false},
    {"eos_token_id", "tokenizer.ggml.eos_token_id", false},
};
constexpr Row kLlama3Rows[] = {{"intermediate_size", "feed_forward_length", false}};
constexpr Row kLlama4Rows[] = {
    {"intermediate_size", "expert_feed_forward_length", false},
    {"intermediate_size_mlp", "feed_forward_length", false},
    {"interleave_moe_layer_step", "interleave_moe_layer_step", false},
    {"num_local_experts", "expert_count", false},
    {"num_experts_per_tok", "expert_used_count", false},
};

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
  /// "llama.rope.freq_base" of "rope.freq_base".
  std::string keyOf(std::string_view key) const {
    return key.starts_with("tokenizer.") ? std::string(key)
                                         : architecture_ + "." + std::string(key);
  }
  Status mapRow(const Row &row);
  Status mapArchitecture();
  Status mapLlama3();
  Status mapLlama4();
  Status mapHeads();
  Status mapRope();
  Status mapEndTokens();
  void mapTensors();
  void keepUnknown();

  const Gguf &gguf_;
  const std::string &file_;
  std::string architecture_; ///< the prefix of its keys
  std::set<std::string> used_;
};

Status Mapper::mapRow(const Row &row) {
  const std::string field(row.field), key = keyOf(row.key);
  const GgufValue *value = find(key);
  origin[field] = key;
  if (!value)
    return {};
  if (row.real) {
    std::optional<double> number = value->number();
    if (!number)
      return refuse(key, found(*value), "one number");
    root[field] = *number;
    return {};
  }
  std::optional<int64_t> number = value->integer();
  if (!number)
    return refuse(key, found(*value), "one integer below 2^63 for all layers");
  root[field] = *number;
  return {};
}

Status Mapper::mapArchitecture() {
  const GgufValue *value = find("general.architecture");
  std::optional<std::string_view> text = value ? value->string() : std::nullopt;
  if (!text || (*text != "llama" && *text != "llama4"))
    return refuse("general.architecture", text ? quoteName(*text) : "no text",
                  "\"llama\" or \"llama4\"");
  architecture_ = *text;
  root["hidden_act"] = "silu";
  if (const GgufValue *parts = find("split.count"); parts && parts->integer().value_or(2) > 1)
    return refuse("split.count", "one part of a split checkpoint",
                  "a whole one, as gguf-split --merge makes it");
  for (const Row &row : kRows)
    LLAMA4_RETURN_IF_ERROR(mapRow(row));
  return architecture_ == "llama" ? mapLlama3() : mapLlama4();
}

Status Mapper::mapLlama3() {
  root["architectures"] = json::array({"LlamaForCausalLM"});
  root["model_type"] = "llama";
  root["mlp_bias"] = gguf_.findTensor("blk.0.ffn_gate.bias") != nullptr;
  const GgufValue *experts = find("llama.expert_count");
  if (experts && experts->integer().value_or(1) != 0)
    return refuse("llama.expert_count", "a mixture of experts", "0");
  return mapRow(kLlama3Rows[0]);
}

/// What the published models have in common is in no key: readers of these files know it.
Status Mapper::mapLlama4() {
  constexpr int64_t kChunk = 8192;
  constexpr int64_t kMaverickExperts = 128;
  root["architectures"] = json::array({"Llama4ForCausalLM"});
  root["model_type"] = "llama4_text";
  for (const Row &row : kLlama4Rows)
    LLAMA4_RETURN_IF_ERROR(mapRow(row));
  const GgufValue *window = find("llama4.attention.sliding_window");
  if (window && window->integer() != kChunk)
    return refuse("llama4.attention.sliding_window",
                  window->integer() ? std::to_string(*window->integer()) : found(*window),
                  "8192, or no such key");
  const GgufValue *gating = find("llama4.expert_gating_func");
  constexpr int64_t kSigmoid = 2;
  if (gating && gating->integer() != kSigmoid)
    return refuse("llama4.expert_gating_func", "another function", "2, the sigmoid");
  root["attention_chunk_size"] = kChunk;
  root["no_rope_layer_interval"] = 4;
  root["attn_temperature_tuning"] = true;
  root["attn_scale"] = 0.1;
  root["floor_scale"] = kChunk;
  root["use_qk_norm"] = root.value("num_local_experts", int64_t{0}) != kMaverickExperts;
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
  for (const std::string &key : {keyOf("attention.value_length"), keyOf("rope.dimension_count")}) {
    const GgufValue *value = find(key);
    if (value && size && value->integer() != size)
      return refuse(key, value->integer() ? std::to_string(*value->integer()) : found(*value),
                    "the head size, " + std::to_string(*size));
  }
  return {};
}

Status Mapper::mapRope() {
  constexpr std::string_view kFactors = "rope_freqs.weight";
  const std::string typeKey = keyOf("rope.scaling.type");
  const GgufValue *type = find(typeKey);
  const std::optional<std::string_view> text = type ? type->string() : std::optional("linear");
  if (text != "none" && text != "linear")
    return refuse(typeKey, text ? quoteName(*text) : found(*type), "none or linear");
  // Older files have scale_linear in the place of scaling.factor, and no type.
  std::string factorKey = keyOf("rope.scaling.factor");
  const std::string oldKey = keyOf("rope.scale_linear");
  const GgufValue *old = find(oldKey);
  const GgufValue *factor = find(factorKey);
  if (!factor && old) {
    factor = old;
    factorKey = oldKey;
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
    if (key.starts_with(architecture_ + ".") && !used_.count(std::string(key)))
      root[std::string(key)] = found(value);
}

Status Mapper::run() {
  LLAMA4_RETURN_IF_ERROR(mapArchitecture());
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
