//===- Models.cpp - compiled reference models for the promises ------------===//

#include "test/promise/Models.h"

#include "runtime/base/File.h"
#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/format/Safetensors.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <sys/wait.h>

namespace llama4::test {

bool fullRun() {
  const char *full = std::getenv("LLAMA4_PROMISE_FULL");
  return full && *full;
}

std::span<const char *const> allEncodings() {
  static constexpr const char *names[] = {"float32", "bfloat16", "q8_0", "q6_k",     "q5_0",
                                          "q4_k",    "q4_1",     "q4_0", "int4_g128"};
  return names;
}

Result<std::string> compileModel(const std::string &checkpoint, const std::string &encoding,
                                 uint32_t length) {
  static std::map<std::string, std::string> done;
  const std::string key = checkpoint + "." + encoding + "." + std::to_string(length);
  if (auto found = done.find(key); found != done.end())
    return found->second;
  const std::string path = ::testing::TempDir() + "promise." + key + ".l4x", log = path + ".log";
  const std::string command =
      "'" LLAMA4_BINARY_DIR "/llama4-compile' '" LLAMA4_TEST_DATA "/oracles/" + checkpoint +
      "' -o '" + path + "' --quantization-encoding " + encoding + " --compute " +
      (encoding == "float32" ? "float32" : "bfloat16") + " --max-step-tokens " +
      std::to_string(modelStepTokens) + " --max-batch-size " + std::to_string(modelBatch) +
      " --max-length " + std::to_string(length) + " 2> '" + log + "'";
  const int ended = std::system(command.c_str());
  if (ended != 0) {
    const bool unknown = WIFEXITED(ended) && WEXITSTATUS(ended) == 2;
    return Status::error(unknown ? StatusKind::Unavailable : StatusKind::Internal,
                         readTextFile(log, 1u << 20).take());
  }
  done[key] = path;
  return path;
}

Result<std::unique_ptr<Device>> openDevice(unsigned threads, const std::string &level) {
  CpuOptions options;
  options.threads = threads;
  options.level = level;
  return createCpuDevice(options);
}

std::vector<std::string> runnableLevels(const std::shared_ptr<const Program> &program) {
  std::vector<std::string> levels;
  for (const CodeObject &code : program->desc().codeObjects)
    if (Result<std::unique_ptr<Device>> device = openDevice(1, code.level);
        device.ok() && Executable::loadableLevel(program, **device).ok())
      levels.push_back(code.level);
  return levels;
}

Golden readGolden(const std::string &checkpoint, const std::string &name) {
  Golden golden;
  Result<SafetensorsFile> file = SafetensorsFile::open(LLAMA4_TEST_DATA "/oracles/" + checkpoint +
                                                       "/golden/" + name + ".safetensors");
  EXPECT_TRUE(file.ok()) << file.status().message();
  const SafetensorsTensor *ids = file->find("input_ids"), *logits = file->find("logits");
  for (size_t at = 0; at < ids->bytes.size(); at += sizeof(int64_t)) {
    int64_t id = 0;
    std::memcpy(&id, ids->bytes.data() + at, sizeof(id));
    golden.ids.push_back(static_cast<int32_t>(id));
  }
  golden.logits.resize(logits->bytes.size() / sizeof(float));
  std::memcpy(golden.logits.data(), logits->bytes.data(), logits->bytes.size());
  return golden;
}

std::vector<int32_t> madeUpText(size_t count, uint32_t vocabulary, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(count);
  for (int32_t &id : ids)
    id = static_cast<int32_t>(random() % vocabulary);
  return ids;
}

} // namespace llama4::test
