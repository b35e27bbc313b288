//===- EncodeProgram.cpp - from ProgramDesc to the flatbuffer -------------===//
//
// Copies every field into program.fbs. The builder writes fields in the order they are given and
// nothing depends on addresses or hashing, so that equal descriptions give equal bytes.
//
//===----------------------------------------------------------------------===//

#include "compiler/emit/ArtifactWriter.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wconversion"
#include "runtime/format/program_generated.h"
#pragma clang diagnostic pop

namespace llama4 {

namespace {

using Builder = flatbuffers::FlatBufferBuilder;

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

/// A vector of tables made by `encode(builder, element)`.
template <typename In, typename Encode>
auto tables(Builder &builder, const std::vector<In> &in, Encode encode) {
  std::vector<decltype(encode(builder, in[0]))> out;
  out.reserve(in.size());
  for (const In &element : in)
    out.push_back(encode(builder, element));
  return builder.CreateVector(out);
}

auto encodeModel(Builder &builder, const ModelInfo &in) {
  auto family = builder.CreateString(in.family);
  auto name = builder.CreateString(in.name);
  auto licence = builder.CreateString(in.licence);
  auto eos = builder.CreateVector(in.eos);
  auto stop = builder.CreateVector(in.stop);
  return fb::CreateModelInfo(builder, family, name, licence, in.vocabSize, in.hiddenSize, in.layers,
                             in.maxPosition, in.bos, eos, stop, in.parametersLeftOut);
}

auto encodeOptions(Builder &builder, const CompileOptions &in) {
  auto compute = builder.CreateString(in.compute);
  return fb::CreateCompileOptions(builder, compute, static_cast<fb::ElementType>(in.kvType),
                                  in.maxStepTokens, in.maxBatchSize, in.maxLength);
}

auto encodeGeneration(Builder &builder, const GenerationDefaults &in) {
  return fb::CreateGenerationDefaults(builder, in.present, in.sample, in.temperature, in.topP,
                                      in.minP, in.repetitionPenalty, in.topK, in.maxNewTokens);
}

auto encodeTensor(Builder &builder, const EntryTensor &in) {
  auto name = builder.CreateString(in.name);
  return fb::CreateEntryTensor(builder, name, static_cast<fb::ElementType>(in.type), in.columns,
                               in.rowsPerSymbol, in.rowsFixed, static_cast<fb::InputRole>(in.role),
                               in.rope, in.temperature, in.grid);
}

auto encodeCommand(Builder &builder, const Command &in) {
  std::vector<fb::Binding> bindings;
  for (const Binding &b : in.bindings)
    bindings.emplace_back(static_cast<uint32_t>(b.kind), b.index, low(b.offset), high(b.offset));
  std::vector<fb::Wide> constants;
  for (int64_t value : in.constants)
    constants.emplace_back(low(static_cast<uint64_t>(value)), high(static_cast<uint64_t>(value)));
  auto bindingVector = builder.CreateVectorOfStructs(bindings);
  auto constantVector = builder.CreateVectorOfStructs(constants);
  // Many commands come from the same place: equal strings are stored once.
  auto sources = builder.CreateSharedString(in.sources);
  fb::GridExpr grid(in.grid.div, in.grid.mul, in.grid.add);
  return fb::CreateCommand(builder, in.kernel, bindingVector, &grid, constantVector, sources);
}

auto encodeEntry(Builder &builder, const Entry &in) {
  auto name = builder.CreateString(in.name);
  auto function = builder.CreateString(in.function);
  auto symbol = builder.CreateString(in.symbol);
  auto inputs = tables(builder, in.inputs, encodeTensor);
  auto outputs = tables(builder, in.outputs, encodeTensor);
  auto commands = tables(builder, in.commands, encodeCommand);
  return fb::CreateEntry(builder, name, function, symbol, in.bound,
                         static_cast<fb::Specialization>(in.specialization), inputs, outputs,
                         commands, in.arenaPerSymbol, in.arenaFixed);
}

auto encodeParam(Builder &builder, const KernelParam &in) {
  auto encoding = builder.CreateSharedString(in.encoding);
  return fb::CreateKernelParam(builder, static_cast<fb::ParamKind>(in.kind),
                               static_cast<fb::Access>(in.access),
                               static_cast<fb::ElementType>(in.type), in.columns, in.rowsPerSymbol,
                               in.rowsFixed, in.rowBytes, encoding);
}

auto encodeKernel(Builder &builder, const Kernel &in) {
  auto symbol = builder.CreateString(in.symbol);
  auto params = tables(builder, in.params, encodeParam);
  flatbuffers::Offset<flatbuffers::String> library;
  if (!in.library.empty())
    library = builder.CreateSharedString(in.library);
  return fb::CreateKernel(builder, symbol, in.scratchBytes, params, in.macsPerSymbol,
                          in.weightBytes, in.experts, in.tilesParam, library);
}

auto encodeWeight(Builder &builder, const Weight &in) {
  auto name = builder.CreateString(in.name);
  auto encoding = builder.CreateSharedString(in.encoding);
  return fb::CreateWeight(builder, name, encoding, in.rows, in.columns, in.offset, in.bytes,
                          in.matrices);
}

auto encodeKvKind(Builder &builder, const KvKind &in) {
  auto name = builder.CreateString(in.name);
  return fb::CreateKvKind(builder, name, in.layers, in.kvHeads, in.headDim,
                          static_cast<fb::ElementType>(in.type), in.pageBytes, in.chunkTokens);
}

auto encodeRope(Builder &builder, const RopeTable &in) {
  auto name = builder.CreateString(in.name);
  auto values = builder.CreateVector(in.invFreq);
  return fb::CreateRopeTable(builder, name, values, in.attentionScaling);
}

auto encodeTemperature(Builder &builder, const TemperatureTable &in) {
  auto name = builder.CreateString(in.name);
  return fb::CreateTemperatureTable(builder, name, in.attnScale, in.floorScale);
}

auto encodeGrid(Builder &builder, const RopeGrid &in) {
  auto name = builder.CreateString(in.name);
  auto values = builder.CreateVector(in.invFreq);
  return fb::CreateRopeGrid(builder, name, in.rows, in.columns, values);
}

auto encodeImages(Builder &builder, const ImageInfo &in) {
  return fb::CreateImageInfo(builder, static_cast<fb::ImageFamily>(in.family), in.imageSize,
                             in.patchSize, in.maxTiles, in.tokensPerTile, in.maxFeatureRows,
                             in.resizeToMaxCanvas, static_cast<fb::ImageFilter>(in.filter),
                             in.mean[0], in.mean[1], in.mean[2], in.deviation[0], in.deviation[1],
                             in.deviation[2], in.rescale, in.imageToken, in.patchToken,
                             in.startToken, in.endToken, in.tileXToken, in.tileYToken);
}

auto encodeCodeObject(Builder &builder, const CodeObject &in) {
  auto target = builder.CreateString(in.target);
  auto level = builder.CreateString(in.level);
  auto features = builder.CreateVectorOfStrings(in.features);
  return fb::CreateCodeObject(builder, target, level, features, in.offset, in.bytes);
}

} // namespace

std::vector<std::byte> encodeProgram(const ProgramDesc &program) {
  Builder builder(1 << 16);
  auto model = encodeModel(builder, program.model);
  auto options = encodeOptions(builder, program.options);
  auto generation = encodeGeneration(builder, program.generation);
  auto entries = tables(builder, program.entries, encodeEntry);
  auto kernels = tables(builder, program.kernels, encodeKernel);
  auto weights = tables(builder, program.weights, encodeWeight);
  auto kvKinds = tables(builder, program.kvKinds, encodeKvKind);
  auto ropes = tables(builder, program.ropes, encodeRope);
  auto codeObjects = tables(builder, program.codeObjects, encodeCodeObject);
  auto temperatures = tables(builder, program.temperatures, encodeTemperature);
  // Absent where there is nothing to say, so that programs of text stay as they were.
  decltype(tables(builder, program.grids, encodeGrid)) grids;
  decltype(encodeImages(builder, program.images)) images;
  if (!program.grids.empty())
    grids = tables(builder, program.grids, encodeGrid);
  if (program.images.present())
    images = encodeImages(builder, program.images);
  fb::FinishProgramBuffer(
      builder,
      fb::CreateProgram(builder, model, options, generation, entries, kernels, weights, kvKinds,
                        ropes, codeObjects, temperatures,
                        static_cast<fb::WeightOrigin>(program.weightSource.origin),
                        program.weightSource.value, program.weightSource.seed, grids, images));
  const auto *data = reinterpret_cast<const std::byte *>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}

} // namespace llama4
