//===- IncrementalDecoder.cpp - token ids to a stream of UTF-8 --*- C++ -*-===//

#include "runtime/text/IncrementalDecoder.h"

#include "runtime/text/Utf8.h"

namespace llama4::text {

std::string IncrementalDecoder::add(TokenId id) {
  if (skipSpecial_ && tokenizer_->isSpecial(id))
    return {};
  held_ += tokenizer_->bytesOf(id);
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    Utf8Step step = decodeUtf8(std::string_view(held_).substr(at));
    if (step.truncated)
      break;
    if (step.valid)
      out.append(held_, at, step.bytes);
    else
      out += kReplacementBytes;
    at += step.bytes;
  }
  held_.erase(0, at);
  return out;
}

std::string IncrementalDecoder::finish() {
  std::string out = held_.empty() ? std::string() : std::string(kReplacementBytes);
  held_.clear();
  return out;
}

} // namespace llama4::text
