//===- Checkpoint.h - a model's files, opened and checked -------*- C++ -*-===//
//
// A Hugging Face folder (config.json, model.safetensors or shards with an index, tokenizer files)
// or a .gguf file, as one configuration and one table of tensors. Files are only opened when they
// resolve to a place inside the folder (or inside the repository folder of a Hugging Face cache,
// whose snapshots are links); nothing in them is executed, pickles are not read.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_CHECKPOINT_H
#define LLAMA4_COMPILER_CHECKPOINT_CHECKPOINT_H

#include "compiler/checkpoint/Config.h"
#include "compiler/checkpoint/Gguf.h"
#include "compiler/checkpoint/SourceTensor.h"
#include "runtime/base/File.h"
#include "runtime/base/Status.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llama4 {

class CheckpointFolder;

/// A weight file of a checkpoint.
struct CheckpointFile {
  std::string name; ///< file name without folder
  uint64_t size = 0;
  uint64_t headerBytes = 0; ///< bytes before the first tensor's data
};

/// An opened checkpoint. Move-only; it owns the mappings that tensors and GGUF metadata point into.
class Checkpoint {
public:
  struct Options {
    /// Accept a folder with config.json and no weights (weights are then made up elsewhere).
    bool allowMissingWeights = false;
  };

  /// Opens a folder or a .gguf file. Errors: NotFound (no such path, no config.json, no weights),
  /// InvalidInput (anything malformed, also names that leave the folder), Io. Each names its file.
  static Result<Checkpoint> open(const std::string &path, const Options &options);
  static Result<Checkpoint> open(const std::string &path) { return open(path, Options()); }

  /// The configuration; reading it records (see Config::unreadFields).
  const Config &config() const { return *config_; }
  /// All tensors of all files, sorted by name.
  const std::vector<SourceTensor> &tensors() const { return tensors_; }
  /// The tensor called `name`, or null.
  const SourceTensor *find(std::string_view name) const;
  /// The existing name closest to `name` by edit distance; empty without tensors. For errors.
  std::string nearestName(std::string_view name) const;

  bool isGguf() const { return gguf_.has_value(); }
  /// The GGUF header (vocabulary, chat template, ...). Only if isGguf().
  const Gguf &gguf() const { return *gguf_; }

  /// Raw texts of optional files of a folder; absent for GGUF and where there is no such file.
  const std::optional<std::string> &generationConfig() const { return generationConfig_; }
  const std::optional<std::string> &tokenizer() const { return tokenizer_; }
  const std::optional<std::string> &tokenizerModel() const { return tokenizerModel_; }
  const std::optional<std::string> &tokenizerConfig() const { return tokenizerConfig_; }
  const std::optional<std::string> &chatTemplate() const { return chatTemplate_; }
  const std::optional<std::string> &preprocessorConfig() const { return preprocessorConfig_; }
  const std::optional<std::string> &processorConfig() const { return processorConfig_; }

  /// The weight files; SourceTensor::file is an index into them.
  const std::vector<CheckpointFile> &files() const { return files_; }
  const std::string &path() const { return path_; }
  /// Takes what was read of the weight files out of this process's memory; it is read again where
  /// it is needed again.
  void dropPages() const;

  /// One line per part of the checkpoint: name, size and XXH3-128 of its text or, for weight files,
  /// of its header. Equal for copies in other folders; doesn't see changed weight bytes.
  std::string identity() const;

private:
  Checkpoint() = default;
  Status openGguf();
  Status openFolder(const Options &options);
  Status openShards(const CheckpointFolder &folder);
  Status openWeightFile(const CheckpointFolder &folder, const std::string &name);
  Status sortTensors();

  std::string path_;
  std::optional<Config> config_;
  std::string configText_;
  std::vector<MappedFile> mappings_; ///< parallel to files_
  std::vector<CheckpointFile> files_;
  std::vector<SourceTensor> tensors_;
  std::optional<Gguf> gguf_;
  std::optional<std::string> generationConfig_, tokenizer_, tokenizerModel_, tokenizerConfig_,
      chatTemplate_, preprocessorConfig_, processorConfig_;
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_CHECKPOINT_H
