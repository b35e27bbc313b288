//===- fuzz_checkpoint.cpp - a checkpoint's files, up to the model ---------===//
//
// The input is a folder: each file begins with a byte 0x1e and a letter for its name (see `names`);
// safetensors files as Fuzz.h says. It is opened, its model declared, and its tokenizer, template
// and generation defaults read. A file G is a checkpoint of its own, in GGUF.
//
//===----------------------------------------------------------------------===//

#include "compiler/driver/TextSections.h"
#include "models/Registry.h"
#include "test/fuzz/Fuzz.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <unistd.h>

using namespace llama4;

namespace {

const std::map<char, const char *> names = {
    {'c', "config.json"},         {'g', "generation_config.json"},
    {'t', "tokenizer.json"},      {'k', "tokenizer_config.json"},
    {'j', "chat_template.jinja"}, {'i', "model.safetensors.index.json"},
    {'s', "model.safetensors"},   {'a', "model-00001.safetensors"},
    {'G', "model.gguf"}};

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("llama4_checkpoint_" + std::to_string(::getpid()));
  ~Folder() { std::filesystem::remove_all(path); }
};

/// Writes the files of an input; true when one of them is a GGUF file.
bool writeFiles(const std::filesystem::path &folder, std::string_view input) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  bool isGguf = false;
  for (size_t at = input.find('\x1e'); at != std::string_view::npos && at + 1 < input.size();) {
    const size_t next = input.find('\x1e', at + 2);
    const auto name = names.find(input[at + 1]);
    std::string_view bytes =
        input.substr(at + 2, next == std::string_view::npos ? next : next - at - 2);
    if (name != names.end()) {
      const bool tensors = name->first == 's' || name->first == 'a';
      std::ofstream(folder / name->second, std::ios::binary)
          << (tensors ? fuzz::safetensorsFrom(reinterpret_cast<const uint8_t *>(bytes.data()),
                                              bytes.size())
                      : std::string(bytes));
      isGguf |= name->first == 'G';
    }
    at = next;
  }
  return isGguf;
}

Status readAll(const std::string &path) {
  Checkpoint::Options options;
  options.allowMissingWeights = true;
  LLAMA4_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(path, options));
  if (auto text = buildTextSections(checkpoint, ModelInfo()); !text.ok())
    return text.status();
  if (auto defaults = readGenerationDefaults(checkpoint); !defaults.ok())
    return defaults.status();
  return models::buildModel(checkpoint, models::ModelOptions()).status();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  const bool isGguf = writeFiles(folder.path, {reinterpret_cast<const char *>(data), size});
  const Status status = readAll(isGguf ? folder.path / "model.gguf" : folder.path);
  if (status.ok())
    fuzz::take();
  else // a missing file is another mistake than a wrong one, a length beyond the model a third
    status.kind() == StatusKind::Usage
        ? fuzz::refuse(status, StatusKind::Usage)
        : fuzz::refuse(status, StatusKind::InvalidInput, StatusKind::NotFound);
  return 0;
}
