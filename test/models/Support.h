//===- Support.h - what tests of models share -------------------*- C++ -*-===//
#ifndef LLAMA4_TEST_MODELS_SUPPORT_H
#define LLAMA4_TEST_MODELS_SUPPORT_H

#include "compiler/import/Import.h"
#include "compiler/reference/Interpreter.h"
#include "models/Registry.h"
#include "runtime/format/Safetensors.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace llama4::test {

using namespace llama4::reference;
namespace fs = std::filesystem;

/// A declared and imported checkpoint, ready to run.
struct Model {
  Checkpoint checkpoint;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<CheckpointParams> params;
  std::unique_ptr<Interpreter> interpreter;

  explicit Model(Checkpoint opened, const models::ModelOptions &options = {})
      : checkpoint(std::move(opened)) {
    context.disableMultithreading();
    auto graph = models::buildModel(checkpoint, options);
    EXPECT_TRUE(graph.ok()) << graph.status().message();
    if (graph.ok())
      module = importGraph(context, **graph);
    EXPECT_TRUE(module);
    params = std::make_unique<CheckpointParams>(checkpoint);
    interpreter = std::make_unique<Interpreter>(*module, *params);
  }

  /// Logits of tokens that continue sequence 0 at `position`; `images` are what they see.
  HostTensor run(const std::vector<int32_t> &ids, int64_t position, const StepImages &images = {}) {
    Batch batch;
    for (size_t i = 0; i < ids.size(); ++i) {
      batch.positions.push_back(position + static_cast<int64_t>(i));
      batch.sequences.push_back(0);
    }
    auto logits = runTokens(*interpreter, ids, batch, images);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    return logits.ok() ? logits.take() : HostTensor();
  }
};

inline Checkpoint open(const std::string &path) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  return checkpoint.take();
}

inline NamedTensors readGolden(const std::string &folder, const std::string &name) {
  auto tensors = readTensors(folder + "/golden/" + name + ".safetensors");
  EXPECT_TRUE(tensors.ok()) << tensors.status().message();
  return tensors.ok() ? tensors.take() : NamedTensors();
}

inline void expectNear(const HostTensor &actual, const HostTensor &expected, float atol,
                       float rtol) {
  ASSERT_EQ(actual.shape, expected.shape);
  float worst = 0;
  for (size_t i = 0; i < actual.values.size(); ++i) {
    const float allowed = atol + rtol * std::fabs(expected.values[i]);
    const float error = std::fabs(actual.values[i] - expected.values[i]);
    worst = std::max(worst, error);
    ASSERT_LE(error, allowed) << "at element " << i << ": found " << actual.values[i]
                              << ", expected " << expected.values[i];
  }
  testing::Test::RecordProperty("worst", std::to_string(worst));
}

inline int32_t argmax(std::span<const float> row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

/// A copy of an oracle's checkpoint that a test may change; removed at the end.
class Copy {
public:
  explicit Copy(const std::string &folder) {
    std::string name = fs::temp_directory_path() / "llama4-models-XXXXXX";
    path_ = mkdtemp(name.data());
    for (const auto &file : fs::directory_iterator(folder))
      if (file.is_regular_file())
        fs::copy(file.path(), path_ / file.path().filename());
  }
  ~Copy() { fs::remove_all(path_); }

  std::string path() const { return path_; }
  std::string read(const std::string &file) const {
    std::ifstream in(path_ / file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string &file, const std::string &text) {
    std::ofstream(path_ / file) << text;
  }
  /// Replaces text in config.json; it must be there.
  void edit(const std::string &from, const std::string &to) {
    std::string text = read("config.json");
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write("config.json", text.replace(at, from.size(), to));
  }
  /// Rewrites model.safetensors with `change` applied to the list of tensors.
  template <typename Change> void rewrite(Change change) {
    auto file = SafetensorsFile::open(path_ / "model.safetensors");
    ASSERT_TRUE(file.ok()) << file.status().message();
    std::vector<SafetensorsTensor> tensors = file->tensors();
    change(tensors);
    ASSERT_TRUE(writeSafetensors(path_ / "new.safetensors", tensors).ok());
    fs::rename(path_ / "new.safetensors", path_ / "model.safetensors");
  }

private:
  fs::path path_;
};

inline std::string dump(const std::string &path, bool withLocations = true) {
  Model model(open(path));
  std::string text;
  llvm::raw_string_ostream out(text);
  mlir::OpPrintingFlags flags;
  model.module->print(out, withLocations ? flags.enableDebugInfo() : flags);
  return text;
}

inline std::string errorOf(const std::string &path, const models::ModelOptions &options = {}) {
  auto checkpoint = Checkpoint::open(path);
  if (!checkpoint.ok())
    return checkpoint.status().message();
  auto graph = models::buildModel(*checkpoint, options);
  EXPECT_FALSE(graph.ok());
  return graph.status().message();
}

/// The dump of what config.json alone declares, without weights.
inline std::string graphWithoutWeights(const std::string &config,
                                       const models::ModelOptions &options) {
  std::string folder = fs::temp_directory_path() / "llama4-config-XXXXXX";
  folder = mkdtemp(folder.data());
  std::ofstream(folder + "/config.json") << config;
  Checkpoint::Options opening;
  opening.allowMissingWeights = true;
  auto checkpoint = Checkpoint::open(folder, opening);
  fs::remove_all(folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  if (!checkpoint.ok())
    return "";
  auto graph = models::buildModel(*checkpoint, options);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph.ok() ? dumpGraph(**graph) : std::string();
}

/// `text` with every `from` of `edits` replaced; each must be there.
inline std::string edited(std::string text,
                          const std::vector<std::pair<std::string, std::string>> &edits) {
  for (const auto &[from, to] : edits) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos)
      text.replace(at, from.size(), to);
  }
  return text;
}

/// How often `part` stands in `text`.
inline size_t count(const std::string &text, const std::string &part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

inline void expectContains(const std::string &text, const std::string &part) {
  EXPECT_NE(text.find(part), std::string::npos) << "found: " << text << "\nexpected: " << part;
}

} // namespace llama4::test

#endif // LLAMA4_TEST_MODELS_SUPPORT_H
