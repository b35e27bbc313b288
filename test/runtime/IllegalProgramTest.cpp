//===- IllegalProgramTest.cpp - well sealed files that say nonsense -------===//
//
// Every file here has right checksums, so that only the check of the named field can refuse it.
//
//===----------------------------------------------------------------------===//

#include "runtime/format/Checksum.h"
#include "test/runtime/SampleProgram.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace llama4::test {
namespace {

using Tamper = std::function<void(ProgramDesc &)>;

/// A change of the sample and the field its refusal must name.
struct Illegal {
  const char *field;
  Tamper change;
};

constexpr uint64_t big = ~uint64_t{0};
constexpr uint32_t big32 = ~uint32_t{0};

Command &command(ProgramDesc &p, size_t index) { return p.entries[0].commands[index]; }
KernelParam &param(ProgramDesc &p, size_t kernel, size_t index) {
  return p.kernels[kernel].params[index];
}

/// What a case changes.
struct Sample {
  ArtifactParts (*parts)() = [] { return sampleParts(); };
  WeightProducer weights = sampleWeights();
};

void expectRefused(const Illegal &illegal, size_t number, const Sample &sample) {
  std::string path = testPath("illegal.l4x");
  ArtifactOptions options;
  options.tamper = illegal.change;
  auto summary = writeArtifact(path, sample.parts(), sample.weights, options);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  auto program = Program::load(path);
  ASSERT_FALSE(program.ok()) << "case " << number << " of " << illegal.field << " was accepted";
  EXPECT_EQ(program.status().kind(), StatusKind::InvalidInput);
  EXPECT_NE(program.status().message().find(": " + std::string(illegal.field)), std::string::npos)
      << "case " << number << ": expected " << illegal.field << ", found "
      << program.status().message();
}

void expectAllRefused(const std::vector<Illegal> &cases, const Sample &sample = {}) {
  for (size_t i = 0; i < cases.size(); ++i)
    expectRefused(cases[i], i, sample);
}

TEST(IllegalProgram, ModelOptionsAndDefaults) {
  float nan = std::nanf("");
  expectAllRefused({
      {"model.family", [](ProgramDesc &p) { p.model.family.clear(); }},
      {"model.family", [](ProgramDesc &p) { p.model.family.assign(5000, 'x'); }},
      {"model.vocab_size", [](ProgramDesc &p) { p.model.vocabSize = 0; }},
      {"model.vocab_size", [](ProgramDesc &p) { p.model.vocabSize = big32; }},
      {"model.hidden_size", [](ProgramDesc &p) { p.model.hiddenSize = 0; }},
      {"model.layers", [](ProgramDesc &p) { p.model.layers = 0; }},
      {"model.max_position", [](ProgramDesc &p) { p.model.maxPosition = 0; }},
      {"model.max_position", [](ProgramDesc &p) { p.model.maxPosition = big; }},
      {"model.bos", [](ProgramDesc &p) { p.model.bos = -2; }},
      {"model.bos", [](ProgramDesc &p) { p.model.bos = vocab; }},
      {"model.eos[0]", [](ProgramDesc &p) { p.model.eos[0] = -1; }},
      {"model.stop[1]", [](ProgramDesc &p) { p.model.stop[1] = vocab; }},
      {"options.compute", [](ProgramDesc &p) { p.options.compute = "float7"; }},
      {"options.kv_type", [](ProgramDesc &p) { p.options.kvType = ElementType::I32; }},
      {"options.kv_type", [](ProgramDesc &p) { p.options.kvType = ElementType(77); }},
      {"options.max_step_tokens", [](ProgramDesc &p) { p.options.maxStepTokens = 0; }},
      {"options.max_batch_size", [](ProgramDesc &p) { p.options.maxBatchSize = big32; }},
      {"options.max_length", [](ProgramDesc &p) { p.options.maxLength = 0; }},
      {"generation.temperature", [=](ProgramDesc &p) { p.generation.temperature = nan; }},
      {"generation.temperature", [](ProgramDesc &p) { p.generation.temperature = -1; }},
      {"generation.top_p", [](ProgramDesc &p) { p.generation.topP = 1.5f; }},
      {"generation.min_p", [](ProgramDesc &p) { p.generation.minP = -0.5f; }},
      {"generation.repetition_penalty", [](ProgramDesc &p) { p.generation.repetitionPenalty = 0; }},
  });
}

TEST(IllegalProgram, WeightsCodeCacheAndRopes) {
  float infinity = std::numeric_limits<float>::infinity();
  expectAllRefused({
      {"weights[1].name", [](ProgramDesc &p) { p.weights[1].name = p.weights[0].name; }},
      {"weights[0].name", [](ProgramDesc &p) { p.weights[0].name.clear(); }},
      {"weights[0].encoding", [](ProgramDesc &p) { p.weights[0].encoding.clear(); }},
      {"weights[0].rows", [](ProgramDesc &p) { p.weights[0].rows = 0; }},
      {"weights[0].rows", [](ProgramDesc &p) { p.weights[0].rows = big; }},
      {"weights[0].rows",
       [](ProgramDesc &p) { p.weights[0].rows = p.weights[0].columns = uint64_t{1} << 40; }},
      {"weights[0].columns", [](ProgramDesc &p) { p.weights[0].columns = 0; }},
      {"weights[0].bytes", [](ProgramDesc &p) { p.weights[0].columns += 1; }},
      {"weights[0].bytes", [](ProgramDesc &p) { p.weights[0].bytes = 0; }},
      {"weights[0].bytes", [](ProgramDesc &p) { p.weights[0].bytes = big; }},
      {"weights[0].offset", [](ProgramDesc &p) { p.weights[0].offset = 64; }},
      {"weights[0].offset", [](ProgramDesc &p) { p.weights[0].offset = big - 63; }},
      {"weights[1].offset", [](ProgramDesc &p) { p.weights[1].offset = 0; }},
      {"weights[1].offset", [](ProgramDesc &p) { p.weights[1].offset += 4; }},
      {"weights[1].bytes", [](ProgramDesc &p) { p.weights[1].bytes += 1; }},
      {"weights[1].bytes", [](ProgramDesc &p) { p.weights[1].bytes -= 4; }},
      {"weights (bytes of all)", [](ProgramDesc &p) { p.weights.pop_back(); }},
      {"code_objects[0].target", [](ProgramDesc &p) { p.codeObjects[0].target.clear(); }},
      {"code_objects[0].level", [](ProgramDesc &p) { p.codeObjects[0].level.clear(); }},
      {"code_objects[0].features[1]", [](ProgramDesc &p) { p.codeObjects[0].features[1] = ""; }},
      {"code_objects[0].offset", [](ProgramDesc &p) { p.codeObjects[0].offset = 4096; }},
      {"code_objects[0].bytes", [](ProgramDesc &p) { p.codeObjects[0].bytes += 1; }},
      {"code_objects (bytes of all)", [](ProgramDesc &p) { p.codeObjects[0].bytes -= 1; }},
      {"code_objects[1].level", [](ProgramDesc &p) { p.codeObjects.push_back(p.codeObjects[0]); }},
      {"kv_kinds[0].name", [](ProgramDesc &p) { p.kvKinds[0].name.clear(); }},
      {"kv_kinds[1].name", [](ProgramDesc &p) { p.kvKinds.push_back(p.kvKinds[0]); }},
      {"kv_kinds (number)", [](ProgramDesc &p) { p.kvKinds.resize(5, p.kvKinds[0]); }},
      {"kv_kinds[0].layers", [](ProgramDesc &p) { p.kvKinds[0].layers = 0; }},
      {"kv_kinds[0].kv_heads", [](ProgramDesc &p) { p.kvKinds[0].kvHeads = 0; }},
      {"kv_kinds[0].head_dim", [](ProgramDesc &p) { p.kvKinds[0].headDim = big32; }},
      {"kv_kinds[0].page_bytes", [](ProgramDesc &p) { p.kvKinds[0].headDim = 64; }},
      {"kv_kinds[0].page_bytes", [](ProgramDesc &p) { p.kvKinds[0].pageBytes += 64; }},
      {"kv_kinds[0].type", [](ProgramDesc &p) { p.kvKinds[0].type = ElementType::Q8_32; }},
      {"kv_kinds[0].type", [](ProgramDesc &p) { p.kvKinds[0].type = ElementType(200); }},
      {"kv_kinds[0].chunk_tokens", [](ProgramDesc &p) { p.kvKinds[0].chunkTokens = big32; }},
      {"ropes[0].name", [](ProgramDesc &p) { p.ropes[0].name.clear(); }},
      {"ropes[0].inv_freq", [](ProgramDesc &p) { p.ropes[0].invFreq.clear(); }},
      {"ropes[0].inv_freq[3]", [=](ProgramDesc &p) { p.ropes[0].invFreq[3] = infinity; }},
      {"ropes[0].attention_scaling",
       [=](ProgramDesc &p) { p.ropes[0].attentionScaling = -infinity; }},
      {"temperatures[0].name", [](ProgramDesc &p) { p.temperatures[0].name.clear(); }},
      {"temperatures[1].name", [](ProgramDesc &p) { p.temperatures.resize(2, p.temperatures[0]); }},
      {"temperatures (number)", [](ProgramDesc &p) { p.temperatures.resize(65); }},
      {"temperatures[0].attn_scale",
       [=](ProgramDesc &p) { p.temperatures[0].attnScale = infinity; }},
      {"temperatures[0].floor_scale", [](ProgramDesc &p) { p.temperatures[0].floorScale = 0; }},
      {"temperatures[0].floor_scale", [](ProgramDesc &p) { p.temperatures[0].floorScale = big; }},
  });
}

TEST(IllegalProgram, Kernels) {
  expectAllRefused({
      {"kernels[0].symbol", [](ProgramDesc &p) { p.kernels[0].symbol.clear(); }},
      {"kernels[1].symbol", [](ProgramDesc &p) { p.kernels[1].symbol = "embed"; }},
      {"kernels[0].symbol", [](ProgramDesc &p) { p.kernels[0].symbol = "a b"; }},
      {"kernels[0].symbol", [](ProgramDesc &p) { p.kernels[0].symbol = std::string("a\0b", 3); }},
      {"kernels[0].scratch_bytes", [](ProgramDesc &p) { p.kernels[0].scratchBytes = big; }},
      {"kernels[0].params (number)", [](ProgramDesc &p) { p.kernels[0].params.resize(65); }},
      {"kernels[0].params[0].kind", [](ProgramDesc &p) { param(p, 0, 0).kind = ParamKind(9); }},
      {"kernels[0].params[0].access", [](ProgramDesc &p) { param(p, 0, 0).access = Access(0); }},
      {"kernels[0].params[0].access",
       [](ProgramDesc &p) { param(p, 0, 0).access = Access::Write; }},
      {"kernels[0].params[0].encoding", [](ProgramDesc &p) { param(p, 0, 0).encoding.clear(); }},
      {"kernels[0].params[0].row_bytes", [](ProgramDesc &p) { param(p, 0, 0).rowBytes = 0; }},
      {"kernels[0].params[1].row_bytes", [](ProgramDesc &p) { param(p, 0, 1).rowBytes = 8; }},
      {"kernels[0].params[1].columns",
       [](ProgramDesc &p) { param(p, 0, 1).type = ElementType::Q8_32; }},
      {"kernels[0].params[1].columns",
       [](ProgramDesc &p) { param(p, 0, 1).type = ElementType::Q8_128; }},
      {"kernels[0].params[2].type",
       [](ProgramDesc &p) { param(p, 0, 2).type = ElementType(elementTypeCount); }},
      {"kernels[0].params[2].columns", [](ProgramDesc &p) { param(p, 0, 2).columns = big32; }},
      {"kernels[0].params[2].row_bytes", [](ProgramDesc &p) { param(p, 0, 2).rowBytes = 128; }},
      {"kernels[0].params[2].row_bytes", [](ProgramDesc &p) { param(p, 0, 2).rowBytes = 200; }},
      {"kernels[0].params[2].row_bytes",
       [](ProgramDesc &p) { param(p, 0, 2).rowBytes = uint64_t{1} << 40; }},
      {"kernels[0].params[2].rows_per_symbol",
       [](ProgramDesc &p) { param(p, 0, 2).rowsPerSymbol = 0; }},
      {"kernels[0].params[2].rows_per_symbol",
       [](ProgramDesc &p) { param(p, 0, 2).rowsPerSymbol = big32; }},
      {"kernels[0].params[2].rows_fixed", [](ProgramDesc &p) { param(p, 0, 2).rowsFixed = big32; }},
      {"kernels[3].params[1].type", [](ProgramDesc &p) { param(p, 3, 1).type = ElementType::I64; }},
  });
}

TEST(IllegalProgram, Experts) {
  const Sample sample = {[] { return expertParts(); }, expertWeights()};
  auto grouped = [](ProgramDesc &p) -> Kernel & { return p.kernels[7]; };
  expectAllRefused(
      {
          {"weights[2].matrices", [](ProgramDesc &p) { p.weights[2].matrices = 0; }},
          {"weights[2].matrices", [](ProgramDesc &p) { p.weights[2].matrices = big32; }},
          // 9 matrices of 192 bytes are neither 10 of a whole number nor 27 of 160 or more.
          {"weights[2].bytes", [](ProgramDesc &p) { p.weights[2].matrices = experts + 1; }},
          {"weights[2].bytes (of each matrix)",
           [](ProgramDesc &p) { p.weights[2].matrices = 3 * experts; }},
          {"weights[2].bytes (of each matrix)", [](ProgramDesc &p) { p.weights[2].rows = 2; }},
          {"weights[2].bytes (of each matrix)", [](ProgramDesc &p) { p.weights[2].columns = 49; }},
          {"weights[2].rows",
           [](ProgramDesc &p) {
             p.weights[2].rows = uint64_t{1} << 40;
             p.weights[2].columns = uint64_t{1} << 40;
           }},
          {"kernels[7].experts", [=](ProgramDesc &p) { grouped(p).experts = big32; }},
          {"kernels[7].tiles_param", [=](ProgramDesc &p) { grouped(p).tilesParam = 3; }},
          {"kernels[7].tiles_param", [=](ProgramDesc &p) { grouped(p).tilesParam = big32; }},
          {"kernels[7].tiles_param", [=](ProgramDesc &p) { grouped(p).tilesParam = 1; }},
          {"kernels[7].tiles_param", [=](ProgramDesc &p) { grouped(p).tilesParam = 2; }},
          {"kernels[6].tiles_param", [](ProgramDesc &p) { p.kernels[6].tilesParam = 1; }},
          {"kernels[6].experts",
           [](ProgramDesc &p) { // reads no weights
             p.kernels[6].experts = experts;
             param(p, 6, 0).access = Access::ReadWrite;
           }},
          {"kernels[6].tiles_param", // tiles that it only writes
           [](ProgramDesc &p) { p.kernels[6].experts = experts; }},
          {"kernels[7].tiles_param",
           [](ProgramDesc &p) { param(p, 7, 0).type = ElementType::F32; }},
          {"kernels[7].tiles_param", [](ProgramDesc &p) { param(p, 7, 0).columns = 3; }},
          {"kernels[7].params[1].row_bytes", [](ProgramDesc &p) { param(p, 7, 1).rowBytes -= 64; }},
          {"entries[3].commands[1].bindings[1].index",
           [=](ProgramDesc &p) { grouped(p).experts = 3; }},
          {"entries[3].commands[1].bindings[1].index",
           [](ProgramDesc &p) { p.weights[2].matrices = 3; }},
          {"entries[3].commands[1].bindings[0].offset", // more tiles than the arena has
           [](ProgramDesc &p) { param(p, 7, 0).rowsPerSymbol = expertTop + 1; }},
          {"entries[3].commands[1].bindings[2].index", // more rows than the output has
           [](ProgramDesc &p) { param(p, 7, 2).rowsPerSymbol = expertTop + 1; }},
          {"header.features", // the header says that there are experts
           [=](ProgramDesc &p) {
             grouped(p).experts = 0;
             p.weights[2].matrices = 1;
           }},
      },
      sample);
  // And where it does not say so.
  expectAllRefused({
      {"header.features", [](ProgramDesc &p) { p.weights[0].matrices = 2; }},
      {"header.features", [](ProgramDesc &p) { p.kernels[0].experts = 1; }},
  });
}

TEST(IllegalProgram, Images) {
  const Sample sample = {[] { return imageParts(); }};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  auto grid = [](ProgramDesc &p) -> EntryTensor & { return p.entries[3].inputs[0]; };
  expectAllRefused(
      {
          {"grids (number)", [](ProgramDesc &p) { p.grids.resize(65, p.grids[0]); }},
          {"grids[0].name", [](ProgramDesc &p) { p.grids[0].name.clear(); }},
          {"grids[1].name", [](ProgramDesc &p) { p.grids.resize(2, p.grids[0]); }},
          {"grids[0].rows", [](ProgramDesc &p) { p.grids[0].rows = 0; }},
          {"grids[0].columns", [](ProgramDesc &p) { p.grids[0].columns = big32; }},
          {"grids[0].inv_freq (number)", [](ProgramDesc &p) { p.grids[0].invFreq.clear(); }},
          {"grids[0].inv_freq[1]",
           [=](ProgramDesc &p) { p.grids[0].invFreq[1] = static_cast<float>(nan); }},
          {"entries[3].inputs[0].grid", [=](ProgramDesc &p) { grid(p).grid = 1; }},
          {"entries[3].inputs[0].type", [=](ProgramDesc &p) { grid(p).type = ElementType::BF16; }},
          {"entries[3].inputs[0].columns", [=](ProgramDesc &p) { grid(p).columns = 8; }},
          {"entries[3].inputs[0].rows_fixed", [=](ProgramDesc &p) { grid(p).rowsFixed = 6; }},
          {"entries[3].inputs[0].rows_per_symbol",
           [=](ProgramDesc &p) { grid(p).rowsPerSymbol = 1; }},
          {"images.family", [](ProgramDesc &p) { p.images.family = ImageFamily(3); }},
          {"images.filter", [](ProgramDesc &p) { p.images.filter = ImageFilter(2); }},
          {"images.image_size", [](ProgramDesc &p) { p.images.imageSize = 0; }},
          {"images.image_size", [](ProgramDesc &p) { p.images.imageSize = 4096; }},
          {"images.patch_size", [](ProgramDesc &p) { p.images.patchSize = 0; }},
          {"images.patch_size", [](ProgramDesc &p) { p.images.patchSize = 5; }},
          {"images.max_tiles", [](ProgramDesc &p) { p.images.maxTiles = 65; }},
          {"images.tokens_per_tile", [](ProgramDesc &p) { p.images.tokensPerTile = 0; }},
          {"images.tokens_per_tile", [](ProgramDesc &p) { p.images.tokensPerTile = 3; }},
          {"images.tokens_per_tile", [](ProgramDesc &p) { p.images.tokensPerTile = 64; }},
          {"images.tokens_per_tile", // with a class token
           [](ProgramDesc &p) { p.images.family = ImageFamily::Mllama; }},
          {"images.max_feature_rows", [](ProgramDesc &p) { p.images.maxFeatureRows = 3; }},
          {"images.max_feature_rows", [](ProgramDesc &p) { p.images.maxFeatureRows = big32; }},
          {"images.mean[1]", [=](ProgramDesc &p) { p.images.mean[1] = nan; }},
          {"images.deviation[2]", [](ProgramDesc &p) { p.images.deviation[2] = 0; }},
          {"images.rescale", [](ProgramDesc &p) { p.images.rescale = 0; }},
          {"images.image_token", [](ProgramDesc &p) { p.images.imageToken = vocab; }},
          {"images.patch_token", [](ProgramDesc &p) { p.images.patchToken = -2; }},
          {"images.tile_y_token", [](ProgramDesc &p) { p.images.tileYToken = vocab; }},
          {"images.image_token", // behind the vocabulary, and no row of the table for it
           [](ProgramDesc &p) {
             p.images.family = ImageFamily::Mllama;
             p.images.tokensPerTile = 17;
             p.images.maxFeatureRows = 17 * 64;
             p.images.imageToken = vocab;
           }},
          {"header.features",
           [](ProgramDesc &p) {
             p.images = {};
             p.entries.pop_back();
             p.grids.clear();
           }},
      },
      sample);
  expectAllRefused(
      {{"header.features", [](ProgramDesc &p) { p.images = imageParts().program.images; }}});
}

TEST(IllegalProgram, Entries) {
  expectAllRefused({
      {"entries (number)", [](ProgramDesc &p) { p.entries.clear(); }},
      {"entries[0].name", [](ProgramDesc &p) { p.entries[0].name.clear(); }},
      {"entries[1].name", [](ProgramDesc &p) { p.entries[1].name = "step"; }},
      {"entries[0].function", [](ProgramDesc &p) { p.entries[0].function.clear(); }},
      {"entries[0].symbol", [](ProgramDesc &p) { p.entries[0].symbol.clear(); }},
      {"entries[0].bound", [](ProgramDesc &p) { p.entries[0].bound = 0; }},
      {"entries[0].bound", [](ProgramDesc &p) { p.entries[0].bound = big32; }},
      {"entries[0].specialization",
       [](ProgramDesc &p) { p.entries[0].specialization = Specialization(2); }},
      {"entries[0].commands (number)", [](ProgramDesc &p) { p.entries[0].commands.clear(); }},
      {"entries[0].arena_per_symbol", [](ProgramDesc &p) { p.entries[0].arenaPerSymbol = big; }},
      {"entries[0].arena_per_symbol", [](ProgramDesc &p) { p.entries[0].arenaFixed = big; }},
      {"entries[0].inputs[1].name", [](ProgramDesc &p) { p.entries[0].inputs[1].name = "ids"; }},
      {"entries[0].inputs[0].type",
       [](ProgramDesc &p) { p.entries[0].inputs[0].type = ElementType::F32; }},
      {"entries[0].inputs[0].type", [](ProgramDesc &p) { p.entries[0].inputs[0].columns = 3; }},
      {"entries[0].inputs[0].role",
       [](ProgramDesc &p) { p.entries[0].inputs[0].role = InputRole(8); }},
      {"entries[0].inputs[1].rope", [](ProgramDesc &p) { p.entries[0].inputs[1].rope = 1; }},
      {"entries[0].inputs[1].temperature",
       [](ProgramDesc &p) {
         p.entries[0].inputs[1].role = InputRole::Temperature;
         p.entries[0].inputs[1].temperature = 1;
       }},
      {"entries[0].inputs[1].columns",
       [](ProgramDesc &p) { p.entries[0].inputs[1].role = InputRole::Temperature; }},
      {"entries[0].inputs[0].type",
       [](ProgramDesc &p) { p.entries[0].inputs[0].role = InputRole::Temperature; }},
      {"entries[0].inputs[1].type",
       [](ProgramDesc &p) { p.entries[0].inputs[1].type = ElementType::BF16; }},
      {"entries[0].inputs[2].columns",
       [](ProgramDesc &p) { p.entries[0].inputs[2].columns = angles + 1; }},
      {"entries[0].inputs[3].columns",
       [](ProgramDesc &p) { p.entries[0].inputs[3].type = ElementType::Q8_32; }},
      {"entries[0].inputs[3].rows_per_symbol",
       [](ProgramDesc &p) { p.entries[0].inputs[3].rowsPerSymbol = 0; }},
      {"entries[0].outputs[0].name", [](ProgramDesc &p) { p.entries[0].outputs[0].name = ""; }},
      {"entries[0].outputs[0].columns",
       [](ProgramDesc &p) { p.entries[0].outputs[0].columns = big32; }},
      {"entries[0].outputs[1]",
       [](ProgramDesc &p) {
         p.entries[0].outputs.push_back(p.entries[0].outputs[0]);
         p.entries[0].outputs[1].name = "unwritten";
       }},
  });
}

TEST(IllegalProgram, CommandsAndGrids) {
  expectAllRefused({
      {"entries[0].commands[1].kernel", [](ProgramDesc &p) { command(p, 1).kernel = 6; }},
      {"entries[0].commands[1].kernel", [](ProgramDesc &p) { command(p, 1).kernel = big32; }},
      {"entries[0].commands[1].bindings (number)",
       [](ProgramDesc &p) { command(p, 1).bindings.pop_back(); }},
      {"entries[0].commands[1].bindings (number)",
       [](ProgramDesc &p) { command(p, 1).bindings.push_back({}); }},
      {"entries[0].commands[1].grid.div", [](ProgramDesc &p) { command(p, 1).grid.div = 0; }},
      {"entries[0].commands[1].grid (tiles)", [](ProgramDesc &p) { command(p, 1).grid.mul = 0; }},
      {"entries[0].commands[1].grid (tiles)",
       [](ProgramDesc &p) { command(p, 1).grid.mul = big32; }},
      {"entries[0].commands[1].grid (tiles)",
       [](ProgramDesc &p) { command(p, 1).grid.add = big32; }},
      {"entries[0].commands[1].constants (number)",
       [](ProgramDesc &p) { command(p, 1).constants.resize(300); }},
      {"entries[0].commands[1].sources (bytes)",
       [](ProgramDesc &p) { command(p, 1).sources.assign(70000, 's'); }},
  });
}

TEST(IllegalProgram, Bindings) {
  auto at = [](size_t c, size_t b) -> std::function<Binding &(ProgramDesc &)> {
    return [=](ProgramDesc &p) -> Binding & { return command(p, c).bindings[b]; };
  };
  expectAllRefused({
      {"entries[0].commands[0].bindings[0].kind",
       [=](ProgramDesc &p) { at(0, 0)(p).kind = BindingKind(5); }},
      {"entries[0].commands[0].bindings[0].kind",
       [=](ProgramDesc &p) { at(0, 0)(p).kind = BindingKind::Transient; }},
      {"entries[0].commands[1].bindings[2].kind", // a weight that would be written
       [=](ProgramDesc &p) { at(1, 2)(p) = {BindingKind::Weight, 0, 0}; }},
      {"entries[0].commands[1].bindings[2].kind", // an input that would be written
       [=](ProgramDesc &p) { at(1, 2)(p) = {BindingKind::Input, 1, 0}; }},
      {"entries[0].commands[0].bindings[0].index", [=](ProgramDesc &p) { at(0, 0)(p).index = 2; }},
      {"entries[0].commands[0].bindings[0].offset", // the smaller weight
       [=](ProgramDesc &p) { at(0, 0)(p).index = 1; }},
      {"entries[0].commands[0].bindings[0].offset",
       [=](ProgramDesc &p) { at(0, 0)(p).offset = 64; }},
      {"entries[0].commands[0].bindings[0].offset",
       [=](ProgramDesc &p) { at(0, 0)(p).offset = big - 63; }},
      {"entries[0].commands[1].bindings[0].offset",
       [=](ProgramDesc &p) { at(1, 0)(p).offset = 4; }},
      {"entries[0].commands[0].bindings[0].index",
       [](ProgramDesc &p) { p.weights[0].encoding = "q8_0"; }},
      {"entries[0].commands[0].bindings[1].index", [=](ProgramDesc &p) { at(0, 1)(p).index = 4; }},
      {"entries[0].commands[0].bindings[1].index", // f32 rows for an i32 vector
       [=](ProgramDesc &p) { at(0, 1)(p).index = 1; }},
      {"entries[0].commands[0].bindings[1].index", // the batch input has no memory
       [=](ProgramDesc &p) { at(0, 1)(p).index = 3; }},
      {"entries[0].commands[0].bindings[1].offset",
       [=](ProgramDesc &p) { at(0, 1)(p).offset = 64; }},
      {"entries[0].commands[0].bindings[2].index", [=](ProgramDesc &p) { at(0, 2)(p).index = 1; }},
      {"entries[0].commands[0].bindings[2].offset",
       [=](ProgramDesc &p) { at(0, 2)(p).offset = 8; }},
      {"entries[0].commands[0].bindings[2].offset", // one row past the arena
       [=](ProgramDesc &p) { at(0, 2)(p).offset = 64 + (stepBound + 1) * rowFloats * 4; }},
      {"entries[0].commands[0].bindings[2].offset", // offset + size wraps in 64 bits
       [=](ProgramDesc &p) { at(0, 2)(p).offset = big - 63; }},
      {"entries[0].commands[0].bindings[2].offset", // and in 32 bits
       [=](ProgramDesc &p) { at(0, 2)(p).offset = uint64_t{1} << 32; }},
      {"entries[0].commands[1].bindings[2].offset", // the arena is one byte too small
       [](ProgramDesc &p) { p.entries[0].arenaFixed -= 1; }},
      {"entries[0].commands[0].bindings[2].offset", // twice the rows of the plan
       [](ProgramDesc &p) { param(p, 0, 2).rowsPerSymbol = 3; }},
      {"entries[0].commands[2].bindings[1].index", // an 8-byte read of a 4-byte input
       [](ProgramDesc &p) {
         param(p, 2, 1).type = ElementType::I64;
         param(p, 2, 1).rowBytes = rowBytes(ElementType::I64, angles);
       }},
      {"entries[0].commands[2].bindings[1].index", // wider rows than the input has
       [](ProgramDesc &p) {
         param(p, 2, 1).columns = 2 * angles;
         param(p, 2, 1).rowBytes = rowBytes(ElementType::F32, 2 * angles);
       }},
      {"entries[0].commands[2].bindings[1].index", // more rows than the input has
       [](ProgramDesc &p) { param(p, 2, 1).rowsFixed = 1; }},
      {"entries[0].commands[4].bindings[2].index", [=](ProgramDesc &p) { at(4, 2)(p).index = 1; }},
      {"entries[0].commands[3].bindings[1].index", [=](ProgramDesc &p) { at(3, 1)(p).index = 1; }},
      {"entries[0].commands[3].bindings[1].offset",
       [=](ProgramDesc &p) { at(3, 1)(p).offset = layers; }},
      {"entries[0].commands[3].bindings[1].index",
       [](ProgramDesc &p) { param(p, 3, 1).type = ElementType::BF16; }},
      {"entries[0].commands[3].bindings[1].index",
       [](ProgramDesc &p) { param(p, 3, 1).rowBytes += 64; }},
      {"entries[0].commands[1].bindings:", // written rows over half of the read ones
       [=](ProgramDesc &p) { at(1, 2)(p).offset = 64 + 5 * rowFloats * 4; }},
      {"entries[0].commands[1].bindings:", // columns that reach into each other
       [=](ProgramDesc &p) { at(1, 2)(p).offset = 64 + 64; }},
  });
}

/// Files whose header was changed and whose header hash fits again.
TEST(IllegalProgram, Headers) {
  std::string path = testPath("header.l4x");
  writeSample(path);
  struct Case {
    const char *field;
    std::function<void(FileHeader &)> change;
  };
  const std::vector<Case> cases = {
      {"header.magic", [](FileHeader &h) { h.magic[0] = 'l'; }},
      {"header.version", [](FileHeader &h) { h.major = 2; }},
      {"header.version", [](FileHeader &h) { h.major = 0; }},
      {"header.version", [](FileHeader &h) { h.minor = formatMinor + 1; }},
      {"header.header_bytes", [](FileHeader &h) { h.headerBytes = 8192; }},
      {"header.file_bytes", [](FileHeader &h) { h.fileBytes += 1; }},
      {"header.features", [](FileHeader &h) { h.features = 4; }},
      {"header.features", [](FileHeader &h) { h.features = featureExperts; }},
      {"header.reserved0", [](FileHeader &h) { h.reserved0 = 1; }},
      {"header.padding", [](FileHeader &h) { h.padding[100] = 1; }},
      {"header.section_count", [](FileHeader &h) { h.sectionCount = 0; }},
      {"header.section_count", [](FileHeader &h) { h.sectionCount = 17; }},
      {"header.section_count", [](FileHeader &h) { h.sectionCount = big32; }},
      {"header.sections[5]", [](FileHeader &h) { h.sectionCount -= 1; }},
      {"header.sections[0].kind", [](FileHeader &h) { h.sections[0].kind = SectionKind(99); }},
      {"header.sections[1].kind", [](FileHeader &h) { h.sections[1].kind = SectionKind(99); }},
      {"header.sections[2].kind", [](FileHeader &h) { h.sections[2].kind = SectionKind::None; }},
      {"header.sections[2].kind", [](FileHeader &h) { h.sections[2].kind = SectionKind::Program; }},
      {"header.sections[2].reserved", [](FileHeader &h) { h.sections[2].reserved = 1; }},
      {"header.sections[2].offset", [](FileHeader &h) { h.sections[2].offset += 4096; }},
      {"header.sections[2].offset", [](FileHeader &h) { h.sections[2].offset -= 4096; }},
      {"header.sections[2].offset", [](FileHeader &h) { h.sections[2].offset += 1; }},
      {"header.sections[2].offset", [](FileHeader &h) { h.sections[2].offset = big; }},
      {"header.sections[2].bytes", [](FileHeader &h) { h.sections[2].bytes = 0; }},
      {"header.sections[2].bytes", [](FileHeader &h) { h.sections[2].bytes = big; }},
      {"header.sections[3].offset", [](FileHeader &h) { h.sections[2].bytes += 4096; }},
      {"header.sections[5].bytes", [](FileHeader &h) { h.sections[5].bytes += 1; }},
      {"header.file_bytes", [](FileHeader &h) { h.sections[5].bytes -= 1; }},
      {"header.sections[0].bytes", [](FileHeader &h) { h.sections[0].bytes += 8; }},
      {"header.sections[4].offset",
       [](FileHeader &h) { std::swap(h.sections[4].kind, h.sections[5].kind); }},
      {"header.table_sha256", [](FileHeader &h) { h.tableSha256[0] ^= 1; }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    FileBytes file(path);
    cases[i].change(file.header());
    file.header().headerHash = headerHash(file.header());
    auto program = Program::fromBytes(file.span());
    ASSERT_FALSE(program.ok()) << "case " << i << " of " << cases[i].field << " was accepted";
    EXPECT_NE(program.status().message().find(std::string(": ") + cases[i].field),
              std::string::npos)
        << "case " << i << ": expected " << cases[i].field << ", found "
        << program.status().message();
  }
  FileBytes file(path);
  file.header().headerHash ^= 1;
  EXPECT_NE(Program::fromBytes(file.span()).status().message().find("header.header_hash"),
            std::string::npos);
}

} // namespace
} // namespace llama4::test
