// Folders of both families without weights, one with a tensor, one with an index, and GGUF.
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
  inputs.push_back(file('G', test::llamaGguf().bytes()));
  inputs.push_back(file('G', ggufWithVocabulary()));
  return inputs;
}
