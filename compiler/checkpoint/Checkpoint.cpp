//===- Checkpoint.cpp - a model's files, opened and checked ---------------===//

#include "compiler/checkpoint/Checkpoint.h"

#include "compiler/checkpoint/Folder.h"
#include "compiler/checkpoint/Json.h"
#include "runtime/format/Quoted.h"
#include "runtime/format/Safetensors.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

namespace llama4 {

namespace fs = std::filesystem;

static constexpr uint64_t kMaxConfigBytes = 16 << 20, kMaxTokenizerBytes = 256 << 20;
static constexpr const char *kIndexName = "model.safetensors.index.json";
static constexpr const char *kSingleName = "model.safetensors";

Result<Checkpoint> Checkpoint::open(const std::string &path, const Options &options) {
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return Status::error(StatusKind::NotFound,
                         path + ": found nothing, expected a checkpoint folder or a .gguf file; "
                                "check the path.");
  if (!fs::is_directory(status) && fs::path(path).extension() == ".safetensors")
    return Status::invalidInput(path + ": found one weight file, expected the folder that also "
                                       "holds its config.json; give the folder.");
  LLAMA4_RETURN_IF_ERROR(fs::is_directory(status) ? checkpoint.openFolder(options)
                                                  : checkpoint.openGguf());
  LLAMA4_RETURN_IF_ERROR(checkpoint.sortTensors());
  return checkpoint;
}

Status Checkpoint::openGguf() {
  LLAMA4_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path_));
  Result<Gguf> gguf = Gguf::parse(file.bytes());
  if (!gguf.ok())
    return gguf.status().in(path_);
  gguf_ = gguf.take();
  LLAMA4_ASSIGN_OR_RETURN(config_, Config::fromGguf(*gguf_, path_));
  tensors_ = gguf_->tensors();
  files_.push_back({fs::path(path_).filename(), file.size(), gguf_->dataOffset()});
  mappings_.push_back(std::move(file));
  return {};
}

/// Reads the small text files; weights follow.
Status Checkpoint::openFolder(const Options &options) {
  LLAMA4_ASSIGN_OR_RETURN(CheckpointFolder folder, CheckpointFolder::open(path_));
  auto config = folder.readOptional("config.json", kMaxConfigBytes);
  if (!config.ok())
    return config.status();
  if (!*config)
    return Status::error(StatusKind::NotFound,
                         path_ + ": found no config.json, expected a Hugging Face checkpoint; give "
                                 "the folder that holds config.json.");
  configText_ = std::move(**config);
  LLAMA4_ASSIGN_OR_RETURN(config_, Config::parse(configText_, path_ + "/config.json"));

  struct Text {
    const char *name;
    std::optional<std::string> Checkpoint::*member;
    uint64_t limit;
  };
  const Text texts[] = {
      {"generation_config.json", &Checkpoint::generationConfig_, kMaxConfigBytes},
      {"tokenizer.json", &Checkpoint::tokenizer_, kMaxTokenizerBytes},
      {"tokenizer.model", &Checkpoint::tokenizerModel_, kMaxTokenizerBytes},
      {"tokenizer_config.json", &Checkpoint::tokenizerConfig_, kMaxConfigBytes},
      {"chat_template.jinja", &Checkpoint::chatTemplate_, kMaxConfigBytes},
      {"preprocessor_config.json", &Checkpoint::preprocessorConfig_, kMaxConfigBytes},
      {"processor_config.json", &Checkpoint::processorConfig_, kMaxConfigBytes},
  };
  for (const Text &text : texts) {
    LLAMA4_ASSIGN_OR_RETURN(this->*text.member, folder.readOptional(text.name, text.limit));
  }

  if (folder.has(kSingleName))
    return openWeightFile(folder, kSingleName);
  if (folder.has(kIndexName))
    return openShards(folder);
  if (options.allowMissingWeights)
    return {};
  return Status::error(StatusKind::NotFound,
                       path_ + ": found neither " + kSingleName + " nor " + kIndexName +
                           ", expected safetensors weights (pickled .bin and .pth files are never "
                           "read); convert the weights to safetensors.");
}

/// Maps one safetensors file and adds its tensors.
Status Checkpoint::openWeightFile(const CheckpointFolder &folder, const std::string &name) {
  const std::string shown = path_ + "/" + name;
  LLAMA4_ASSIGN_OR_RETURN(std::string real, folder.resolve(name));
  LLAMA4_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(real));
  Result<SafetensorsContent> content = parseSafetensors(file.bytes());
  if (!content.ok())
    return content.status().in(shown);
  const int index = static_cast<int>(files_.size());
  for (SafetensorsTensor &tensor : content->tensors)
    tensors_.push_back(
        {std::move(tensor.name), tensor.dtype, std::move(tensor.shape), tensor.bytes, index});
  files_.push_back({name, file.size(), content->headerBytes});
  mappings_.push_back(std::move(file));
  return {};
}

/// The weight_map of an index: tensor -> shard.
static Result<std::map<std::string, std::string>> readIndex(const CheckpointFolder &folder) {
  const std::string shown = folder.path() + "/" + kIndexName;
  auto text = folder.readOptional(kIndexName, kMaxTokenizerBytes);
  if (!text.ok())
    return text.status();
  LLAMA4_ASSIGN_OR_RETURN(nlohmann::json root, parseJsonObject(text->value_or(""), shown));
  auto map = root.find("weight_map");
  if (map == root.end() || !map->is_object() || map->empty())
    return Status::invalidInput(shown + ": found no weight_map, expected an object of tensor names "
                                        "and file names; fetch the file again.");
  std::map<std::string, std::string> shards;
  for (auto it = map->begin(); it != map->end(); ++it) {
    if (!it->is_string())
      return Status::invalidInput(shown + ": tensor " + quoteName(it.key()) +
                                  ": found no text, expected a file name; fetch the file again.");
    shards[it.key()] = it->get<std::string>();
  }
  return shards;
}

Status Checkpoint::openShards(const CheckpointFolder &folder) {
  auto shards = readIndex(folder);
  if (!shards.ok())
    return shards.status();
  std::set<std::string> names;
  for (const auto &[tensor, shard] : *shards)
    names.insert(shard);
  for (const std::string &name : names)
    LLAMA4_RETURN_IF_ERROR(openWeightFile(folder, name));

  // Index and shards must tell the same story in both directions.
  std::set<std::string_view> stored;
  for (const SourceTensor &tensor : tensors_) {
    const std::string &file = files_[static_cast<size_t>(tensor.file)].name;
    auto entry = shards->find(tensor.name);
    if (entry == shards->end() || entry->second != file)
      return Status::invalidInput(path_ + "/" + file + ": found tensor " + quoteName(tensor.name) +
                                  ", which " + kIndexName + " places " +
                                  (entry == shards->end() ? "nowhere" : quoteName(entry->second)) +
                                  ", expected the two to agree; fetch the files again.");
    stored.insert(tensor.name);
  }
  for (const auto &[tensor, shard] : *shards)
    if (!stored.count(tensor))
      return Status::invalidInput(path_ + "/" + kIndexName + ": found tensor " + quoteName(tensor) +
                                  " placed in " + quoteName(shard) +
                                  ", expected it to be in that file; fetch the files again.");
  return {};
}

Status Checkpoint::sortTensors() {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const SourceTensor &a, const SourceTensor &b) { return a.name < b.name; });
  auto twice = std::adjacent_find(
      tensors_.begin(), tensors_.end(),
      [](const SourceTensor &a, const SourceTensor &b) { return a.name == b.name; });
  if (twice == tensors_.end())
    return {};
  return Status::invalidInput(path_ + ": found tensor " + quoteName(twice->name) +
                              " in two files, expected it once; fetch the files again.");
}

} // namespace llama4
