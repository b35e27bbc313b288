//===- fuzz_invoke.cpp - tensors that a person gives to a program ----------===//
//
// Any safetensors file (Fuzz.h says how the input stands for it) as the tokens of `invoke`, and as
// the inputs of each entry of a small program, which runs with those that fit.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Invoke.h"
#include "test/engine/TinyModel.h"
#include "test/fuzz/Fuzz.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace llama4;

namespace {
/// A program on one thread, and the file that inputs are written to.
struct Site {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("llama4_invoke_" + std::to_string(::getpid()));
  std::string file = folder / "input.safetensors";
  std::unique_ptr<Device> device = test::tinyDevice(1);
  std::shared_ptr<const Program> program;
  Site() {
    std::filesystem::create_directories(folder);
    program = test::loadTiny(folder / "tiny.l4x");
  }
  ~Site() { std::filesystem::remove_all(folder); }
};
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Site site;
  std::ofstream(site.file, std::ios::binary) << fuzz::safetensorsFrom(data, size);
  auto file = SafetensorsFile::open(site.file);
  if (!file.ok()) {
    fuzz::refuse(file.status());
    return 0;
  }
  if (auto tokens = readTokenInput(*file); !tokens.ok())
    fuzz::refuse(tokens.status());
  else
    fuzz::take();
  for (const Entry &entry : site.program->desc().entries) {
    auto out = invokeEntry(site.program, *site.device, entry.name, *file);
    if (!out.ok())
      fuzz::refuse(out.status(), StatusKind::InvalidInput, StatusKind::Usage);
    else
      fuzz::take();
  }
  return 0;
}
