// Any bytes as a program file: refused, or a program whose every weight, code object and section
// lies inside the bytes. The first byte says how the others are taken: as they are (0), as a file
// whose checksums are made to fit (1), or as the flatbuffer alone, beside sections of the sizes it
// wants (2 and above).
#include "compiler/emit/ArtifactWriter.h"
#include "runtime/format/CheckProgram.h"
#include "runtime/program/DecodeProgram.h"
#include "runtime/program/Program.h"
#include "test/fuzz/Fuzz.h"

#include <cstdlib>
#include <cstring>
#include <new>

/// Adds up the bytes, so that reading outside is seen.
static uint64_t touch(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (std::byte byte : bytes)
    sum += static_cast<uint64_t>(byte);
  return sum;
}

/// The end of the last of `objects`, which may well be nonsense.
template <typename Objects> static uint64_t endOf(const Objects &objects) {
  return objects.empty() ? 0 : objects.back().offset + objects.back().bytes;
}

static void checkFlatbuffer(std::span<const std::byte> bytes) {
  auto desc = llama4::decodeProgram(bytes);
  if (!desc.ok())
    return llama4::fuzz::refuse(desc.status());
  if (auto status = llama4::checkProgram(*desc, endOf(desc->codeObjects), endOf(desc->weights));
      !status.ok())
    return llama4::fuzz::refuse(status);
  llama4::fuzz::take();
  for (const llama4::Entry &entry : desc->entries)
    if (entry.arenaBytes() > llama4::limits::maxArenaBytes || entry.commands.empty())
      std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const uint8_t mode = data[0];
  ++data;
  --size;
  auto *copy = static_cast<std::byte *>(::operator new(size + 1, std::align_val_t(64)));
  if (size != 0)
    std::memcpy(copy, data, size);
  const std::span<std::byte> file(copy, size);
  if (mode == 1)
    llama4::resealArtifact(file);
  if (mode >= 2) {
    checkFlatbuffer(file);
  } else {
    auto program = llama4::Program::fromBytes(file, llama4::VerifyMode::Full, "fuzz");
    if (program.ok()) {
      const llama4::Program &p = **program;
      uint64_t sum = touch(p.tokenizer()) + touch(p.chatTemplate());
      for (size_t i = 0; i < p.desc().weights.size(); ++i)
        sum += touch(p.weight(i));
      for (size_t i = 0; i < p.desc().codeObjects.size(); ++i)
        sum += touch(p.code(i));
      for (const llama4::Entry &entry : p.desc().entries)
        if (p.entry(entry.name) == std::nullopt || entry.arenaBytes() > uint64_t{1} << 42)
          std::abort();
      // What was accepted is written again as something that is accepted.
      if (sum == 1 || llama4::encodeProgram(p.desc()).empty())
        std::abort();
      llama4::fuzz::take();
    } else {
      llama4::fuzz::refuse(program.status());
    }
  }
  ::operator delete(copy, std::align_val_t(64));
  return 0;
}
