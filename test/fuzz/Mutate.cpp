//===- Mutate.cpp - damaged inputs from good ones -------------------------===//

#include "test/fuzz/Mutate.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace llama4::fuzz {

namespace {

/// No input grows beyond this.
constexpr size_t largest = size_t{1} << 18;

constexpr std::string_view numbers[] = {"0",
                                        "-0",
                                        "1",
                                        "-1",
                                        "3",
                                        "0.5",
                                        "1e-400",
                                        "1e308",
                                        "1e999",
                                        "255",
                                        "65536",
                                        "2147483647",
                                        "2147483648",
                                        "-2147483649",
                                        "4294967295",
                                        "4294967296",
                                        "9007199254740993",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775808",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "1000000000",
                                        "\"7\"",
                                        "null",
                                        "true",
                                        "[]",
                                        "{}",
                                        "NaN"};

constexpr std::string_view words[] = {
    "{",     "}",       "[",        "]",          "\"",
    ",",     ":",       "null",     "true",       "{}",
    "[]",    "\\u0000", "\\ud800",  "\xff\xfe",   "\n",
    "{{",    "}}",      "{%",       "%}",         "{%- for x in y %}",
    "-%}",   "endfor",  "{% endif", "| join('')", "(",
    ")",     "'",       "%0",       "@",          "->",
    "<",     ">",       "#",        "tensor<?x",  " : i64",
    "../..", "/",       "*",        "\xf0\x9f",   "\xed\xa0\x80"};

/// Counter-based random numbers.
class Random {
public:
  Random(uint64_t seed, uint64_t index) : state_(seed * 0x9e3779b97f4a7c15u ^ index << 20) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// From 0 to end - 1; 0 where `end` is 0.
  size_t below(size_t end) { return end == 0 ? 0 : static_cast<size_t>(next() % end); }
  template <typename T, size_t N> const T &from(const T (&list)[N]) { return list[below(N)]; }

private:
  uint64_t state_;
};

class Mutator {
public:
  Mutator(std::span<const std::string> inputs, Random &random)
      : inputs_(inputs), random_(random), text_(inputs[random.below(inputs.size())]) {}

  std::string take() { return std::move(text_); }
  void change();

private:
  struct Range {
    size_t begin, length;
  };
  /// A stretch of `text`, mostly short.
  Range stretch(const std::string &text) {
    const size_t begin = random_.below(text.size());
    const size_t most = std::min(text.size() - begin, random_.below(4) == 0 ? text.size() : 24);
    return {begin, std::min(most, 1 + random_.below(most))};
  }
  std::string stretchOf(const std::string &text) {
    const Range range = stretch(text);
    return text.substr(range.begin, range.length);
  }
  uint64_t edgeValue(unsigned bytes, uint64_t old);
  void editLength();
  void editNumber();
  void insert(std::string_view what) { text_.insert(random_.below(text_.size() + 1), what); }
  void nest();
  bool isText() const { return text_.find('\0') == std::string::npos; }

  std::span<const std::string> inputs_;
  Random &random_;
  std::string text_;
};

/// What breaks arithmetic on a field of `bytes` bytes that holds `old`.
uint64_t Mutator::edgeValue(unsigned bytes, uint64_t old) {
  const uint64_t max = bytes == 8 ? UINT64_MAX : (uint64_t{1} << (8 * bytes)) - 1;
  const uint64_t size = text_.size();
  const uint64_t values[] = {0,
                             1,
                             max,
                             max - 1,
                             max / 2,
                             max / 2 + 1,
                             UINT32_MAX,
                             size,
                             size - 1,
                             size + 1,
                             old + 1,
                             old - 1,
                             old * 2,
                             random_.below(size),
                             uint64_t{1} << 31,
                             old ^ uint64_t{1} << (8 * bytes - 1),
                             uint64_t{1} << 40,
                             max - 63};
  return random_.from(values) & max;
}

/// A little-endian number somewhere, mostly where such numbers are aligned to.
void Mutator::editLength() {
  const unsigned bytes = 1u << random_.below(4);
  if (text_.size() < bytes)
    return;
  size_t at = random_.below(text_.size() - bytes + 1);
  if (random_.below(4) != 0)
    at -= at % bytes;
  uint64_t old = 0;
  for (unsigned i = 0; i < bytes; ++i)
    old |= uint64_t{static_cast<unsigned char>(text_[at + i])} << (8 * i);
  const uint64_t value = edgeValue(bytes, old);
  for (unsigned i = 0; i < bytes; ++i)
    text_[at + i] = static_cast<char>(value >> (8 * i));
}

/// A written number becomes another.
void Mutator::editNumber() {
  auto isDigit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const size_t start = random_.below(text_.size());
  auto begin =
      std::find_if(text_.begin() + static_cast<std::ptrdiff_t>(start), text_.end(), isDigit);
  auto end = std::find_if_not(begin, text_.end(), isDigit);
  if (begin == text_.end())
    return editLength();
  text_.replace(begin, end, random_.from(numbers));
}

void Mutator::nest() {
  constexpr std::string_view openings[] = {"[", "{\"a\":", "(", "{% if x %}", "{{ (", "["};
  const std::string_view opening = random_.from(openings);
  std::string deep;
  for (size_t i = 0, depth = size_t{4} << random_.below(14); i < depth; ++i)
    deep += opening;
  insert(deep);
}

void Mutator::change() {
  if (text_.empty())
    return insert(random_.from(words));
  // Most of a damaged text is no text of its format: every other change keeps its form.
  if (isText() && random_.below(2) == 0)
    return editNumber();
  const Range range = stretch(text_);
  switch (random_.below(16)) {
  case 0:
  case 1:
    text_[range.begin] = static_cast<char>(text_[range.begin] ^ 1 << random_.below(8));
    break;
  case 2:
    text_[range.begin] = static_cast<char>(random_.next());
    break;
  case 3:
    text_.resize(random_.below(text_.size()));
    break;
  case 4:
    text_.erase(range.begin, range.length);
    break;
  case 5:
    insert(stretchOf(text_));
    break;
  case 6:
    text_.replace(range.begin, range.length, stretchOf(text_));
    break;
  case 7:
    text_.replace(range.begin, range.length,
                  stretchOf(inputs_[random_.below(inputs_.size())] + " "));
    break;
  case 8:
    text_.replace(range.begin, range.length, random_.from(words));
    break;
  case 9:
    insert(random_.from(words));
    break;
  case 10:
    insert(std::string(size_t{1} << random_.below(12), static_cast<char>(random_.next())));
    break;
  case 11:
    random_.below(4) == 0 ? nest() : editNumber();
    break;
  case 12:
  case 13:
    editNumber();
    break;
  default:
    editLength();
  }
}

} // namespace

std::string makeMutant(std::span<const std::string> inputs, uint64_t seed, uint64_t index) {
  Random random(seed, index);
  Mutator mutator(inputs, random);
  for (size_t i = 0, changes = 1 + random.below(4); i < changes; ++i)
    mutator.change();
  std::string mutant = mutator.take();
  mutant.resize(std::min(mutant.size(), largest));
  return mutant;
}

} // namespace llama4::fuzz
