//===- TiktokenTokenizer.cpp - tokenizer.model to a section -----*- C++ -*-===//
//
// The file says tokens and ranks only, a token a line: its bytes in base64, a space, its rank,
// which is its id too. The merges follow: any two tokens whose bytes together are a token may
// merge, the lowest rank of the result first and the leftmost of equals.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/build/ByteLevel.h"
#include "runtime/text/build/MetaTokens.h"
#include "runtime/text/build/TokenizerBuilder.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace llama4::text {

namespace {

/// A token of n bytes has n - 1 places where two others could meet.
constexpr size_t kMaxTokenBytes = 256;

using ByteMap = std::unordered_map<std::string_view, uint32_t>;

Status refuse(size_t line, const std::string &what) {
  return Status::invalidInput("tokenizer.model: line " + std::to_string(line) + ": " + what);
}

constexpr std::array<int8_t, 256> kBase64 = [] {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  int8_t next = 0;
  for (char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
    values[static_cast<unsigned char>(c)] = next++;
  return values;
}();

/// The bytes of a base64 text with its padding; nothing when it is not one.
std::optional<std::string> decodeBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0)
    return std::nullopt;
  size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string bytes;
  for (size_t at = 0; at < text.size(); at += 4) {
    uint32_t word = 0;
    for (size_t i = at; i < at + 4; ++i) {
      bool pad = i >= text.size() - padding;
      int8_t value = pad ? int8_t{0} : kBase64[static_cast<unsigned char>(text[i])];
      if (value < 0)
        return std::nullopt;
      word = word << 6 | static_cast<uint32_t>(value);
    }
    for (unsigned shift : {16u, 8u, 0u})
      bytes.push_back(static_cast<char>(word >> shift & 0xff));
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

struct Line {
  std::string bytes;
  uint32_t rank = 0;
};

/// One line without its end; nothing when it has not the form of one.
std::optional<Line> parseLine(std::string_view line) {
  size_t space = line.find(' ');
  if (space == std::string_view::npos || space > 4 * kMaxTokenBytes)
    return std::nullopt;
  std::optional<std::string> bytes = decodeBase64(line.substr(0, space));
  std::string_view digits = line.substr(space + 1);
  uint32_t rank = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (!bytes || error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return Line{std::move(*bytes), rank};
}

/// Cuts the next line off `text`, without its end.
std::string_view nextLine(std::string_view &text) {
  size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

/// Fills the tokens; ranks must be 0, 1, ... in any order.
Status readTokens(std::string_view text, TokenizerContent &content) {
  auto count = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  count += !text.empty() && text.back() != '\n' ? 1u : 0u;
  if (count == 0 || count > kMaxTokens)
    return Status::invalidInput("tokenizer.model: found " + std::to_string(count) +
                                " lines, expected 1 to " + std::to_string(kMaxTokens));
  content.tokens.resize(count);
  for (size_t number = 1; !text.empty(); ++number) {
    std::optional<Line> line = parseLine(nextLine(text));
    if (!line)
      return refuse(number, "expected a token in base64, a space and its rank");
    if (line->bytes.size() > kMaxTokenBytes)
      return refuse(number, "found a token of " + std::to_string(line->bytes.size()) +
                                " bytes, expected at most " + std::to_string(kMaxTokenBytes));
    if (line->rank >= count)
      return refuse(number, "found rank " + std::to_string(line->rank) + " in a file of " +
                                std::to_string(count) + " lines, expected every rank once");
    if (!content.tokens[line->rank].empty())
      return refuse(number, "found rank " + std::to_string(line->rank) + " for the second time");
    content.tokens[line->rank] = std::move(line->bytes);
  }
  return Status();
}

/// The id of every token's bytes.
Status mapTokens(const TokenizerContent &content, ByteMap &map) {
  map.reserve(content.tokens.size());
  for (uint32_t id = 0; id < content.tokens.size(); ++id)
    if (auto [it, isNew] = map.emplace(content.tokens[id], id); !isNew)
      return Status::invalidInput("tokenizer.model: ranks " + std::to_string(it->second) + " and " +
                                  std::to_string(id) + " have the same bytes, expected two tokens");
  return Status();
}

Status fillBytes(const ByteMap &map, TokenizerContent &content) {
  for (size_t byte = 0; byte < 256; ++byte) {
    auto letter = static_cast<char>(byte);
    auto it = map.find(std::string_view(&letter, 1));
    if (it == map.end())
      return Status::invalidInput("tokenizer.model: found no token of the single byte " +
                                  std::to_string(byte) + ", expected all 256");
    content.byteIds[byte] = it->second;
  }
  return Status();
}

void fillMerges(const ByteMap &map, TokenizerContent &content) {
  for (uint32_t id = 0; id < content.tokens.size(); ++id) {
    std::string_view token = content.tokens[id];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      auto left = map.find(token.substr(0, cut));
      auto right = left == map.end() ? map.end() : map.find(token.substr(cut));
      if (right != map.end())
        content.merges.push_back({left->second, right->second, id});
    }
  }
  content.ranksAreIds = true;
}

uint32_t idOfSpecial(const TokenizerContent &content, size_t baseCount, std::string_view name) {
  auto begin = content.tokens.begin() + static_cast<std::ptrdiff_t>(baseCount);
  auto it = std::find(begin, content.tokens.end(), name);
  return it == content.tokens.end() ? kNoId : static_cast<uint32_t>(it - content.tokens.begin());
}

void addSpecials(TiktokenFamily family, TokenizerContent &content) {
  size_t baseCount = content.tokens.size();
  content.flags.resize(baseCount);
  for (std::string &name : metaSpecialTokens(family)) {
    content.flags.push_back(name.empty() ? uint8_t{0} : uint8_t{kTokenAdded | kTokenSpecial});
    content.tokens.push_back(std::move(name));
  }
  bool four = family == TiktokenFamily::Llama4;
  content.bosId = idOfSpecial(content, baseCount, "<|begin_of_text|>");
  content.eosId = idOfSpecial(content, baseCount, "<|end_of_text|>");
  content.padId = idOfSpecial(content, baseCount,
                              four ? "<|finetune_right_pad|>" : "<|finetune_right_pad_id|>");
  content.prefixIds = {content.bosId};
  content.addBos = true;
}

} // namespace

bool isTiktoken(std::string_view file) { return parseLine(nextLine(file)).has_value(); }

Result<std::vector<std::byte>> buildFromTiktoken(std::string_view file, TiktokenFamily family,
                                                 const TokenizerBuildOptions &options) {
  TokenizerContent content;
  LLAMA4_RETURN_IF_ERROR(readTokens(file, content));
  ByteMap map; // its keys point into content.tokens
  LLAMA4_RETURN_IF_ERROR(mapTokens(content, map));
  LLAMA4_RETURN_IF_ERROR(fillBytes(map, content));
  fillMerges(map, content);
  map.clear();
  addSpecials(family, content);
  content.split = family == TiktokenFamily::Llama4 ? SplitKind::Llama4 : SplitKind::Llama3;
  content.ignoreMerges = true;
  fillStopIds(content, options.stopIds);
  return writeTokenizerSection(content);
}

} // namespace llama4::text
