// Folders of both families without weights, one with a tensor, one with an index, one of packed
// integers, and GGUF.
#include "test/checkpoint/TestFiles.h"
#include "test/fuzz/SeedFiles.h"

using namespace llama4;

static std::string file(char name, const std::string &bytes) {
  return std::string{'\x1e', name} + bytes;
}

/// A GGUF file with a vocabulary and without weights.
static std::string ggufWithVocabulary() {
  test::GgufBuilder b;
  b.str("general.architecture", "llama")
      .str("tokenizer.ggml.model", "gpt2")
      .str("tokenizer.ggml.pre", "llama-bpe")
      .str("tokenizer.chat_template",
           "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}");
  for (auto [name, value] :
       {std::pair("llama.block_count", 2u), std::pair("llama.context_length", 128u),
        std::pair("llama.embedding_length", 64u), std::pair("llama.feed_forward_length", 96u),
        std::pair("llama.attention.head_count", 4u), std::pair("llama.vocab_size", 4u),
        std::pair("tokenizer.ggml.bos_token_id", 3u), std::pair("tokenizer.ggml.eos_token_id", 3u)})
    b.u32(name, value);
  b.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f).f32("llama.rope.freq_base", 1e4f);
  auto list = [&b](const char *name, uint32_t type, uint64_t count, const std::string &values) {
    b.key(name, 9, test::raw(type) + test::raw(count) + values);
  };
  auto text = test::GgufBuilder::text;
  list("tokenizer.ggml.tokens", 8, 4, text("a") + text("b") + text("ab") + text("<s>"));
  list("tokenizer.ggml.token_type", 5, 4,
       test::raw(1) + test::raw(1) + test::raw(1) + test::raw(3));
  list("tokenizer.ggml.merges", 8, 1, text("a b"));
  return b.bytes();
}

/// A header of safetensors and the bytes behind it.
struct Tensors {
  std::string header, data;

  void add(const std::string &name, const char *type, const std::string &shape,
           const std::string &bytes) {
    header += (header.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":")" + type +
              R"(","shape":[)" + shape + R"(],"data_offsets":[)" + std::to_string(data.size()) +
              "," + std::to_string(data.size() + bytes.size()) + "]}";
    data += bytes;
  }
  std::string file() const {
    std::string text = header + "}";
    text.append((64 - text.size() % 64) % 64, ' '); // no byte of the length begins another file
    return std::string(1, '\0') + test::raw(static_cast<uint64_t>(text.size())) + text + data;
  }
};

/// Llama 3 with one layer of width 32, its matrices packed with zero points.
static std::string packedFolder() {
  Tensors tensors;
  const std::string at = "model.layers.0.";
  tensors.add("model.embed_tokens.weight", "BF16", "16,32", std::string(1024, '\2'));
  for (const std::string &norm :
       {at + "input_layernorm", at + "post_attention_layernorm", std::string("model.norm")})
    tensors.add(norm + ".weight", "BF16", "32", std::string(64, '?'));
  for (const char *part : {"self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate",
                           "mlp.up", "mlp.down"}) {
    const std::string name = at + part + "_proj.weight";
    tensors.add(name + "_packed", "I32", "32,4", std::string(512, 'q'));
    tensors.add(name + "_scale", "BF16", "32,1", std::string(64, '<'));
    tensors.add(name + "_zero_point", "I32", "4,1", std::string(16, 'z'));
    tensors.add(name + "_shape", "I64", "2", test::raw(int64_t{32}) + test::raw(int64_t{32}));
    tensors.add(name + "_g_idx", "I32", "32", std::string(128, '\0'));
  }
  return file('c', R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
 "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1,
 "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 16, "max_position_embeddings": 64,
 "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "bos_token_id": 1,
 "eos_token_id": 2, "quantization_config": {"quant_method": "compressed-tensors",
 "format": "pack-quantized", "ignore": ["lm_head"], "config_groups": {"group_0": {
 "targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "symmetric": false,
 "dynamic": false, "strategy": "group", "group_size": 32}}}}})") +
         file('s', tensors.file());
}

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> inputs;
  for (const char *name : {"llama3-text-tied", "llama4-text-f32"}) {
    const std::string folder = std::string("oracles/") + name + "/";
    const std::string folderText = file('c', readData(folder + "config.json")) +
                                   file('g', readData(folder + "generation_config.json"));
    inputs.push_back(folderText);
    inputs.push_back(folderText + file('t', smallTokenizer()) + file('k', smallTokenizerConfig()) +
                     file('j', readData(folder + "chat_template.jinja")));
    inputs.push_back(file('c', readData(folder + "config.v4.json")));
    inputs.push_back(
        folderText +
        file(
            'i',
            R"({"metadata": {"total_size": 24}, "weight_map": {"a": "model-00001.safetensors"}})") +
        file('a',
             safetensorsSeed(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", 24)));
  }
  inputs.push_back(packedFolder());
  inputs.push_back(file('G', test::llamaGguf().bytes()));
  inputs.push_back(file('G', ggufWithVocabulary()));
  return inputs;
}
