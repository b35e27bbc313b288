//===- TestFiles.h - files made for the checkpoint tests --------*- C++ -*-===//
//
// Temporary folders and builders of well-formed files, whose fields the tests then damage.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_CHECKPOINT_TESTFILES_H
#define LLAMA4_TEST_CHECKPOINT_TESTFILES_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace llama4::test {

/// A new folder, removed with the object.
class TempFolder {
public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "llama4.XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder &) = delete;

  std::string path() const { return path_.string(); }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  /// Writes a file and returns its path.
  std::string write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return *this / name;
  }

private:
  std::filesystem::path path_;
};

inline std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Little-endian bytes of a number.
template <typename T> std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// A safetensors file with this header text and data.
inline std::string safetensors(const std::string &header, const std::string &data) {
  return raw<uint64_t>(header.size()) + header + data;
}

/// Expects an InvalidInput whose sentence contains `part`.
inline void expectRefused(const Status &status, std::string_view part, const std::string &what) {
  EXPECT_EQ(status.kind(), StatusKind::InvalidInput) << what;
  EXPECT_NE(status.message().find(part), std::string::npos)
      << what << ": \"" << status.message() << "\" does not speak of \"" << part << "\"";
}

/// The folder with all reference data, or "" if this machine doesn't have it.
inline std::string oracles() {
  const char *set = std::getenv("LLAMA4_ORACLES");
  std::string path = set ? set : LLAMA4_TEST_DATA "/../../../shared/oracles";
  return std::filesystem::is_directory(path) ? path : "";
}

/// Pieces of a GGUF file. `bytes()` joins them; every piece may be replaced by something wrong.
class GgufBuilder {
public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::string keys, tensors, data;
  uint64_t keyCount = 0, tensorCount = 0;
  uint64_t alignment = 32;

  static std::string text(std::string_view value) {
    return raw<uint64_t>(value.size()) + std::string(value);
  }
  /// A key with a value of type number `type` and this payload.
  GgufBuilder &key(std::string_view name, uint32_t type, const std::string &payload) {
    keys += text(name) + raw(type) + payload;
    ++keyCount;
    return *this;
  }
  GgufBuilder &u32(std::string_view name, uint32_t value) { return key(name, 4, raw(value)); }
  GgufBuilder &f32(std::string_view name, float value) { return key(name, 6, raw(value)); }
  GgufBuilder &str(std::string_view name, std::string_view value) {
    return key(name, 8, text(value));
  }
  /// A tensor info; `ne` is innermost first, as in the file.
  GgufBuilder &info(std::string_view name, std::vector<uint64_t> ne, uint32_t type,
                    uint64_t offset) {
    tensors += text(name) + raw(static_cast<uint32_t>(ne.size()));
    for (uint64_t extent : ne)
      tensors += raw(extent);
    tensors += raw(type) + raw(offset);
    ++tensorCount;
    return *this;
  }
  /// A tensor with its bytes, placed after the others.
  GgufBuilder &tensor(std::string_view name, std::vector<uint64_t> ne, uint32_t type,
                      const std::string &bytes) {
    info(name, std::move(ne), type, data.size());
    data += bytes;
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  std::string bytes() const {
    std::string file = magic + raw(version) + raw(tensorCount) + raw(keyCount) + keys + tensors;
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

/// A small, complete GGUF of architecture llama: one F32 and one Q4_0 tensor.
inline GgufBuilder llamaGguf() {
  GgufBuilder b;
  b.str("general.architecture", "llama")
      .u32("llama.block_count", 2)
      .u32("llama.context_length", 128)
      .u32("llama.embedding_length", 64)
      .u32("llama.feed_forward_length", 96)
      .u32("llama.attention.head_count", 4)
      .u32("llama.attention.head_count_kv", 2)
      .f32("llama.rope.freq_base", 10000.0f)
      .f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .u32("llama.rope.dimension_count", 16)
      .key("tokenizer.ggml.tokens", 9,
           raw<uint32_t>(8) + raw<uint64_t>(3) + GgufBuilder::text("a") + GgufBuilder::text("bc") +
               GgufBuilder::text(""))
      .key("tokenizer.ggml.token_type", 9,
           raw<uint32_t>(5) + raw<uint64_t>(2) + raw<int32_t>(-1) + raw<int32_t>(7))
      .key("tokenizer.ggml.add_bos_token", 7, std::string(1, '\1'))
      .u32("tokenizer.ggml.eos_token_id", 2);
  b.tensor("token_embd.weight", {64, 3}, 2, std::string(3 * 2 * 18, 'x'));
  b.tensor("output_norm.weight", {64}, 0, std::string(256, 'y'));
  return b;
}

} // namespace llama4::test

#endif // LLAMA4_TEST_CHECKPOINT_TESTFILES_H
