// Any bytes as config.json: refused, or a configuration that every accessor can be used on.
#include "compiler/checkpoint/Config.h"
#include "test/fuzz/Fuzz.h"

using llama4::fuzz::refuse;

/// What an accessor refused is a sentence.
template <typename T> static void check(const llama4::Result<T> &result) {
  if (!result.ok())
    refuse(result.status());
}

static void ask(const llama4::Config &config) {
  check(config.integer("num_hidden_layers", 1, 1024));
  check(config.number("rms_norm_eps", 0, 1, 1e-5));
  check(config.boolean("tie_word_embeddings", false));
  check(config.string("hidden_act", "silu"));
  check(config.integers("eos_token_id", 0, 1 << 20));
  check(config.strings("architectures"));
  check(config.rope(10000));
  check(config.dtype());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto config = llama4::Config::parse({reinterpret_cast<const char *>(data), size}, "config.json");
  if (!config.ok()) {
    refuse(config.status());
    return 0;
  }
  llama4::fuzz::take();
  ask(*config);
  if (auto section = config->section("text_config"); section.ok())
    ask(*section);
  config->unreadFields();
  config->text();
  return 0;
}
