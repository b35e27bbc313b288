//===- TextTestSupport.cpp - files and oracles for the text tests *- C++ -*-===//

#include "test/text/TextTestSupport.h"

#include <gtest/gtest.h>
#include <lzma.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace llama4::text::test {

static std::string decompressXz(const std::string &packed) {
  lzma_stream stream = LZMA_STREAM_INIT;
  std::string out;
  if (lzma_stream_decoder(&stream, UINT64_MAX, 0) != LZMA_OK)
    return out;
  stream.next_in = reinterpret_cast<const uint8_t *>(packed.data());
  stream.avail_in = packed.size();
  std::vector<char> buffer(1 << 20);
  lzma_ret code = LZMA_OK;
  while (code == LZMA_OK) {
    stream.next_out = reinterpret_cast<uint8_t *>(buffer.data());
    stream.avail_out = buffer.size();
    code = lzma_code(&stream, LZMA_FINISH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
  }
  lzma_end(&stream);
  EXPECT_EQ(code, LZMA_STREAM_END);
  return out;
}

std::string readFile(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return path.extension() == ".xz" ? decompressXz(bytes) : bytes;
}

std::vector<Json> readJsonLines(const std::filesystem::path &path) {
  std::istringstream lines(readFile(path));
  std::vector<Json> values;
  for (std::string line; std::getline(lines, line);)
    if (line.find('{') != std::string::npos) {
      // A lone surrogate escape is no JSON text for this parser; the bytes are in utf8_hex.
      if (size_t text = line.find("\"text\": "), hex = line.find("\"utf8_hex\"");
          text != std::string::npos && hex != std::string::npos)
        line.erase(text, hex - text);
      values.push_back(Json::parse(line));
    }
  return values;
}

std::filesystem::path dataPath(std::string_view relative) {
  return std::filesystem::path(LLAMA4_TEST_DATA) / relative;
}

std::filesystem::path oraclePath(std::string_view relative) {
  const char *root = std::getenv("LLAMA4_ORACLES");
  std::filesystem::path path = root != nullptr
                                   ? std::filesystem::path(root)
                                   : dataPath("../../../shared/oracles").lexically_normal();
  path /= relative;
  if (std::filesystem::exists(path))
    return path;
  std::cout << "skipped: no " << relative << " (set LLAMA4_ORACLES)\n";
  return {};
}

std::filesystem::path metaTokenizerPath(const std::string &name) {
  const char *root = std::getenv("LLAMA4_META_TOKENIZERS");
  std::filesystem::path path = root != nullptr
                                   ? std::filesystem::path(root)
                                   : dataPath("../../.cache/llama-models").lexically_normal();
  path = path / name / "tokenizer.model";
  if (std::filesystem::exists(path))
    return path;
  std::cout << "skipped: no tokenizer.model of " << name << " (set LLAMA4_META_TOKENIZERS)\n";
  return {};
}

std::string fromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string base64(std::string_view bytes) {
  constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t word = 0;
    size_t count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i)
      word = word << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i)
      text += i <= count ? kLetters[word >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::vector<std::string> byteTokens(const std::vector<std::string> &more) {
  std::vector<std::string> tokens;
  for (int byte = 255; byte >= 0; --byte)
    tokens.emplace_back(1, static_cast<char>(byte));
  tokens.insert(tokens.end(), more.begin(), more.end());
  return tokens;
}

std::string tiktokenFile(const std::vector<std::string> &tokens) {
  std::string text;
  for (size_t id = 0; id < tokens.size(); ++id)
    text += base64(tokens[id]) + " " + std::to_string(id) + "\n";
  return text;
}

std::vector<TokenId> idsOf(const Json &list) { return list.get<std::vector<TokenId>>(); }

static BuiltTokenizer opened(Result<std::vector<std::byte>> section) {
  if (!section.ok())
    throw std::runtime_error(section.status().message());
  std::vector<std::byte> bytes = section.take();
  auto tokenizer = Tokenizer::fromSection(bytes); // a moved vector keeps its storage
  if (!tokenizer.ok())
    throw std::runtime_error(tokenizer.status().message());
  return {std::move(bytes), tokenizer.take()};
}

BuiltTokenizer buildHf(const std::filesystem::path &tokenizer,
                       const std::filesystem::path &config) {
  return opened(buildFromHfJson(readFile(tokenizer), config.empty() ? "" : readFile(config)));
}

BuiltTokenizer buildMeta(const std::filesystem::path &model, TiktokenFamily family) {
  return opened(buildFromTiktoken(readFile(model), family));
}

static std::unique_ptr<BuiltTokenizer> buildPublished(const std::string &name) {
  auto own = [](BuiltTokenizer built) {
    return std::make_unique<BuiltTokenizer>(std::move(built));
  };
  if (name == "smollm2")
    return own(buildHf(dataPath("tokenizers/smollm2/tokenizer.json.xz")));
  if (std::filesystem::path model = metaTokenizerPath(name); !model.empty())
    return own(
        buildMeta(model, name == "llama4" ? TiktokenFamily::Llama4 : TiktokenFamily::Llama3));
  if (std::filesystem::path folder = oraclePath("tokenizers/" + name); !folder.empty())
    return own(buildHf(folder / "tokenizer.json.xz"));
  return nullptr;
}

const BuiltTokenizer *publishedTokenizer(const std::string &name) {
  static std::map<std::string, std::unique_ptr<BuiltTokenizer>> built;
  if (!built.contains(name))
    built[name] = buildPublished(name);
  return built[name].get();
}

} // namespace llama4::text::test
