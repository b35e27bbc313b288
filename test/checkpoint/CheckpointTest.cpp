//===- CheckpointTest.cpp - folders and GGUF files as checkpoints ---------===//

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/checkpoint/Inspect.h"
#include "runtime/format/Safetensors.h"
#include "test/checkpoint/TestFiles.h"

#include <sys/resource.h>
#include <sys/stat.h>

using namespace llama4;
using namespace llama4::test;
namespace fs = std::filesystem;

namespace {

const std::string kTied = LLAMA4_TEST_DATA "/oracles/llama3-text-tied";
const std::string kUntied = LLAMA4_TEST_DATA "/oracles/llama3-text-untied";

/// A copy of a bundled checkpoint that a test may damage.
struct Copy : TempFolder {
  explicit Copy(const std::string &from) {
    for (const auto &entry : fs::directory_iterator(from))
      if (entry.is_regular_file())
        fs::copy_file(entry.path(), *this / entry.path().filename().string());
  }
  Status status() const { return Checkpoint::open(path()).status(); }
  /// Replaces the first `from` in a text file.
  void edit(const std::string &name, const std::string &from, const std::string &to) const {
    std::string text = readFile(*this / name);
    ASSERT_NE(text.find(from), std::string::npos) << from;
    write(name, text.replace(text.find(from), from.size(), to));
  }
};

TEST(Checkpoint, OpensASingleFile) {
  auto checkpoint = Checkpoint::open(kTied);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->tensors().size(), 56u);
  EXPECT_FALSE(checkpoint->isGguf());
  const SourceTensor *embedding = checkpoint->find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, (std::vector<int64_t>{512, 128}));
  EXPECT_EQ(embedding->dtype, DType::BF16);
  EXPECT_EQ(checkpoint->find("lm_head.weight"), nullptr);
  EXPECT_EQ(checkpoint->nearestName("model.embed_token.weights"), "model.embed_tokens.weight");
  EXPECT_EQ(*checkpoint->config().integer("num_hidden_layers", 1, 100), 6);
  EXPECT_TRUE(checkpoint->tokenizer() && checkpoint->tokenizerConfig() &&
              checkpoint->chatTemplate() && checkpoint->generationConfig());
  EXPECT_FALSE(checkpoint->preprocessorConfig());
}

TEST(Checkpoint, OpensShards) {
  auto checkpoint = Checkpoint::open(kUntied);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->files().size(), 5u);
  EXPECT_EQ(checkpoint->tensors().size(), 39u);
  const SourceTensor *head = checkpoint->find("lm_head.weight");
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(checkpoint->files()[static_cast<size_t>(head->file)].name,
            "model-00005-of-00005.safetensors");
}

TEST(Checkpoint, OpensGguf) {
  TempFolder folder;
  auto checkpoint = Checkpoint::open(folder.write("m.gguf", llamaGguf().bytes()));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_TRUE(checkpoint->isGguf());
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(checkpoint->gguf().find("general.architecture")->string(), "llama");
  Checkpoint moved = checkpoint.take();
  EXPECT_EQ(moved.find("output_norm.weight")->bytes[255], std::byte{'y'}) << "views survive a move";
  const std::string text = inspectCheckpoint(moved);
  EXPECT_NE(text.find("token_embd.weight"), std::string::npos);
  EXPECT_NE(text.find("[3 x string]"), std::string::npos);
}

TEST(Checkpoint, MissingFilesAreNotFound) {
  EXPECT_EQ(Checkpoint::open("/nonexistent/path").status().exitCode(), 66);
  TempFolder empty;
  EXPECT_EQ(Checkpoint::open(empty.path()).status().exitCode(), 66);
  Copy bare(kTied);
  fs::remove(bare / "model.safetensors");
  EXPECT_EQ(bare.status().exitCode(), 66);
  auto withoutWeights = Checkpoint::open(bare.path(), {.allowMissingWeights = true});
  ASSERT_TRUE(withoutWeights.ok());
  EXPECT_TRUE(withoutWeights->tensors().empty());
  EXPECT_EQ(withoutWeights->nearestName("x"), "");
  Copy shards(kUntied);
  fs::remove(shards / "model-00003-of-00005.safetensors");
  EXPECT_EQ(shards.status().exitCode(), 66);
  EXPECT_NE(shards.status().message().find("model-00003-of-00005"), std::string::npos);
  expectRefused(Checkpoint::open(kTied + "/model.safetensors").status(), "give the folder",
                "a weight file");
  expectRefused(Checkpoint::open(kTied + "/config.json").status(), "magic", "no GGUF");
}

TEST(Checkpoint, ShardNamesStayInTheFolder) {
  TempFolder outside;
  outside.write("evil.safetensors", readFile(kUntied + "/model-00005-of-00005.safetensors"));
  const std::string name = "\"lm_head.weight\": \"model-00005-of-00005.safetensors\"";
  auto index = [&](const std::string &shard) {
    Copy copy(kUntied);
    copy.edit("model.safetensors.index.json", name, "\"lm_head.weight\": \"" + shard + "\"");
    return copy.status();
  };
  expectRefused(index(outside / "evil.safetensors"), "plain name", "absolute");
  expectRefused(index("../" + fs::path(outside.path()).filename().string() + "/evil.safetensors"),
                "plain name", "dot dot");
  expectRefused(index(".."), "plain name", "parent");
  expectRefused(index("."), "plain name", "self");
  expectRefused(index(""), "plain name", "empty");
  expectRefused(index("x\\u0000y"), "plain name", "NUL");

  // The same name, replaced by something else on disk.
  auto replaced = [&](auto make) {
    Copy copy(kUntied);
    const std::string shard = copy / "model-00005-of-00005.safetensors";
    fs::remove(shard);
    make(shard);
    return copy.status();
  };
  expectRefused(replaced([&](auto &p) { fs::create_symlink(outside / "evil.safetensors", p); }),
                "leaves the folder", "link out");
  expectRefused(replaced([&](auto &p) { ::mkfifo(p.c_str(), 0600); }), "no regular file", "FIFO");
  expectRefused(replaced([&](auto &p) { fs::create_symlink("/dev/zero", p); }), "leaves the folder",
                "device");
  expectRefused(replaced([&](auto &p) { fs::create_directory(p); }), "no regular file", "folder");
  EXPECT_EQ(replaced([&](auto &p) { fs::create_symlink("nothing", p); }).exitCode(), 66);

  Copy config(kTied);
  const std::string secret = outside.write("secret.json", "{}");
  fs::remove(config / "config.json");
  fs::create_symlink(secret, config / "config.json");
  expectRefused(config.status(), "leaves the folder", "config.json");
}

TEST(Checkpoint, HuggingFaceCacheLinksWork) {
  TempFolder cache;
  const fs::path repo = fs::path(cache.path()) / "models--x--y";
  fs::create_directories(repo / "blobs");
  fs::create_directories(repo / "snapshots/abc");
  for (const char *name : {"config.json", "model.safetensors"}) {
    fs::copy_file(kTied + "/" + name, repo / "blobs" / name);
    fs::create_symlink(fs::path("../../blobs") / name, repo / "snapshots/abc" / name);
  }
  auto checkpoint = Checkpoint::open((repo / "snapshots/abc").string());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->tensors().size(), 56u);
  // A link that leaves the repository is refused even there.
  fs::remove(repo / "snapshots/abc/model.safetensors");
  fs::create_symlink(kTied + "/model.safetensors", repo / "snapshots/abc/model.safetensors");
  expectRefused(Checkpoint::open((repo / "snapshots/abc").string()).status(), "leaves the folder",
                "out of the repository");
}

TEST(Checkpoint, IndexAndShardsMustAgree) {
  const std::string index = "model.safetensors.index.json";
  const std::string head = "\"lm_head.weight\": \"model-00005-of-00005.safetensors\",";
  Copy wrongShard(kUntied);
  wrongShard.edit(index, head, "\"lm_head.weight\": \"model-00001-of-00005.safetensors\",");
  expectRefused(wrongShard.status(), "lm_head.weight", "in another shard");
  Copy absent(kUntied);
  absent.edit(index, head, head + "\"lm_head.bias\": \"model-00005-of-00005.safetensors\",");
  expectRefused(absent.status(), "lm_head.bias", "in no shard");
  Copy unnamed(kUntied);
  unnamed.edit(index, head, "");
  expectRefused(unnamed.status(), "nowhere", "not in the index");
  Copy number(kUntied);
  number.edit(index, head, "\"lm_head.weight\": 5,");
  expectRefused(number.status(), "expected a file name", "number");
  Copy noMap(kUntied);
  noMap.edit(index, "weight_map", "weight_mop");
  expectRefused(noMap.status(), "weight_map", "no map");
  Copy twice(kUntied);
  twice.edit(index, head, head + head);
  expectRefused(twice.status(), "twice", "duplicate key");
}

TEST(Checkpoint, DamagedShardIsNamed) {
  Copy copy(kUntied);
  fs::resize_file(copy / "model-00004-of-00005.safetensors", 300000);
  expectRefused(copy.status(), "model-00004-of-00005.safetensors: tensor \"", "cut shard");
}

TEST(Checkpoint, IdentitySeesHeadersAndTextsButNotTheFolder) {
  Copy copy(kUntied);
  const std::string original = Checkpoint::open(kUntied)->identity();
  EXPECT_EQ(Checkpoint::open(copy.path())->identity(), original);
  EXPECT_NE(original.find("model-00005-of-00005.safetensors 214280 xxh3:"), std::string::npos);
  copy.edit("config.json", "silu", "gelu");
  const std::string changed = Checkpoint::open(copy.path())->identity();
  EXPECT_NE(changed, original);
  copy.edit("model-00005-of-00005.safetensors", "lm_head.weight", "lm_haed.weight");
  copy.edit("model.safetensors.index.json", "lm_head.weight", "lm_haed.weight");
  EXPECT_NE(Checkpoint::open(copy.path())->identity(), changed);
}

/// A terabyte that the file claims and, sparsely, even has, costs nothing.
TEST(Checkpoint, SparseTerabyteCostsNothing) {
  TempFolder folder;
  folder.write("config.json", "{}");
  const uint64_t size = 1ull << 40;
  const std::string header = "{\"w\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(size) +
                             "],\"data_offsets\":[0," + std::to_string(size) + "]}}";
  const std::string path = folder.write("model.safetensors", safetensors(header, ""));
  std::error_code error;
  fs::resize_file(path, 8 + header.size() + size, error);
  if (error)
    GTEST_SKIP() << "the file system has no sparse file of 1 TiB: " << error.message();
  struct rusage before = {}, after = {};
  ::getrusage(RUSAGE_SELF, &before);
  auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->tensors()[0].bytes.size(), size);
  checkpoint->identity();
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 50 * 1024) << "KiB";
  fs::resize_file(path, 8 + header.size() + size - 1);
  expectRefused(Checkpoint::open(folder.path()).status(), "inside the", "one byte short");
}

TEST(Checkpoint, InspectShowsEverything) {
  const std::string text = inspectCheckpoint(*Checkpoint::open(kTied));
  EXPECT_NE(text.find("\"num_hidden_layers\": 6"), std::string::npos);
  EXPECT_NE(text.find("model.safetensors  1811528 bytes"), std::string::npos);
  EXPECT_NE(text.find("model.layers.5.self_attn.v_proj.weight"), std::string::npos);
  EXPECT_NE(text.find("bf16     56 tensors, "), std::string::npos)
      << text.substr(text.size() - 200);
}

TEST(Checkpoint, AllReferenceFolders) {
  if (oracles().empty())
    GTEST_SKIP() << "set LLAMA4_ORACLES; not opened: llama4-*, mllama";
  for (const char *name : {"llama4-text-scout", "llama4-text-maverick", "llama4-text-f32",
                           "llama4-fp8", "llama4-vision", "mllama"}) {
    auto checkpoint = Checkpoint::open(oracles() + "/" + name);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    if (checkpoint.ok())
      EXPECT_FALSE(checkpoint->tensors().empty()) << name;
  }
}

} // namespace
