//===- MetaTokens.cpp - the control tokens that tiktoken files lack *- C++ -*-===//

#include "runtime/text/build/MetaTokens.h"

namespace llama4::text {

namespace {

using Names = std::vector<std::string>;

void append(Names &names, std::initializer_list<const char *> more) {
  names.insert(names.end(), more.begin(), more.end());
}

/// "<|PREFIXreserved_special_token_I|>" for I in [begin, end).
void appendReserved(Names &names, const std::string &prefix, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i)
    names.push_back("<|" + prefix + "reserved_special_token_" + std::to_string(i) + "|>");
}

constexpr size_t kLlama3Specials = 256;
constexpr size_t kLlama4Specials = 2048;
/// Where the models with images have <|image|>: one row behind the vocabulary.
constexpr const char *kImage = "<|image|>";

Names llama3Tokens(bool vision) {
  Names names;
  append(names, {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                 "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|step_id|>",
                 "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
                 "<|python_tag|>", vision ? "" : kImage});
  appendReserved(names, "", 2, 2 + kLlama3Specials - names.size());
  if (vision)
    names.push_back(kImage);
  return names;
}

Names llama4Tokens() {
  Names names;
  append(names, {"<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>",
                 "<|fim_suffix|>"});
  append(names, {"<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"});
  appendReserved(names, "text_post_train_", 0, 6);
  append(names, {"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"});
  appendReserved(names, "text_post_train_", 8, 69);
  append(names, {"<|image_start|>", "<|image_end|>"});
  appendReserved(names, "vision_", 0, 2);
  append(names, {"<|tile_x_separator|>", "<|tile_y_separator|>"});
  appendReserved(names, "vision_", 2, 6);
  append(names, {kImage, "<|vision_reserved_special_token_6|>", "<|patch|>"});
  appendReserved(names, "vision_", 7, 1048);
  appendReserved(names, "reasoning_", 0, 8);
  append(names, {"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"});
  appendReserved(names, "", 0, kLlama4Specials - names.size());
  return names;
}

} // namespace

std::vector<std::string> metaSpecialTokens(TiktokenFamily family) {
  return family == TiktokenFamily::Llama4 ? llama4Tokens()
                                          : llama3Tokens(family == TiktokenFamily::Llama3Vision);
}

} // namespace llama4::text
