//===- TextTestSupport.cpp - files and oracles for the text tests *- C++ -*-===//

#include "test/text/TextTestSupport.h"

#include "runtime/text/build/TokenizerBuilder.h"

#include <gtest/gtest.h>
#include <lzma.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
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

std::string fromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::vector<TokenId> idsOf(const Json &list) { return list.get<std::vector<TokenId>>(); }

BuiltTokenizer buildHf(const std::filesystem::path &tokenizer,
                       const std::filesystem::path &config) {
  auto section = buildFromHfJson(readFile(tokenizer), config.empty() ? "" : readFile(config));
  if (!section.ok())
    throw std::runtime_error(section.status().message());
  std::vector<std::byte> bytes = section.take();
  auto opened = Tokenizer::fromSection(bytes); // a moved vector keeps its storage
  if (!opened.ok())
    throw std::runtime_error(opened.status().message());
  return {std::move(bytes), opened.take()};
}

} // namespace llama4::text::test
