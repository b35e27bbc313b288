//===- GgufTest.cpp - GGUF files, whole and damaged -----------------------===//

#include "compiler/checkpoint/Gguf.h"
#include "runtime/base/Checked.h"
#include "runtime/base/File.h"
#include "test/checkpoint/TestFiles.h"

#include <ctime>
#include <functional>

using namespace llama4;
using namespace llama4::test;

namespace {

Status parseStatus(const std::string &file) { return Gguf::parse(bytesOf(file)).status(); }

TEST(Gguf, ReadsAWellFormedFile) {
  for (uint32_t version : {2u, 3u}) {
    GgufBuilder builder = llamaGguf();
    builder.version = version;
    const std::string file = builder.bytes();
    auto gguf = Gguf::parse(bytesOf(file));
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    EXPECT_EQ(gguf->version(), version);
    EXPECT_EQ(gguf->find("general.architecture")->string(), "llama");
    EXPECT_EQ(gguf->find("llama.block_count")->integer(), 2);
    EXPECT_EQ(gguf->find("llama.block_count")->number(), 2.0);
    EXPECT_EQ(gguf->find("llama.block_count")->boolean(), std::nullopt);
    EXPECT_EQ(gguf->find("llama.rope.freq_base")->number(), 10000.0);
    EXPECT_EQ(gguf->find("llama.rope.freq_base")->integer(), std::nullopt);
    EXPECT_EQ(gguf->find("tokenizer.ggml.add_bos_token")->boolean(), true);
    EXPECT_EQ(gguf->find("tokenizer.ggml.tokens")->strings(),
              (std::vector<std::string_view>{"a", "bc", ""}));
    EXPECT_EQ(gguf->find("tokenizer.ggml.tokens")->integers(), std::nullopt);
    EXPECT_EQ(gguf->find("tokenizer.ggml.token_type")->integers(), (std::vector<int64_t>{-1, 7}));
    EXPECT_EQ(gguf->find("nothing"), nullptr);
    ASSERT_EQ(gguf->tensors().size(), 2u);
    const SourceTensor *embedding = gguf->findTensor("token_embd.weight");
    ASSERT_NE(embedding, nullptr);
    EXPECT_EQ(embedding->shape, (std::vector<int64_t>{3, 64}));
    EXPECT_EQ(embedding->dtype, DType::Q4_0);
    EXPECT_EQ(embedding->bytes.size(), 108u);
    EXPECT_EQ(embedding->bytes[0], std::byte{'x'});
  }
}

TEST(Gguf, DecodesEveryScalarType) {
  GgufBuilder b;
  b.key("u8", 0, raw<uint8_t>(200))
      .key("i8", 1, raw<int8_t>(-3))
      .key("u16", 2, raw<uint16_t>(65535));
  b.key("i16", 3, raw<int16_t>(-300)).key("i32", 5, raw<int32_t>(-70000));
  b.key("u64", 10, raw<uint64_t>(1ull << 40)).key("i64", 11, raw<int64_t>(-(1ll << 40)));
  b.key("f64", 12, raw<double>(0.1)).key("big", 10, raw<uint64_t>(1ull << 63));
  const std::string file = b.bytes();
  auto gguf = Gguf::parse(bytesOf(file));
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->find("u8")->integer(), 200);
  EXPECT_EQ(gguf->find("i8")->integer(), -3);
  EXPECT_EQ(gguf->find("u16")->integer(), 65535);
  EXPECT_EQ(gguf->find("i16")->integer(), -300);
  EXPECT_EQ(gguf->find("i32")->integer(), -70000);
  EXPECT_EQ(gguf->find("u64")->integer(), 1ll << 40);
  EXPECT_EQ(gguf->find("i64")->integer(), -(1ll << 40));
  EXPECT_EQ(gguf->find("f64")->number(), 0.1);
  EXPECT_EQ(gguf->find("big")->integer(), std::nullopt);
}

TEST(Gguf, RefusesEveryKindOfDamage) {
  using Damage = std::function<void(GgufBuilder &)>;
  struct Case {
    const char *what;
    Damage damage;
    const char *part;
  };
  const std::string one = raw<uint8_t>(1);
  auto replaceData = [](std::string bytes) { return [=](GgufBuilder &b) { b.data = bytes; }; };
  const Case cases[] = {
      {"magic", [](auto &b) { b.magic = "GGML"; }, "magic"},
      {"magic in the other byte order", [](auto &b) { b.magic = "FUGG"; }, "magic"},
      {"version 0", [](auto &b) { b.version = 0; }, "version 0"},
      {"version 1", [](auto &b) { b.version = 1; }, "version 1"},
      {"version 4", [](auto &b) { b.version = 4; }, "version 4"},
      {"big-endian", [](auto &b) { b.version = 3u << 24; }, "big-endian"},
      {"2^63 tensors", [](auto &b) { b.tensorCount = 1ull << 63; }, "tensor count"},
      {"2^64 - 1 tensors", [](auto &b) { b.tensorCount = ~0ull; }, "tensor count"},
      {"one tensor too many", [](auto &b) { ++b.tensorCount; }, "tensor"},
      {"2^63 keys", [](auto &b) { b.keyCount = 1ull << 63; }, "metadata count"},
      {"one key too many", [](auto &b) { ++b.keyCount; }, "tensor number 0"},
      {"empty key", [&](auto &b) { b.key("", 0, one); }, "empty key"},
      {"long key", [&](auto &b) { b.key(std::string(65536, 'k'), 0, one); }, "65535"},
      {"duplicate key", [](auto &b) { b.u32("llama.block_count", 2); }, "twice"},
      {"value type 13", [&](auto &b) { b.key("k", 13, one); }, "value type 13"},
      {"value type 2^32 - 1", [&](auto &b) { b.key("k", ~0u, one); }, "value type"},
      {"boolean 2", [](auto &b) { b.key("k", 7, raw<uint8_t>(2)); }, "boolean of 2"},
      {"string of 2^63 bytes", [](auto &b) { b.key("k", 8, raw<uint64_t>(1ull << 63)); }, "string"},
      {"string past the end", [](auto &b) { b.key("k", 8, raw<uint64_t>(4000)); },
       "a string of 4000"},
      {"nested array",
       [](auto &b) { b.key("k", 9, raw<uint32_t>(9) + raw<uint64_t>(1) + raw<uint64_t>(0)); },
       "array of arrays"},
      {"array of 2^63 u8",
       [](auto &b) { b.key("k", 9, raw<uint32_t>(0) + raw<uint64_t>(1ull << 63)); }, "elements"},
      {"array of 2^61 u64, whose bytes wrap",
       [](auto &b) { b.key("k", 9, raw<uint32_t>(10) + raw<uint64_t>(1ull << 61)); }, "elements"},
      {"array of 2^63 strings",
       [](auto &b) { b.key("k", 9, raw<uint32_t>(8) + raw<uint64_t>(1ull << 63)); }, "elements"},
      {"array of an unknown type",
       [](auto &b) { b.key("k", 9, raw<uint32_t>(77) + raw<uint64_t>(0)); }, "value type 77"},
      {"alignment 0", [](auto &b) { b.u32("general.alignment", 0); }, "power of two"},
      {"alignment 48", [](auto &b) { b.u32("general.alignment", 48); }, "power of two"},
      {"alignment 4", [](auto &b) { b.u32("general.alignment", 4); }, "power of two"},
      {"alignment 2^31", [](auto &b) { b.u32("general.alignment", 1u << 31); }, "power of two"},
      {"alignment as text", [](auto &b) { b.str("general.alignment", "32"); }, "power of two"},
      {"alignment as u64", [](auto &b) { b.key("general.alignment", 10, raw<uint64_t>(32)); },
       "u32"},
      {"duplicate tensor",
       [](auto &b) { b.tensor("output_norm.weight", {8}, 0, std::string(32, 'z')); }, "twice"},
      {"empty tensor name", [](auto &b) { b.info("", {8}, 0, 0); }, "empty name"},
      {"long tensor name", [](auto &b) { b.info(std::string(65, 'n'), {8}, 0, 0); }, "at most 64"},
      {"5 dimensions", [](auto &b) { b.info("t", {1, 1, 1, 1, 1}, 0, 0); }, "5 dimensions"},
      {"extent 0", [](auto &b) { b.info("t", {0}, 0, 0); }, "extent of 0"},
      {"extent 2^63", [](auto &b) { b.info("t", {1ull << 63}, 0, 0); }, "extent of"},
      {"product overflow", [](auto &b) { b.info("t", {1ull << 32, 1ull << 32, 2}, 0, 0); },
       "below 2^64"},
      {"byte overflow", [](auto &b) { b.info("t", {1ull << 62, 2}, 27, 0); }, "below 2^64"},
      {"type 4, removed", [](auto &b) { b.info("t", {32}, 4, 0); }, "ggml type 4"},
      {"type 16, not read", [](auto &b) { b.info("t", {256}, 16, 0); }, "ggml type 16"},
      {"type 2^32 - 1", [](auto &b) { b.info("t", {32}, ~0u, 0); }, "ggml type"},
      {"cut block", [](auto &b) { b.info("t", {48}, 2, 0); }, "whole blocks"},
      {"misaligned offset", [](auto &b) { b.info("t", {1}, 0, 4); }, "multiple of 32"},
      {"offset past the end", [](auto &b) { b.info("t", {8}, 0, 1ull << 40); }, "inside the"},
      {"offset 2^64 - 32", [](auto &b) { b.info("t", {8}, 0, ~0ull - 31); }, "inside the"},
      {"overlap", [](auto &b) { b.info("t", {8}, 0, 32); }, "inside another"},
      {"data cut short", replaceData(std::string(100, 'x')), "cut short"},
      {"no data", replaceData(""), "cut short"},
  };
  for (const Case &c : cases) {
    GgufBuilder builder = llamaGguf();
    c.damage(builder);
    expectRefused(parseStatus(builder.bytes()), c.part, c.what);
  }
}

TEST(Gguf, EveryTruncationIsRefused) {
  GgufBuilder builder = llamaGguf();
  std::string file = builder.bytes();
  // The last tensor is a whole number of alignment units, so the file ends with it.
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_EQ(parseStatus(file.substr(0, size)).kind(), StatusKind::InvalidInput) << size;
  EXPECT_TRUE(parseStatus(file).ok());
}

/// A file with any numbers set to extremes is refused, or its tensors and values lie inside it.
TEST(Gguf, DamagedFieldsNeverEscape) {
  const std::string file = llamaGguf().bytes();
  std::mt19937_64 random(11);
  const uint64_t extremes[] = {
      0,          1,          2,     0x7fffffff,      0x80000000,  0xffffffff,
      1ull << 32, 1ull << 63, ~0ull, file.size() - 1, file.size(), file.size() + 1};
  for (int round = 0; round < 20000; ++round) {
    std::string mutant = file;
    const uint64_t value = extremes[random() % std::size(extremes)];
    const size_t width = size_t{1} << random() % 4;
    std::memcpy(mutant.data() + random() % (mutant.size() - 8), &value, width);
    auto gguf = Gguf::parse(bytesOf(mutant));
    if (!gguf.ok())
      continue;
    for (const auto &[key, entry] : gguf->metadata()) {
      entry.strings();
      entry.integers();
      entry.numbers();
    }
    for (const SourceTensor &tensor : gguf->tensors()) {
      const size_t begin = static_cast<size_t>(tensor.bytes.data() - bytesOf(mutant).data());
      ASSERT_TRUE(rangeInside(begin, tensor.bytes.size(), mutant.size()));
      ASSERT_EQ(tensorBytes(tensor.dtype, tensor.shape), tensor.bytes.size());
    }
  }
}

TEST(Gguf, LargeVocabularyIsWalkedOnce) {
  GgufBuilder builder = llamaGguf();
  std::string tokens = raw<uint32_t>(8) + raw<uint64_t>(128256);
  for (int i = 0; i < 128256; ++i)
    tokens += GgufBuilder::text("token" + std::to_string(i));
  std::string merges = raw<uint32_t>(8) + raw<uint64_t>(280147);
  for (int i = 0; i < 280147; ++i)
    merges += GgufBuilder::text("left" + std::to_string(i) + " right");
  builder.key("tokens", 9, tokens).key("merges", 9, merges);
  const std::string file = builder.bytes();
  const std::clock_t start = std::clock(); // processor time: not what else runs here
  auto gguf = Gguf::parse(bytesOf(file));
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_LT(std::clock() - start, 5 * CLOCKS_PER_SEC);
  auto strings = gguf->find("merges")->strings();
  ASSERT_TRUE(strings);
  EXPECT_EQ(strings->size(), 280147u);
  EXPECT_EQ(strings->back(), "left280146 right");
}

TEST(Gguf, RealFile) {
  const char *path = std::getenv("LLAMA4_SMOLLM2");
  if (!path)
    GTEST_SKIP() << "set LLAMA4_SMOLLM2 to SmolLM2-135M-Instruct.Q4_1.gguf";
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  auto gguf = Gguf::parse(file->bytes());
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->tensors().size(), 272u);
  EXPECT_EQ(gguf->metadata().size(), 33u);
  EXPECT_EQ(gguf->find("tokenizer.ggml.merges")->count(), 48900u);
  EXPECT_EQ(gguf->findTensor("blk.0.ffn_down.weight")->shape, (std::vector<int64_t>{576, 1536}));
}

} // namespace
