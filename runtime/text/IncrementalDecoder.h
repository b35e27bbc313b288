//===- IncrementalDecoder.h - token ids to a stream of UTF-8 ----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_INCREMENTALDECODER_H
#define LLAMA4_RUNTIME_TEXT_INCREMENTALDECODER_H

#include "runtime/text/Tokenizer.h"

#include <string>

namespace llama4::text {

/// Decodes one generation token by token. Every string it returns is valid UTF-8: bytes that may
/// still become a character are held back (at most 3), bytes that cannot are U+FFFD. The strings
/// of all calls put together are the decoding of all ids at once. The tokenizer must outlive it.
class IncrementalDecoder {
public:
  /// With `skipSpecial`, control tokens have no text.
  explicit IncrementalDecoder(const Tokenizer &tokenizer, bool skipSpecial = true)
      : tokenizer_(&tokenizer), skipSpecial_(skipSpecial) {}

  /// The text that `id` completes; often empty.
  std::string add(TokenId id);
  /// The end of the stream: U+FFFD for held-back bytes, if there are any. Ready for reuse after.
  std::string finish();

private:
  const Tokenizer *tokenizer_;
  bool skipSpecial_;
  std::string held_; ///< a proper prefix of one character, or empty
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_INCREMENTALDECODER_H
