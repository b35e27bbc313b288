// Any bytes as config.json: refused, or a configuration that every accessor can be used on.
#include "compiler/checkpoint/Config.h"

static void ask(const llama4::Config &config) {
  (void)config.integer("num_hidden_layers", 1, 1024);
  (void)config.number("rms_norm_eps", 0, 1, 1e-5);
  (void)config.boolean("tie_word_embeddings", false);
  (void)config.string("hidden_act", "silu");
  (void)config.integers("eos_token_id", 0, 1 << 20);
  (void)config.strings("architectures");
  (void)config.rope(10000);
  (void)config.dtype();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto config = llama4::Config::parse({reinterpret_cast<const char *>(data), size}, "config.json");
  if (!config.ok())
    return 0;
  ask(*config);
  if (auto section = config->section("text_config"); section.ok())
    ask(*section);
  config->unreadFields();
  config->text();
  return 0;
}
