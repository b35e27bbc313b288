//===- DecodeProgram.cpp - from the flatbuffer to ProgramDesc -------------===//
//
// The flatbuffers verifier proves that every table, vector and string lies inside the buffer;
// after it each field is copied. Absent strings and vectors read as empty, absent tables as their
// defaults. The number of tables and the depth are limited before anything is allocated.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/DecodeProgram.h"

#include "runtime/format/CheckField.h"

#include <algorithm>
#include <iterator>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wconversion"
#include "runtime/format/program_generated.h"
#pragma clang diagnostic pop

namespace llama4 {

using check::atIndex;
using check::badField;

namespace {

constexpr uint32_t maxDepth = 8;         // Program > Entry > Command, and some room
constexpr uint32_t maxTables = 1u << 22; // commands dominate, see limits::maxCommands
constexpr size_t maxBytes = size_t{64} << 20;

std::string text(const flatbuffers::String *string) {
  return string ? string->str() : std::string();
}

template <typename T> std::vector<T> scalars(const flatbuffers::Vector<T> *vector) {
  return vector ? std::vector<T>(vector->begin(), vector->end()) : std::vector<T>();
}

uint64_t wide(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

/// Stores `raw` in `out` when it is one of the first `count` enumerators.
template <typename Enum, typename Raw>
Status enumerator(const std::string &field, Raw raw, uint32_t count, Enum &out,
                  uint32_t first = 0) {
  auto value = static_cast<uint32_t>(raw);
  if (value < first || value >= count)
    return badField(field, "the number " + std::to_string(value),
                    "one from " + std::to_string(first) + " to " + std::to_string(count - 1));
  out = static_cast<Enum>(value);
  return {};
}

/// Decodes each element of a vector of tables by `decode(path, table, out)`.
template <typename Table, typename Out, typename Decode>
Status tables(const std::string &field,
              const flatbuffers::Vector<flatbuffers::Offset<Table>> *vector, std::vector<Out> &out,
              Decode decode) {
  if (!vector)
    return {};
  out.resize(vector->size());
  for (uint32_t i = 0; i < vector->size(); ++i)
    LLAMA4_RETURN_IF_ERROR(decode(atIndex(field, i), *vector->Get(i), out[i]));
  return {};
}

ModelInfo decodeModel(const fb::ModelInfo &in) {
  return {text(in.family()), text(in.name()),    text(in.licence()),      in.vocab_size(),
          in.hidden_size(),  in.layers(),        in.max_position(),       in.bos(),
          scalars(in.eos()), scalars(in.stop()), in.parameters_left_out()};
}

Status decodeOptions(const fb::CompileOptions &in, CompileOptions &out) {
  out.compute = text(in.compute());
  out.maxStepTokens = in.max_step_tokens();
  out.maxBatchSize = in.max_batch_size();
  out.maxLength = in.max_length();
  return enumerator("options.kv_type", in.kv_type(), elementTypeCount, out.kvType);
}

GenerationDefaults decodeGeneration(const fb::GenerationDefaults &in) {
  return {in.present(), in.sample(),        in.temperature(),
          in.top_p(),   in.min_p(),         in.repetition_penalty(),
          in.top_k(),   in.max_new_tokens()};
}

Status decodeTensor(const std::string &at, const fb::EntryTensor &in, EntryTensor &out) {
  out.name = text(in.name());
  out.columns = in.columns();
  out.rowsPerSymbol = in.rows_per_symbol();
  out.rowsFixed = in.rows_fixed();
  out.rope = in.rope();
  out.temperature = in.temperature();
  out.grid = in.grid();
  LLAMA4_RETURN_IF_ERROR(enumerator(at + ".type", in.type(), elementTypeCount, out.type));
  return enumerator(at + ".role", in.role(), 8, out.role);
}

Status decodeCommand(const std::string &at, const fb::Command &in, Command &out) {
  out.kernel = in.kernel();
  out.sources = text(in.sources());
  if (const fb::GridExpr *grid = in.grid())
    out.grid = {grid->div(), grid->mul(), grid->add()};
  if (const auto *constants = in.constants())
    for (const fb::Wide *value : *constants)
      out.constants.push_back(static_cast<int64_t>(wide(value->low(), value->high())));
  if (!in.bindings())
    return {};
  out.bindings.resize(in.bindings()->size());
  for (uint32_t i = 0; i < in.bindings()->size(); ++i) {
    const fb::Binding &from = *in.bindings()->Get(i);
    Binding &to = out.bindings[i];
    to.index = from.index();
    to.offset = wide(from.offset_low(), from.offset_high());
    LLAMA4_RETURN_IF_ERROR(
        enumerator(atIndex(at + ".bindings", i) + ".kind", from.kind(), 5, to.kind));
  }
  return {};
}

Status decodeEntry(const std::string &at, const fb::Entry &in, Entry &out) {
  out.name = text(in.name());
  out.function = text(in.function());
  out.symbol = text(in.symbol());
  out.bound = in.bound();
  out.arenaPerSymbol = in.arena_per_symbol();
  out.arenaFixed = in.arena_fixed();
  LLAMA4_RETURN_IF_ERROR(
      enumerator(at + ".specialization", in.specialization(), 2, out.specialization));
  LLAMA4_RETURN_IF_ERROR(tables(at + ".inputs", in.inputs(), out.inputs, decodeTensor));
  LLAMA4_RETURN_IF_ERROR(tables(at + ".outputs", in.outputs(), out.outputs, decodeTensor));
  return tables(at + ".commands", in.commands(), out.commands, decodeCommand);
}

Status decodeParam(const std::string &at, const fb::KernelParam &in, KernelParam &out) {
  out.columns = in.columns();
  out.rowsPerSymbol = in.rows_per_symbol();
  out.rowsFixed = in.rows_fixed();
  out.rowBytes = in.row_bytes();
  out.encoding = text(in.encoding());
  LLAMA4_RETURN_IF_ERROR(enumerator(at + ".kind", in.kind(), 3, out.kind));
  LLAMA4_RETURN_IF_ERROR(enumerator(at + ".access", in.access(), 4, out.access, 1));
  return enumerator(at + ".type", in.type(), elementTypeCount, out.type);
}

Status decodeKernel(const std::string &at, const fb::Kernel &in, Kernel &out) {
  out.symbol = text(in.symbol());
  out.scratchBytes = in.scratch_bytes();
  out.macsPerSymbol = in.macs_per_symbol();
  out.weightBytes = in.weight_bytes();
  out.experts = in.experts();
  out.tilesParam = in.tiles_param();
  out.library = text(in.library());
  return tables(at + ".params", in.params(), out.params, decodeParam);
}

Status decodeWeight(const std::string &, const fb::Weight &in, Weight &out) {
  out = {text(in.name()), text(in.encoding()), in.rows(),    in.columns(),
         in.offset(),     in.bytes(),          in.matrices()};
  return {};
}

Status decodeKvKind(const std::string &at, const fb::KvKind &in, KvKind &out) {
  out.name = text(in.name());
  out.layers = in.layers();
  out.kvHeads = in.kv_heads();
  out.headDim = in.head_dim();
  out.pageBytes = in.page_bytes();
  out.chunkTokens = in.chunk_tokens();
  return enumerator(at + ".type", in.type(), elementTypeCount, out.type);
}

Status decodeRope(const std::string &, const fb::RopeTable &in, RopeTable &out) {
  out = {text(in.name()), scalars(in.inv_freq()), in.attention_scaling()};
  return {};
}

Status decodeTemperature(const std::string &, const fb::TemperatureTable &in,
                         TemperatureTable &out) {
  out = {text(in.name()), in.attn_scale(), in.floor_scale()};
  return {};
}

Status decodeGrid(const std::string &, const fb::RopeGrid &in, RopeGrid &out) {
  out = {text(in.name()), in.rows(), in.columns(), scalars(in.inv_freq())};
  return {};
}

Status decodeImages(const fb::ImageInfo &in, ImageInfo &out) {
  LLAMA4_RETURN_IF_ERROR(enumerator("images.family", in.family(), 3, out.family));
  LLAMA4_RETURN_IF_ERROR(enumerator("images.filter", in.filter(), 2, out.filter));
  out.imageSize = in.image_size();
  out.patchSize = in.patch_size();
  out.maxTiles = in.max_tiles();
  out.tokensPerTile = in.tokens_per_tile();
  out.maxFeatureRows = in.max_feature_rows();
  out.resizeToMaxCanvas = in.resize_to_max_canvas();
  const double mean[] = {in.mean_red(), in.mean_green(), in.mean_blue()};
  const double deviation[] = {in.deviation_red(), in.deviation_green(), in.deviation_blue()};
  std::copy(std::begin(mean), std::end(mean), out.mean);
  std::copy(std::begin(deviation), std::end(deviation), out.deviation);
  out.rescale = in.rescale();
  out.imageToken = in.image_token();
  out.patchToken = in.patch_token();
  out.startToken = in.start_token();
  out.endToken = in.end_token();
  out.tileXToken = in.tile_x_token();
  out.tileYToken = in.tile_y_token();
  return {};
}

Status decodeCodeObject(const std::string &, const fb::CodeObject &in, CodeObject &out) {
  out.target = text(in.target());
  out.level = text(in.level());
  out.offset = in.offset();
  out.bytes = in.bytes();
  if (in.features())
    for (const flatbuffers::String *feature : *in.features())
      out.features.push_back(text(feature));
  return {};
}

} // namespace

Result<ProgramDesc> decodeProgram(std::span<const std::byte> bytes) {
  if (bytes.size() > maxBytes)
    return badField("program", std::to_string(bytes.size()) + " bytes",
                    "at most " + std::to_string(maxBytes));
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(),
                                 maxDepth, maxTables);
  if (bytes.size() < 16 || !fb::VerifyProgramBuffer(verifier))
    return badField("program", "bytes that are no valid flatbuffer",
                    "a program table with identifier " + std::string(fb::ProgramIdentifier()));
  const fb::Program &in = *fb::GetProgram(bytes.data());
  ProgramDesc out;
  if (in.model())
    out.model = decodeModel(*in.model());
  if (in.options())
    LLAMA4_RETURN_IF_ERROR(decodeOptions(*in.options(), out.options));
  if (in.generation())
    out.generation = decodeGeneration(*in.generation());
  LLAMA4_RETURN_IF_ERROR(tables("entries", in.entries(), out.entries, decodeEntry));
  LLAMA4_RETURN_IF_ERROR(tables("kernels", in.kernels(), out.kernels, decodeKernel));
  LLAMA4_RETURN_IF_ERROR(tables("weights", in.weights(), out.weights, decodeWeight));
  LLAMA4_RETURN_IF_ERROR(tables("kv_kinds", in.kv_kinds(), out.kvKinds, decodeKvKind));
  LLAMA4_RETURN_IF_ERROR(tables("ropes", in.ropes(), out.ropes, decodeRope));
  LLAMA4_RETURN_IF_ERROR(
      tables("temperatures", in.temperatures(), out.temperatures, decodeTemperature));
  LLAMA4_RETURN_IF_ERROR(tables("grids", in.grids(), out.grids, decodeGrid));
  if (in.images())
    LLAMA4_RETURN_IF_ERROR(decodeImages(*in.images(), out.images));
  out.weightSource.value = in.weight_value();
  out.weightSource.seed = in.weight_seed();
  LLAMA4_RETURN_IF_ERROR(
      enumerator("weight_origin", in.weight_origin(), 3, out.weightSource.origin));
  LLAMA4_RETURN_IF_ERROR(
      tables("code_objects", in.code_objects(), out.codeObjects, decodeCodeObject));
  return out;
}

} // namespace llama4
