//===- ImageTestSupport.cpp - files, hashes and pictures for tests --------===//

#include "test/image/ImageTestSupport.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <iterator>
#include <openssl/sha.h>

namespace llama4::image::test {

namespace fs = std::filesystem;

std::string readFile(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Json readJson(const fs::path &path) {
  Json json = Json::parse(readFile(path), nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(json.is_discarded()) << path;
  return json;
}

fs::path dataPath(std::string_view relative) { return fs::path(LLAMA4_TEST_DATA) / relative; }

fs::path oracleFolder(const std::string &name) {
  const char *given = std::getenv("LLAMA4_ORACLES");
  const fs::path root =
      given ? fs::path(given) : dataPath("../../../shared/oracles").lexically_normal();
  if (fs::exists(root / name))
    return root / name;
  std::cout << "skipped: the whole of " << name << " (set LLAMA4_ORACLES)\n";
  return fs::exists(dataPath(name)) ? dataPath(name) : fs::path();
}

std::string sha256(std::span<const uint8_t> bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  std::string text;
  for (unsigned char byte : digest) {
    constexpr char hex[] = "0123456789abcdef";
    text += {hex[byte >> 4], hex[byte & 15]};
  }
  return text;
}

RgbImage decodeFile(const fs::path &path, const DecodeOptions &options) {
  const std::string bytes = readFile(path);
  auto image = decodeImage(bytesOf(bytes), options);
  EXPECT_TRUE(image.ok()) << path << ": " << image.status().message();
  return image.ok() ? image.take() : RgbImage();
}

RgbImage noise(ImageSize size, uint32_t seed) {
  RgbImage image{size, std::vector<uint8_t>(3 * size.pixels())};
  for (uint8_t &value : image.pixels) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<uint8_t>(seed >> 24);
  }
  return image;
}

void expectRefused(const Status &status, std::string_view part) {
  EXPECT_EQ(status.kind(), StatusKind::InvalidInput);
  const std::string &text = status.message();
  EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_TRUE(text.starts_with("found ") || text.find(": found ") != std::string::npos) << text;
  EXPECT_TRUE(text.ends_with(".")) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

} // namespace llama4::image::test
