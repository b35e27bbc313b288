//===- SeedFiles.h - files of test/data as seeds -----------------*- C++ -*-===//
#ifndef LLAMA4_TEST_FUZZ_SEEDFILES_H
#define LLAMA4_TEST_FUZZ_SEEDFILES_H

#include "runtime/base/File.h"
#include "test/fuzz/Fuzz.h"

namespace llama4::fuzz {

/// The text of a file below test/data; ends the program where it is not there.
inline std::string readData(const std::string &name) {
  auto text = readTextFile(LLAMA4_TEST_DATA "/" + name, uint64_t{1} << 24);
  if (!text.ok()) {
    std::fprintf(stderr, "mutants: %s\n", text.status().message().c_str());
    std::exit(2);
  }
  return text.take();
}

/// A small tokenizer.json with every part that the reader knows.
inline std::string smallTokenizer() {
  return R"({"version": "1.0", "added_tokens": [
  {"id": 9, "content": "<s>", "special": true, "normalized": false, "lstrip": false},
  {"id": 10, "content": "<|x|>", "special": false, "normalized": true}],
 "normalizer": null,
 "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
  {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
   "behavior": "Isolated", "invert": false},
  {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
 "post_processor": {"type": "TemplateProcessing", "single": [
  {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
  "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}},
 "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
 "model": {"type": "BPE", "dropout": null, "unk_token": null, "ignore_merges": true,
  "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3, "Ġ": 4, "Ġa": 5, "Ã": 6, "©": 7, "Ã©": 8},
  "merges": ["a b", ["ab", "b"], "Ġ a", "Ã ©"]}})";
}

/// The tokenizer_config.json beside it.
inline std::string smallTokenizerConfig() {
  return R"({"bos_token": "<s>", "eos_token": {"content": "<|x|>", "lstrip": false},
 "add_bos_token": true, "model_max_length": 1e30,
 "chat_template": "{{ bos_token }}{% for m in messages %}{{ m['content'] | trim }}{% endfor %}"})";
}

} // namespace llama4::fuzz

#endif // LLAMA4_TEST_FUZZ_SEEDFILES_H
