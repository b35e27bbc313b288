// The programs of the runtime's and the engine's tests, as files and as flatbuffers alone.
#include "test/engine/TinyModel.h"
#include "test/fuzz/SeedFiles.h"
#include "test/runtime/SampleProgram.h"

#include <unistd.h>

using namespace llama4;

/// Offsets, sizes and weights as a file would have them.
static std::string flatbuffer(const ProgramDesc &program) {
  const std::vector<std::byte> bytes = encodeProgram(program);
  return "\2" + std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

std::vector<std::string> fuzz::seeds() {
  ArtifactParts parts = test::sampleParts();
  parts.code = {"code that nobody runs"};
  const std::string path = test::testPath("seed.l4x");
  auto written = writeArtifact(path, parts, test::sampleWeights());
  auto file = readTextFile(path, uint64_t{1} << 24);
  auto loaded = Program::load(path);
  if (!written.ok() || !file.ok() || !loaded.ok())
    return {};
  // The metadata, without most of the padding before the weights: those are in no flatbuffer.
  return {'\0' + *file, '\1' + *file, flatbuffer((*loaded)->desc()),
          flatbuffer(test::loadTiny(test::testPath("tiny.l4x"))->desc())};
}
