//===- InspectJson.cpp - what is in a program file, for programs ----------===//

#include "tools/llama4-run/Inspect.h"

namespace llama4::run {

using nlohmann::ordered_json;

namespace {

const char *sectionName(SectionKind kind) {
  switch (kind) {
  case SectionKind::None:
    break;
  case SectionKind::Checksums:
    return "checksums";
  case SectionKind::Program:
    return "program";
  case SectionKind::Code:
    return "code";
  case SectionKind::Tokenizer:
    return "tokenizer";
  case SectionKind::ChatTemplate:
    return "chat_template";
  case SectionKind::Weights:
    return "weights";
  }
  return "unknown";
}

ordered_json sectionsJson(const FileHeader &header) {
  ordered_json sections = ordered_json::array();
  for (uint32_t i = 0; i < header.sectionCount; ++i)
    sections.push_back({{"kind", sectionName(header.sections[i].kind)},
                        {"offset", header.sections[i].offset},
                        {"bytes", header.sections[i].bytes}});
  return sections;
}

ordered_json modelJson(const ModelInfo &model) {
  return {{"family", model.family},
          {"name", model.name},
          {"licence", model.licence},
          {"vocab_size", model.vocabSize},
          {"hidden_size", model.hiddenSize},
          {"layers", model.layers},
          {"max_position", model.maxPosition},
          {"bos", model.bos},
          {"eos", model.eos},
          {"stop", model.stop}};
}

ordered_json optionsJson(const CompileOptions &options) {
  return {{"compute", options.compute},
          {"kv_type", elementTypeName(options.kvType)},
          {"max_step_tokens", options.maxStepTokens},
          {"max_batch_size", options.maxBatchSize},
          {"max_length", options.maxLength}};
}

ordered_json generationJson(const GenerationDefaults &defaults) {
  if (!defaults.present)
    return nullptr;
  return {{"sample", defaults.sample},
          {"temperature", defaults.temperature},
          {"top_k", defaults.topK},
          {"top_p", defaults.topP},
          {"min_p", defaults.minP},
          {"repetition_penalty", defaults.repetitionPenalty},
          {"max_new_tokens", defaults.maxNewTokens}};
}

ordered_json tensorsJson(const std::vector<EntryTensor> &tensors) {
  constexpr const char *roles[] = {"ids",    "cos",         "sin",      "batch",
                                   "tensor", "temperature", "grid_cos", "grid_sin"};
  ordered_json list = ordered_json::array();
  for (const EntryTensor &tensor : tensors)
    list.push_back({{"name", tensor.name},
                    {"type", elementTypeName(tensor.type)},
                    {"columns", tensor.columns},
                    {"rows_per_symbol", tensor.rowsPerSymbol},
                    {"rows_fixed", tensor.rowsFixed},
                    {"role", roles[static_cast<size_t>(tensor.role)]}});
  return list;
}

ordered_json entryJson(const Entry &entry, const ProgramDesc &program) {
  ordered_json commands = ordered_json::array();
  for (const Command &command : entry.commands)
    commands.push_back({{"kernel", program.kernels[command.kernel].symbol},
                        {"tiles_at_bound", command.grid.tiles(entry.bound)},
                        {"sources", command.sources}});
  return {{"name", entry.name},
          {"function", entry.function},
          {"symbol", entry.symbol},
          {"bound", entry.bound},
          {"specialization", specializationName(entry.specialization)},
          {"arena_bytes", entry.arenaBytes()},
          {"dispatches", entry.commands.size()},
          {"inputs", tensorsJson(entry.inputs)},
          {"outputs", tensorsJson(entry.outputs)},
          {"commands", std::move(commands)}};
}

ordered_json kvJson(const KvKind &kind) {
  return {{"name", kind.name},
          {"layers", kind.layers},
          {"kv_heads", kind.kvHeads},
          {"head_dim", kind.headDim},
          {"type", elementTypeName(kind.type)},
          {"page_bytes", kind.pageBytes},
          {"chunk_tokens", kind.chunkTokens}};
}

ordered_json kernelJson(const Kernel &kernel) {
  ordered_json json = {{"symbol", kernel.symbol},
                       {"scratch_bytes", kernel.scratchBytes},
                       {"weight_bytes", kernel.weightBytes},
                       {"macs_per_symbol", kernel.macsPerSymbol}};
  if (kernel.experts != 0)
    json["experts"] = kernel.experts;
  if (!kernel.library.empty())
    json["library"] = kernel.library;
  return json;
}

ordered_json weightJson(const Weight &weight) {
  ordered_json json = {{"name", weight.name},
                       {"encoding", weight.encoding},
                       {"shape", {weight.rows, weight.columns}},
                       {"offset", weight.offset},
                       {"bytes", weight.bytes}};
  if (weight.matrices > 1)
    json["matrices"] = weight.matrices;
  return json;
}

ordered_json imagesJson(const ImageInfo &images) {
  return {{"family", images.family == ImageFamily::Mllama ? "mllama" : "llama4"},
          {"image_size", images.imageSize},
          {"patch_size", images.patchSize},
          {"max_tiles", images.maxTiles},
          {"tokens_per_tile", images.tokensPerTile},
          {"max_feature_rows", images.maxFeatureRows},
          {"resize_to_max_canvas", images.resizeToMaxCanvas},
          {"filter", images.filter == ImageFilter::Bicubic ? "bicubic" : "bilinear"},
          {"mean", images.mean},
          {"deviation", images.deviation},
          {"rescale", images.rescale},
          {"tokens",
           {{"image", images.imageToken},
            {"patch", images.patchToken},
            {"start", images.startToken},
            {"end", images.endToken},
            {"tile_x", images.tileXToken},
            {"tile_y", images.tileYToken}}}};
}

ordered_json memoryJson(const Program &program) {
  const ProgramDesc &desc = program.desc();
  uint64_t arena = 0;
  for (const Entry &entry : desc.entries)
    arena = std::max(arena, entry.arenaBytes());
  return {{"weights", program.weightsBytes()},
          {"arena", arena},
          {"cache_per_token", cacheBytesPerToken(desc)}};
}

} // namespace

ordered_json inspectJson(const Program &program) {
  const ProgramDesc &desc = program.desc();
  ordered_json json = {{"file", program.name()},
                       {"file_bytes", program.fileBytes()},
                       {"format", std::to_string(program.header().major) + "." +
                                      std::to_string(program.header().minor)},
                       {"content_id", program.contentId()},
                       {"sections", sectionsJson(program.header())},
                       {"model", modelJson(desc.model)},
                       {"options", optionsJson(desc.options)},
                       {"generation", generationJson(desc.generation)},
                       {"weight_source", weightSourceText(desc.weightSource)},
                       {"memory_bytes", memoryJson(program)}};
  for (const CodeObject &object : desc.codeObjects)
    json["code"].push_back({{"target", object.target},
                            {"level", object.level},
                            {"features", object.features},
                            {"bytes", object.bytes}});
  for (const KvKind &kind : desc.kvKinds)
    json["kv"].push_back(kvJson(kind));
  for (const RopeTable &rope : desc.ropes)
    json["ropes"].push_back({{"name", rope.name},
                             {"frequencies", rope.invFreq.size()},
                             {"attention_scaling", rope.attentionScaling}});
  for (const TemperatureTable &table : desc.temperatures)
    json["temperatures"].push_back(
        {{"name", table.name}, {"attn_scale", table.attnScale}, {"floor_scale", table.floorScale}});
  for (const RopeGrid &grid : desc.grids)
    json["grids"].push_back({{"name", grid.name},
                             {"rows", grid.rows},
                             {"columns", grid.columns},
                             {"frequencies", grid.invFreq.size()}});
  if (desc.images.present())
    json["images"] = imagesJson(desc.images);
  for (const Entry &entry : desc.entries)
    json["entries"].push_back(entryJson(entry, desc));
  for (const Kernel &kernel : desc.kernels)
    json["kernels"].push_back(kernelJson(kernel));
  for (const Weight &weight : desc.weights)
    json["weights"].push_back(weightJson(weight));
  return json;
}

} // namespace llama4::run
