//===- Tokenizer.cpp - text to token ids and back ---------------*- C++ -*-===//

#include "runtime/text/Tokenizer.h"

#include "runtime/text/Splitter.h"
#include "runtime/text/Utf8.h"

namespace llama4::text {

/// Text between added tokens is collected in `pending`, across segment borders, and split and
/// merged as one text when an added token or the end comes.
struct Tokenizer::Encoding {
  explicit Encoding(const TokenizerView &view) : view(view), bpe(view) {}

  void flush() {
    const TokenizerHeader &header = view.header();
    Splitter splitter(static_cast<SplitKind>(header.splitKind),
                      static_cast<DigitKind>(header.digitKind), pending);
    for (std::string_view piece = splitter.next(); !piece.empty(); piece = splitter.next())
      bpe.encodePiece(piece, ids);
    pending.clear();
  }

  const TokenizerView &view;
  Bpe bpe;
  std::string pending; ///< valid UTF-8
  std::vector<TokenId> ids;
};

Result<Tokenizer> Tokenizer::fromSection(std::span<const std::byte> section) {
  LLAMA4_ASSIGN_OR_RETURN(TokenizerView view, TokenizerView::open(section));
  Tokenizer tokenizer(view);
  for (uint32_t i = 0; i < view.idCount(TokenTable::Added); ++i) {
    uint32_t id = view.idAt(TokenTable::Added, i);
    tokenizer.startsAdded_[static_cast<unsigned char>(view.bytesOf(id)[0])] = true;
    tokenizer.hasSecondPass_ |= (view.flagsOf(id) & kTokenSecondPass) != 0;
  }
  return tokenizer;
}

std::vector<TokenId> Tokenizer::idsOf(TokenTable table) const {
  std::vector<TokenId> ids;
  for (uint32_t i = 0; i < view_.idCount(table); ++i)
    ids.push_back(static_cast<TokenId>(view_.idAt(table, i)));
  return ids;
}

/// The longest added token of `pass` that `text` starts with, or kNoId. The table is ordered, so
/// the candidates that share the first bytes are a range that every further byte narrows.
uint32_t Tokenizer::longestAdded(std::string_view text, uint8_t pass) const {
  uint32_t low = 0;
  uint32_t high = view_.idCount(TokenTable::Added);
  uint32_t best = kNoId;
  auto byteOf = [&](uint32_t index, size_t depth) {
    std::string_view bytes = view_.bytesOf(view_.idAt(TokenTable::Added, index));
    return depth < bytes.size() ? static_cast<int>(static_cast<unsigned char>(bytes[depth])) : -1;
  };
  auto firstNotBelow = [&](uint32_t from, uint32_t to, size_t depth, int byte) {
    while (from < to) {
      uint32_t middle = from + (to - from) / 2;
      if (byteOf(middle, depth) < byte)
        from = middle + 1;
      else
        to = middle;
    }
    return from;
  };
  for (size_t depth = 0; depth < text.size() && low < high; ++depth) {
    int byte = static_cast<unsigned char>(text[depth]);
    low = firstNotBelow(low, high, depth, byte);
    high = firstNotBelow(low, high, depth, byte + 1);
    if (low == high)
      break;
    uint32_t id = view_.idAt(TokenTable::Added, low);
    if (view_.bytesOf(id).size() == depth + 1 && (view_.flagsOf(id) & kTokenSecondPass) == pass)
      best = id;
  }
  return best;
}

/// The first added token of `pass` at or after `from`. Control tokens that may not be parsed hide
/// what lies under them and are themselves left as text.
Tokenizer::AddedMatch Tokenizer::nextAdded(std::string_view text, size_t from, uint8_t pass,
                                           bool special) const {
  for (size_t at = from; at < text.size();) {
    uint32_t id = kNoId;
    if (startsAdded_[static_cast<unsigned char>(text[at])])
      id = longestAdded(text.substr(at), pass);
    if (id == kNoId) {
      ++at;
      continue;
    }
    size_t end = at + view_.bytesOf(id).size();
    if (special || (view_.flagsOf(id) & kTokenSpecial) == 0)
      return {at, end, id};
    at = end;
  }
  return {text.size(), text.size(), kNoId};
}

/// Encodes a stretch of text of one provenance, up to what stays pending at its end.
void Tokenizer::encodeRun(std::string_view run, uint8_t pass, bool special, Encoding &state) const {
  for (size_t at = 0; at < run.size();) {
    AddedMatch match = nextAdded(run, at, pass, special);
    std::string_view before = run.substr(at, match.begin - at);
    if (pass == 0 && hasSecondPass_)
      encodeRun(before, kTokenSecondPass, special, state);
    else
      state.pending += before;
    if (match.id != kNoId) {
      state.flush();
      state.ids.push_back(static_cast<TokenId>(match.id));
    }
    at = match.end;
  }
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  Encoding state(view_);
  if (options.addBos) {
    state.ids = idsOf(TokenTable::PrefixIds);
    if (state.ids.empty() && bosId())
      state.ids.push_back(*bosId());
  }
  if (isValidUtf8(text))
    encodeRun(text, 0, options.parseSpecial, state);
  else
    encodeRun(replaceInvalidUtf8(text, /*joinSurrogates=*/true), 0, options.parseSpecial, state);
  state.flush();
  if (options.addBos)
    for (TokenId id : idsOf(TokenTable::SuffixIds))
      state.ids.push_back(id);
  return std::move(state.ids);
}

std::vector<TokenId> Tokenizer::encodeSegments(std::span<const TextSegment> segments) const {
  Encoding state(view_);
  for (size_t i = 0; i < segments.size();) {
    std::string run;
    bool content = segments[i].fromContent;
    for (; i < segments.size() && segments[i].fromContent == content; ++i)
      run += segments[i].text;
    if (!isValidUtf8(run))
      run = replaceInvalidUtf8(run, /*joinSurrogates=*/true);
    encodeRun(run, 0, /*special=*/!content, state);
  }
  state.flush();
  return std::move(state.ids);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skipSpecial) const {
  std::string bytes;
  for (TokenId id : ids)
    if (!skipSpecial || !isSpecial(id))
      bytes += bytesOf(id);
  return bytes;
}

std::optional<TokenId> Tokenizer::idOf(std::string_view bytes) const {
  for (uint8_t pass : {uint8_t{0}, uint8_t{kTokenSecondPass}})
    if (uint32_t id = longestAdded(bytes, pass);
        id != kNoId && view_.bytesOf(id).size() == bytes.size())
      return static_cast<TokenId>(id);
  return optionalId(view_.lookup(bytes));
}

} // namespace llama4::text
