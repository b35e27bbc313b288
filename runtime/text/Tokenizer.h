//===- Tokenizer.h - text to token ids and back -----------------*- C++ -*-===//
//
// The tokenizer of a compiled model, working on the mapped section. It never reads a vocabulary
// file: build/TokenizerBuilder.h makes the section at compile time.
//
// Which text may name a control token is the caller's decision, segment by segment: text that came
// from a user is never parsed for them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TOKENIZER_H
#define LLAMA4_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/base/Status.h"
#include "runtime/text/Bpe.h"
#include "runtime/text/TextSegment.h"
#include "runtime/text/TokenizerView.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llama4::text {

struct EncodeOptions {
  /// Control-token text becomes the control token. Off: it is encoded like any other text.
  bool parseSpecial = false;
  /// Puts the post-processor's ids around the text; BOS in front where it has none.
  bool addBos = false;
};

/// Encodes and decodes. Copyable and thread-safe (const); the section's bytes must outlive it.
class Tokenizer {
public:
  /// Opens a section in place. Costs a pass over the string offsets (4 bytes a token); the merge
  /// and lookup tables are not touched. Errors: InvalidInput, naming the field that is wrong.
  static Result<Tokenizer> fromSection(std::span<const std::byte> section);

  /// Reads every table and says what is wrong: for file verification.
  Status verify() const { return view_.verify(); }

  /// The ids of `text`. Broken UTF-8 is encoded as U+FFFD.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  /// The ids of a rendered chat: control tokens are recognised in template text only, and apart
  /// from that the segments are one text. Nothing is put in front of it.
  std::vector<TokenId> encodeSegments(std::span<const TextSegment> segments) const;

  /// The bytes of `ids`, which need not be UTF-8. With `skipSpecial` control tokens have no bytes;
  /// ids that have no token (rows that pad the embedding table) never have any.
  std::string decode(std::span<const TokenId> ids, bool skipSpecial = false) const;
  /// The bytes of one token; empty where there is no such token.
  std::string_view bytesOf(TokenId id) const { return view_.bytesOf(static_cast<uint32_t>(id)); }
  /// True for a control token.
  bool isSpecial(TokenId id) const {
    return (view_.flagsOf(static_cast<uint32_t>(id)) & kTokenSpecial) != 0;
  }
  /// The token with exactly these bytes, added tokens ("<|image|>") first.
  std::optional<TokenId> idOf(std::string_view bytes) const;

  /// One more than the largest id.
  uint32_t tokenCount() const { return view_.tokenCount(); }
  std::optional<TokenId> bosId() const { return optionalId(view_.header().bosId); }
  std::optional<TokenId> eosId() const { return optionalId(view_.header().eosId); }
  std::optional<TokenId> padId() const { return optionalId(view_.header().padId); }
  /// The ids that end a generation (end of text, of turn, of message).
  std::vector<TokenId> stopIds() const { return idsOf(TokenTable::StopIds); }
  /// True when the checkpoint asks for BOS in front of plain text.
  bool addsBosByDefault() const { return view_.has(kAddBos); }

private:
  explicit Tokenizer(const TokenizerView &view) : view_(view) {}

  /// An added token found in a text, [begin, end) in bytes.
  struct AddedMatch {
    size_t begin = 0;
    size_t end = 0;
    uint32_t id = kNoId;
  };
  struct Encoding; ///< one encode call: the output, the text not yet split, the merge buffers

  static std::optional<TokenId> optionalId(uint32_t id) {
    return id == kNoId ? std::nullopt : std::optional<TokenId>(static_cast<TokenId>(id));
  }
  std::vector<TokenId> idsOf(TokenTable table) const;
  uint32_t longestAdded(std::string_view text, uint8_t pass) const;
  AddedMatch nextAdded(std::string_view text, size_t from, uint8_t pass, bool special) const;
  void encodeRun(std::string_view run, uint8_t pass, bool special, Encoding &state) const;

  TokenizerView view_;
  bool startsAdded_[256] = {}; ///< some added token starts with this byte
  bool hasSecondPass_ = false;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TOKENIZER_H
