//===- SafetensorsTest.cpp - the reader refuses, the writer round-trips ---===//

#include "runtime/format/Safetensors.h"
#include "test/checkpoint/TestFiles.h"

#include <numeric>

using namespace llama4;
using namespace llama4::test;

namespace {

const std::string kEight(8, 'd');

Status parseStatus(const std::string &file) { return parseSafetensors(bytesOf(file)).status(); }

/// A header of one F32 tensor [2] that fills 8 bytes, with one piece replaced.
std::string header(const std::string &name = "\"a\"", const std::string &dtype = "\"F32\"",
                   const std::string &shape = "[2]", const std::string &offsets = "[0,8]") {
  return "{" + name + ":{\"dtype\":" + dtype + ",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}}";
}

TEST(Safetensors, ReadsAWellFormedFile) {
  std::string file =
      safetensors("{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"b\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[4,12]},"
                  "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[0,4]},"
                  "\"c\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]}} ",
                  std::string("abcd") + kEight);
  auto content = parseSafetensors(bytesOf(file));
  ASSERT_TRUE(content.ok()) << content.status().message();
  ASSERT_EQ(content->tensors.size(), 3u);
  EXPECT_EQ(content->tensors[0].name, "a");
  EXPECT_EQ(content->tensors[0].dtype, DType::BF16);
  EXPECT_EQ(content->tensors[0].shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(std::memcmp(content->tensors[0].bytes.data(), "abcd", 4), 0);
  EXPECT_EQ(content->tensors[1].bytes.size(), 8u);
  EXPECT_TRUE(content->tensors[2].bytes.empty());
  EXPECT_EQ(content->metadata.at("format"), "pt");
}

TEST(Safetensors, RefusesEveryKindOfDamage) {
  ASSERT_TRUE(parseStatus(safetensors(header(), kEight)).ok());
  struct Case {
    const char *what;
    std::string file;
    const char *part;
  };
  const std::string two = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                          "\"%\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[@]}}";
  auto second = [&](const char *name, const char *offsets) {
    std::string text = two;
    text.replace(text.find('%'), 1, name);
    return text.replace(text.find('@'), 1, offsets);
  };
  std::string bomb = "{\"a\":";
  for (int i = 0; i < 200000; ++i)
    bomb += "[";
  const Case cases[] = {
      {"no length", "abc", "header length"},
      {"header above 100 MB", raw<uint64_t>(100'000'001) + "{}", "at most 100000000"},
      {"header above the file", raw<uint64_t>(50) + "{}", "inside the file"},
      {"length of 2^64 - 1", raw<uint64_t>(~0ull) + "{}", "at most"},
      {"not an object", safetensors(" {}", ""), "'{'"},
      {"empty header", safetensors("", ""), "'{'"},
      {"duplicate tensor", safetensors(second("a", "4,8"), kEight), "twice"},
      {"overlap", safetensors(second("b", "2,6"), kEight), "neither overlap nor hole"},
      {"hole", safetensors(second("b", "4,8"), kEight + "xxxx"), "after the last tensor"},
      {"hole between", safetensors(second("b", "8,12"), kEight + "xxxx"), "to begin at 4"},
      {"trailing bytes", safetensors(header(), kEight + "x"), "after the last tensor"},
      {"product overflow",
       safetensors(header("\"a\"", "\"F32\"", "[4294967296,4294967296,4]"), kEight), "64 bits"},
      {"product overflow to the right size",
       safetensors(header("\"a\"", "\"F32\"", "[9223372036854775807,2,2]"), kEight), "64 bits"},
      {"size mismatch", safetensors(header("\"a\"", "\"F32\"", "[3]"), kEight), "12 bytes"},
      {"bad dtype", safetensors(header("\"a\"", "\"F31\""), kEight), "\"F31\""},
      {"block dtype by its GGUF name", safetensors(header("\"a\"", "\"\""), kEight), "dtype"},
      {"bad UTF-8", safetensors(header("\"\xff\""), kEight), "JSON"},
      {"lone surrogate", safetensors(header("\"\\ud800\""), kEight), "JSON"},
      {"depth bomb", safetensors(bomb, ""), "an array"},
      {"NUL hides the rest", safetensors(header() + std::string("\0x", 2), kEight), "NUL"},
      {"text after the object", safetensors(header() + "{}", kEight), "JSON"},
      {"offsets backwards", safetensors(header("\"a\"", "\"F32\"", "[0]", "[8,0]"), kEight),
       "inside"},
      {"offsets outside", safetensors(header("\"a\"", "\"F32\"", "[4]", "[0,16]"), kEight),
       "inside the 8 bytes"},
      {"three offsets", safetensors(header("\"a\"", "\"F32\"", "[2]", "[0,8,8]"), kEight),
       "more than two"},
      {"one offset", safetensors(header("\"a\"", "\"F32\"", "[2]", "[0]"), kEight), "fewer"},
      {"negative extent", safetensors(header("\"a\"", "\"F32\"", "[-2]"), kEight), "negative"},
      {"fractional extent", safetensors(header("\"a\"", "\"F32\"", "[2.0]"), kEight), "integer"},
      {"extent of 2^63", safetensors(header("\"a\"", "\"F32\"", "[9223372036854775808]"), kEight),
       "2^63"},
      {"17 dimensions",
       safetensors(header("\"a\"", "\"F32\"", "[2,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), kEight),
       "dimensions"},
      {"shape as text", safetensors(header("\"a\"", "\"F32\"", "\"2\""), kEight), "text"},
      {"dtype as number", safetensors(header("\"a\"", "7"), kEight), "a number"},
      {"a null tensor", safetensors("{\"a\":null}", ""), "null"},
      {"a tensor without offsets", safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", kEight),
       "without all of"},
      {"a field twice",
       safetensors("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"I32\",\"shape\":[2],"
                   "\"data_offsets\":[0,8]}}",
                   kEight),
       "twice"},
      {"an unknown field", safetensors("{\"a\":{\"code\":\"import os\"}}", kEight), "code"},
      {"metadata that is a list", safetensors("{\"__metadata__\":[]}", ""), "an array"},
      {"metadata of numbers", safetensors("{\"__metadata__\":{\"a\":1}}", ""), "__metadata__"},
      {"metadata key twice", safetensors("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", ""),
       "twice"},
      {"metadata twice", safetensors("{\"__metadata__\":{},\"__metadata__\":{}}", ""), "twice"},
  };
  for (const Case &c : cases)
    expectRefused(parseStatus(c.file), c.part, c.what);
}

TEST(Safetensors, NamesInErrorsAreHarmless) {
  Status status = parseStatus(safetensors(header("\"\\u001b[2Jx\"", "\"F31\""), kEight));
  EXPECT_EQ(status.message().find('\x1b'), std::string::npos);
  expectRefused(status, "\\x1b[2Jx", "terminal escape");
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string file = readFile(LLAMA4_TEST_DATA "/gguf_blocks/q4_0.safetensors");
  ASSERT_TRUE(parseStatus(file).ok());
  for (size_t size = 0; size < file.size(); size += size < 1024 ? 1 : 97)
    EXPECT_EQ(parseStatus(file.substr(0, size)).kind(), StatusKind::InvalidInput) << size;
  EXPECT_FALSE(parseStatus(file.substr(0, file.size() - 1)).ok());
}

/// Any damage to the header is either refused or gives tensors that lie inside the file.
TEST(Safetensors, DamagedHeadersNeverEscape) {
  const std::string file = readFile(LLAMA4_TEST_DATA "/gguf_blocks/q4_0.safetensors");
  std::mt19937 random(7);
  size_t refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string mutant = file;
    for (unsigned i = 0, n = 1 + random() % 3; i < n; ++i)
      mutant[random() % 300] = "0123456789,:[]{}\"\\ae\xff\0"[random() % 23];
    auto content = parseSafetensors(bytesOf(mutant));
    refused += !content.ok();
    if (!content.ok())
      continue;
    for (const SafetensorsTensor &tensor : content->tensors) {
      ASSERT_EQ(tensorBytes(tensor.dtype, tensor.shape), tensor.bytes.size());
      const size_t begin = static_cast<size_t>(tensor.bytes.data() - bytesOf(mutant).data());
      ASSERT_TRUE(rangeInside(begin, tensor.bytes.size(), mutant.size()));
    }
  }
  EXPECT_GT(refused, 4000u);
}

TEST(Safetensors, WriterRoundTripsEveryType) {
  TempFolder folder;
  std::string data(256, '\0');
  std::iota(data.begin(), data.end(), '\0');
  std::vector<SafetensorsTensor> tensors;
  for (const DTypeInfo &row : kDTypes)
    if (!row.safetensors.empty())
      tensors.push_back({"t/\"\\\n\xc3\xa9" + std::string(row.name),
                         row.dtype,
                         {3, 1, 2},
                         bytesOf(data).first(6 * row.blockBytes)});
  tensors.push_back({"scalar", DType::F32, {}, bytesOf(data).first(4)});
  tensors.push_back({"empty", DType::U8, {0}, {}});
  const std::string path = folder / "x.safetensors";
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"a", "b\n"}}).ok());
  auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors().size(), tensors.size());
  EXPECT_EQ(file->metadata().at("a"), "b\n");
  EXPECT_EQ(file->find("nothing"), nullptr);
  for (const SafetensorsTensor &tensor : tensors) {
    const SafetensorsTensor *found = file->find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->dtype, tensor.dtype);
    EXPECT_EQ(found->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(found->bytes, tensor.bytes));
    const auto address = reinterpret_cast<uintptr_t>(found->bytes.data());
    EXPECT_EQ(address % dtypeInfo(tensor.dtype).blockBytes, 0u) << tensor.name;
  }
  std::reverse(tensors.begin(), tensors.end());
  const std::string first = readFile(path);
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"a", "b\n"}}).ok());
  EXPECT_EQ(readFile(path), first) << "the order of the input must not matter";
}

TEST(Safetensors, WriterRefusesWhatNoReaderTakes) {
  TempFolder folder;
  const std::string path = folder / "x.safetensors";
  auto write = [&](std::vector<SafetensorsTensor> tensors) {
    return writeSafetensors(path, tensors);
  };
  auto bytes = bytesOf(kEight);
  expectRefused(write({{"a", DType::F32, {3}, bytes}}), "expected 12", "size");
  expectRefused(write({{"a", DType::F32, {2}, bytes}, {"a", DType::F32, {2}, bytes}}), "twice",
                "duplicate");
  expectRefused(write({{"a", DType::Q4_0, {0}, {}}}), "q4_0", "block type");
  expectRefused(write({{"\xff", DType::F32, {2}, bytes}}), "UTF-8", "name");
  expectRefused(write({{"__metadata__", DType::F32, {2}, bytes}}), "reserved", "name");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "a refused write leaves nothing";
  EXPECT_EQ(SafetensorsFile::open(folder / "none").status().kind(), StatusKind::NotFound);
}

} // namespace
