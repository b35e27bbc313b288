//===- ImageTestSupport.h - files, hashes and pictures for tests -*- C++ -*-===//
#ifndef LLAMA4_TEST_IMAGE_IMAGETESTSUPPORT_H
#define LLAMA4_TEST_IMAGE_IMAGETESTSUPPORT_H

#include "runtime/image/Decode.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace llama4::image::test {

using Json = nlohmann::json;

/// The whole file; a test failure and an empty string when it cannot be read.
std::string readFile(const std::filesystem::path &path);
Json readJson(const std::filesystem::path &path);
/// A file under test/data.
std::filesystem::path dataPath(std::string_view relative);
/// The folder with the reference outputs called `name`: the whole of them in $LLAMA4_ORACLES (or
/// shared/oracles beside the source tree); where that is missing, which one line says, the part in
/// test/data; empty where there is none.
std::filesystem::path oracleFolder(const std::string &name);

std::string sha256(std::span<const uint8_t> bytes);
inline std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Decodes or fails the test, then with an empty picture.
RgbImage decodeFile(const std::filesystem::path &path, const DecodeOptions &options = {});

/// Pixels from a linear congruential generator, as in tools/dev/resize_cases.py.
RgbImage noise(ImageSize size, uint32_t seed);

/// Expects InvalidInput and one sentence that contains `part`.
void expectRefused(const Status &status, std::string_view part);

} // namespace llama4::image::test

#endif // LLAMA4_TEST_IMAGE_IMAGETESTSUPPORT_H
