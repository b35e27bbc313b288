//===- InspectText.cpp - what is in a program file, for people ------------===//

#include "runtime/format/Quoted.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Inspect.h"

#include <map>

namespace llama4::run {

namespace {

using Number = unsigned long long;

std::string idsText(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : ", ") + std::to_string(id);
  return text.empty() ? "none" : text;
}

std::string modelText(const Program &program) {
  const ModelInfo &model = program.desc().model;
  const CompileOptions &options = program.desc().options;
  std::string text =
      format("model    %s %s: %u layers, hidden %u, vocabulary %u, positions %llu\n",
             model.family.c_str(), quoteName(model.name).c_str(), model.layers, model.hiddenSize,
             model.vocabSize, static_cast<Number>(model.maxPosition));
  text += format("         bos %d, eos %s, stop %s; tokenizer %s, chat template %s\n", model.bos,
                 idsText(model.eos).c_str(), idsText(model.stop).c_str(),
                 humanBytes(program.tokenizer().size()).c_str(),
                 humanBytes(program.chatTemplate().size()).c_str());
  text +=
      format("options  compute %s, kv %s, step tokens %u, batch %u, length %llu\n",
             options.compute.c_str(), std::string(elementTypeName(options.kvType)).c_str(),
             options.maxStepTokens, options.maxBatchSize, static_cast<Number>(options.maxLength));
  return text;
}

std::string codeText(const ProgramDesc &desc) {
  std::string text;
  for (const CodeObject &object : desc.codeObjects)
    text += format("code     %s %s, %s, %zu features\n", object.target.c_str(),
                   object.level.c_str(), humanBytes(object.bytes).c_str(), object.features.size());
  for (const KvKind &kind : desc.kvKinds)
    text +=
        format("cache    %s: %u layers, %u heads of %u, %s, pages of %llu bytes%s\n",
               quoteName(kind.name).c_str(), kind.layers, kind.kvHeads, kind.headDim,
               std::string(elementTypeName(kind.type)).c_str(), static_cast<Number>(kind.pageBytes),
               kind.chunkTokens ? format(", chunks of %u tokens", kind.chunkTokens).c_str() : "");
  for (const RopeTable &rope : desc.ropes)
    text +=
        format("rope     %s: %zu frequencies\n", quoteName(rope.name).c_str(), rope.invFreq.size());
  for (const TemperatureTable &table : desc.temperatures)
    text += format("attention temperature %s: scale %g, every %llu positions\n",
                   quoteName(table.name).c_str(), static_cast<double>(table.attnScale),
                   static_cast<Number>(table.floorScale));
  return text;
}

std::string imagesText(const ProgramDesc &desc) {
  const ImageInfo &images = desc.images;
  std::string text;
  for (const RopeGrid &grid : desc.grids)
    text += format("grid     %s: %u x %u places, %zu frequencies\n", quoteName(grid.name).c_str(),
                   grid.rows, grid.columns, grid.invFreq.size());
  if (!images.present())
    return text;
  text += format("images   tiles of %u x %u pixels, at most %u%s; patches of %u; %u feature rows a "
                 "tile, room for %u\n",
                 images.imageSize, images.imageSize, images.maxTiles,
                 images.family == ImageFamily::Llama4 ? " and a global one" : "", images.patchSize,
                 images.tokensPerTile, images.maxFeatureRows);
  text += format("         %s, mean %.4g %.4g %.4g, deviation %.4g %.4g %.4g; tokens: image %d",
                 images.filter == ImageFilter::Bicubic ? "bicubic" : "bilinear", images.mean[0],
                 images.mean[1], images.mean[2], images.deviation[0], images.deviation[1],
                 images.deviation[2], images.imageToken);
  if (images.family == ImageFamily::Llama4)
    text += format(", patch %d, around an image %d %d, behind a tile %d %d", images.patchToken,
                   images.startToken, images.endToken, images.tileXToken, images.tileYToken);
  return text + "\n";
}

std::string memoryText(const Program &program) {
  uint64_t arena = 0;
  for (const Entry &entry : program.desc().entries)
    arena = std::max(arena, entry.arenaBytes());
  const WeightSource &source = program.desc().weightSource;
  return format("memory   weights %s%s, transients %s, cache %s a token\n",
                humanBytes(program.weightsBytes()).c_str(),
                source.isStored() ? "" : (" made up, " + weightSourceText(source)).c_str(),
                humanBytes(arena).c_str(), humanBytes(cacheBytesPerToken(program.desc())).c_str());
}

std::string entryText(const Entry &entry, const ProgramDesc &desc) {
  std::string text =
      format("\nentry %s: function %s, %s <= %u, %s, %zu dispatches, transients %s\n",
             entry.name.c_str(), entry.function.c_str(), entry.symbol.c_str(), entry.bound,
             specializationName(entry.specialization), entry.commands.size(),
             humanBytes(entry.arenaBytes()).c_str());
  for (size_t i = 0; i < entry.commands.size(); ++i) {
    const Command &command = entry.commands[i];
    text += format("  %4zu  %-28s %s\n", i, desc.kernels[command.kernel].symbol.c_str(),
                   command.sources.c_str());
  }
  return text;
}

std::string kernelsText(const ProgramDesc &desc) {
  std::vector<size_t> uses(desc.kernels.size());
  for (const Entry &entry : desc.entries)
    for (const Command &command : entry.commands)
      ++uses[command.kernel];
  std::string text =
      "\nkernels\n  dispatches  scratch bytes   weight bytes   MACs a unit  symbol\n";
  for (size_t i = 0; i < desc.kernels.size(); ++i)
    text +=
        format("  %10zu  %13llu  %13llu  %12llu  %s\n", uses[i],
               static_cast<Number>(desc.kernels[i].scratchBytes),
               static_cast<Number>(desc.kernels[i].weightBytes),
               static_cast<Number>(desc.kernels[i].macsPerSymbol), desc.kernels[i].symbol.c_str());
  return text;
}

std::string weightsText(const ProgramDesc &desc) {
  struct Sum {
    size_t count = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string, Sum> encodings;
  std::string text = "\nweights\n";
  for (const Weight &weight : desc.weights) {
    ++encodings[weight.encoding].count;
    encodings[weight.encoding].bytes += weight.bytes;
    text += format("  %-10s %8llu x %-8llu %12llu  %s", weight.encoding.c_str(),
                   static_cast<Number>(weight.rows), static_cast<Number>(weight.columns),
                   static_cast<Number>(weight.bytes), quoteName(weight.name).c_str());
    text += weight.matrices > 1 ? format(", %u matrices\n", weight.matrices) : "\n";
  }
  for (const auto &[encoding, sum] : encodings)
    text += format("  in %s: %zu tensors, %s\n", encoding.c_str(), sum.count,
                   humanBytes(sum.bytes).c_str());
  return text;
}

} // namespace

std::string inspectText(const Program &program) {
  const ProgramDesc &desc = program.desc();
  std::string text = format("file     %s: %s, format %u.%u, content %s\n", program.name().c_str(),
                            humanBytes(program.fileBytes()).c_str(), program.header().major,
                            program.header().minor, program.contentId().c_str());
  text += modelText(program) + codeText(desc) + imagesText(desc) + memoryText(program);
  for (const Entry &entry : desc.entries)
    text += entryText(entry, desc);
  return text + kernelsText(desc) + weightsText(desc);
}

} // namespace llama4::run
