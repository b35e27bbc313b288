//===- ProgramDesc.h - what a program file says, as plain structs -*- C++ -*-===//
//
// The decoded form of program.fbs. The compiler fills one and gives it to the artifact writer; the
// loader gives one back, checked. It holds no pointers into the file and no generated types, so
// that nothing else sees the serialisation. Every field here has one field in program.fbs.
//
// Sizes are in bytes. "Rows" are rows of activations as in Rows.h; every tensor of an entry has
//   rowsPerSymbol * symbol + rowsFixed
// of them, where the symbol (tokens of a step, rows of logits, tiles of an image) is the only
// number that changes from run to run.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_PROGRAMDESC_H
#define LLAMA4_RUNTIME_FORMAT_PROGRAMDESC_H

#include "runtime/base/Checked.h"
#include "runtime/format/Rows.h"
#include "runtime/format/WeightSource.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace llama4 {

/// Facts of the model that the engine needs and no command holds.
struct ModelInfo {
  std::string family;  ///< "llama3", "llama4", ...
  std::string name;    ///< for people; may be empty
  std::string licence; ///< for people; may be empty
  uint32_t vocabSize = 0;
  uint32_t hiddenSize = 0;
  uint32_t layers = 0;
  uint64_t maxPosition = 0;  ///< positions the model was made for
  int32_t bos = -1;          ///< id that begins a text, -1: none
  std::vector<int32_t> eos;  ///< ids that end a text
  std::vector<int32_t> stop; ///< further ids at which generation stops (end of turn, of message)
  uint64_t parametersLeftOut = 0; ///< of parts of the checkpoint that were not compiled (vision)
};

/// The compile options that shape what the runtime may do.
struct CompileOptions {
  std::string compute; ///< "float32" or "bfloat16"
  ElementType kvType = ElementType::BF16;
  uint32_t maxStepTokens = 0; ///< upper bound of T
  uint32_t maxBatchSize = 0;  ///< upper bound of the sequences of a step
  uint64_t maxLength = 0;     ///< upper bound of a sequence's length
};

/// Defaults of the sampler, from the model's generation_config.
struct GenerationDefaults {
  bool present = false; ///< the model came with such defaults
  bool sample = false;  ///< false: greedy
  float temperature = 1.0f;
  float topP = 1.0f;
  float minP = 0.0f;
  float repetitionPenalty = 1.0f;
  uint32_t topK = 0;         ///< 0: off
  uint32_t maxNewTokens = 0; ///< 0: not said
};

/// What the engine puts into an input. The numbers are stored in files: append only.
enum class InputRole : uint8_t {
  Ids = 0,    ///< i32[T] token ids
  Cos = 1,    ///< f32[T, d/2] of the rope table `rope`, times its attention scaling
  Sin = 2,    ///< the same for the sine
  Batch = 3,  ///< the step metadata: read through l4_step; its pointer is ignored and never bound
  Tensor = 4, ///< anything else, known by its name
  Temperature = 5, ///< f32[T, 1] attention temperatures of the table `temperature`
  GridCos = 6,     ///< f32 cosines of the rope grid `grid` (RopeGrid.h), the same for every run
  GridSin = 7,     ///< the same for the sine
};

/// An input or output of an entry.
struct EntryTensor {
  std::string name;
  ElementType type = ElementType::F32;
  uint32_t columns = 0; ///< 0: one element per row
  uint32_t rowsPerSymbol = 1;
  uint32_t rowsFixed = 0;
  InputRole role = InputRole::Tensor; ///< inputs only
  uint32_t rope = 0;                  ///< roles Cos and Sin: index into ProgramDesc::ropes
  uint32_t temperature = 0;           ///< role Temperature: index into ProgramDesc::temperatures
  uint32_t grid = 0;                  ///< roles GridCos and GridSin: index into ProgramDesc::grids

  uint64_t rows(uint64_t symbol) const { return rowsPerSymbol * symbol + rowsFixed; }
  uint64_t bytes(uint64_t symbol) const { return rows(symbol) * rowBytes(type, columns); }
};

/// Where the pointer of a binding comes from. The numbers are stored in files: append only.
enum class BindingKind : uint8_t {
  Weight = 0,    ///< index: weight; offset: bytes into it
  Transient = 1, ///< index: 0; offset: bytes into the arena
  Input = 2,     ///< index: input of the entry; offset: bytes into its first row
  Output = 3,    ///< index: output of the entry; offset: bytes into its first row
  Kv = 4,        ///< index: kv kind; offset: layer of that kind
};

struct Binding {
  BindingKind kind = BindingKind::Transient;
  uint32_t index = 0;
  uint64_t offset = 0;
};

/// Number of tiles of a dispatch: ceil(symbol / div) * mul + add.
struct GridExpr {
  uint32_t div = 1;
  uint32_t mul = 1;
  uint32_t add = 0;

  uint64_t tiles(uint64_t symbol) const { return (symbol / div + (symbol % div != 0)) * mul + add; }
};

/// One dispatch of one kernel. Commands run in order, each after the one before has ended.
struct Command {
  uint32_t kernel = 0;
  std::vector<Binding> bindings; ///< one for each parameter of the kernel
  GridExpr grid;
  std::vector<int64_t> constants;
  std::string sources; ///< the ops it came from, for reports
};

/// For which steps an entry may be used. The numbers are stored in files: append only.
enum class Specialization : uint8_t {
  Any = 0,    ///< any ragged batch
  Decode = 1, ///< one token per sequence
};

/// A list of commands that computes one function of the model.
struct Entry {
  std::string name;     ///< unique: "step", "step.decode", "logits"
  std::string function; ///< what it computes: "step", "logits"; several entries may share it
  std::string symbol;   ///< name of the symbol in dumps: "T", "R"
  uint32_t bound = 0;   ///< largest value of the symbol
  Specialization specialization = Specialization::Any;
  std::vector<EntryTensor> inputs, outputs;
  std::vector<Command> commands;
  uint64_t arenaPerSymbol = 0; ///< arena bytes are arenaPerSymbol * symbol + arenaFixed;
  uint64_t arenaFixed = 0;     ///< offsets were planned with the symbol at its bound

  uint64_t arenaBytes() const { return arenaPerSymbol * bound + arenaFixed; }
};

/// What kind of memory a kernel expects behind a parameter. Stored in files: append only.
enum class ParamKind : uint8_t {
  Tensor = 0, ///< rows of activations: a transient, an input or an output
  Weight = 1, ///< a packed weight, read only
  Kv = 2,     ///< the pool of one layer
};

/// Stored in files: append only. A tensor that is read and written is workspace (format.md).
enum class Access : uint8_t { Read = 1, Write = 2, ReadWrite = 3 };

/// One parameter of a kernel's signature.
struct KernelParam {
  ParamKind kind = ParamKind::Tensor;
  Access access = Access::Read;
  ElementType type = ElementType::F32; ///< tensors and kv
  uint32_t columns = 0;                ///< tensors; 0: one element per row
  uint32_t rowsPerSymbol = 1;          ///< tensors
  uint32_t rowsFixed = 0;              ///< tensors
  /// Tensor: bytes from one row to the next, >= rowBytes(type, columns) (more: a slice of columns
  /// of a wider tensor). Weight: bytes the kernel may read. Kv: bytes of one page.
  uint64_t rowBytes = 0;
  std::string encoding; ///< weights: the encoding the kernel decodes

  uint64_t rows(uint64_t symbol) const { return rowsPerSymbol * symbol + rowsFixed; }
};

/// One symbol of the code objects.
struct Kernel {
  std::string symbol;
  uint64_t scratchBytes = 0; ///< private memory of each thread that runs it
  std::vector<KernelParam> params;
  uint64_t macsPerSymbol = 0; ///< multiply-adds of one dispatch for each unit of the symbol
  uint64_t weightBytes = 0;   ///< bytes of weights one dispatch reads; of all experts
  uint32_t experts = 0;       ///< grouped linears: matrices in each weight; 0: no grouped linear
  /// Grouped linears: the parameter that holds the tiles, an l4_group_tile in each row.
  uint32_t tilesParam = 0;
  /// What computes it instead of code of the file (LibraryCall.h); empty: the code of the file.
  std::string library = {};

  /// Bytes of weights one dispatch reads whose tiles name `touched` different experts.
  uint64_t weightBytesOf(uint64_t touched) const {
    return experts == 0 || touched >= experts ? weightBytes : weightBytes / experts * touched;
  }
  /// The same at most: no more experts than the tiles that the symbol has room for.
  uint64_t mostWeightBytes(uint64_t symbol) const {
    return experts == 0 ? weightBytes : weightBytesOf(params[tilesParam].rows(symbol));
  }
};

/// One packed tensor of the weights section.
struct Weight {
  std::string name;               ///< source name(s), unique
  std::string encoding;           ///< "float32", "bfloat16", "q8_0", "q4_k", ...
  uint64_t rows = 0, columns = 0; ///< logical shape; of one matrix
  uint64_t offset = 0;            ///< into the weights section, a multiple of 64
  uint64_t bytes = 0;             ///< of all matrices
  /// Experts: so many matrices of rows x columns, each in panels of its own, one behind the other.
  uint32_t matrices = 1;
};

/// The KV cache of one kind of layers; one page table serves all layers of a kind.
struct KvKind {
  std::string name;
  uint32_t layers = 0;
  uint32_t kvHeads = 0;
  uint32_t headDim = 0;
  ElementType type = ElementType::BF16;
  uint64_t pageBytes = 0;   ///< kvPageBytes(type, kvHeads, headDim)
  uint32_t chunkTokens = 0; ///< pages before the current chunk of so many tokens are dead; 0: never
};

/// Machine code of all kernels for one target and level.
struct CodeObject {
  std::string target;                ///< "cpu"
  std::string level;                 ///< "x86-64-v3", ...
  std::vector<std::string> features; ///< every feature the code uses, LLVM names
  uint64_t offset = 0;               ///< into the code section, a multiple of 4096
  uint64_t bytes = 0;
};

/// Frequencies of a rotary embedding; the engine fills cos/sin inputs from them each step.
struct RopeTable {
  std::string name;
  std::vector<float> invFreq; ///< [d/2]
  float attentionScaling = 1.0f;
};

/// Parameters of an attention temperature; the engine fills temperature inputs from them each step:
/// 1 + attnScale * log(1 + floor((position + 1) / floorScale)).
struct TemperatureTable {
  std::string name;
  float attnScale = 0.0f;
  uint64_t floorScale = 1;
};

/// Frequencies of a rotary embedding over a grid of tokens behind which one more stands, see
/// RopeGrid.h; inputs are filled from it once.
struct RopeGrid {
  std::string name;
  uint32_t rows = 0, columns = 0;
  std::vector<float> invFreq; ///< of half a head

  uint64_t tokens() const { return uint64_t{rows} * columns + 1; }
};

/// How pictures reach a model. The numbers are stored in files: append only.
enum class ImageFamily : uint8_t {
  None = 0,   ///< the program takes no pictures
  Llama4 = 1, ///< tiles and a global tile; features in the places of tokens
  Mllama = 2, ///< up to four tiles; keys and values that tokens attend to
};

/// How pictures are scaled. Stored in files: append only.
enum class ImageFilter : uint8_t { Bilinear = 0, Bicubic = 1 };

/// What becomes of a picture before the entry "encode_image", and in a prompt.
struct ImageInfo {
  ImageFamily family = ImageFamily::None;
  uint32_t imageSize = 0;      ///< pixels of a tile's side
  uint32_t patchSize = 0;      ///< divides imageSize
  uint32_t maxTiles = 0;       ///< of a picture's canvas
  uint32_t tokensPerTile = 0;  ///< feature rows
  uint32_t maxFeatureRows = 0; ///< of all pictures that the engine holds at once
  bool resizeToMaxCanvas = false;
  ImageFilter filter = ImageFilter::Bilinear;
  double mean[3] = {0.5, 0.5, 0.5}, deviation[3] = {0.5, 0.5, 0.5};
  double rescale = 1.0 / 255;
  /// Ids of <|image|>, one for each picture of a prompt, and of what Llama 4 puts around tiles; -1:
  /// not known, then prompts have to come with everything in its place.
  int32_t imageToken = -1;
  int32_t patchToken = -1; ///< Llama 4: where a feature row goes
  int32_t startToken = -1, endToken = -1, tileXToken = -1, tileYToken = -1;

  bool present() const { return family != ImageFamily::None; }
  /// Feature rows of a unit of "encode_image": a tile of Llama 4, else a picture.
  uint64_t unitRows() const {
    return family == ImageFamily::Mllama ? uint64_t{maxTiles} * tokensPerTile : tokensPerTile;
  }
};

/// Everything of a program but code, tokenizer and weights themselves.
struct ProgramDesc {
  ModelInfo model;
  CompileOptions options;
  GenerationDefaults generation;
  std::vector<Entry> entries;
  std::vector<Kernel> kernels;
  std::vector<Weight> weights;
  std::vector<KvKind> kvKinds; ///< at most L4_MAX_KV_KINDS, in the order of l4_step::page_table
  std::vector<RopeTable> ropes;
  std::vector<TemperatureTable> temperatures;
  std::vector<RopeGrid> grids;
  ImageInfo images;
  std::vector<CodeObject> codeObjects;
  WeightSource weightSource; ///< not stored: the file has no Weights section
};

/// Bytes from the first weight to the end of the last; nothing on overflow.
inline std::optional<uint64_t> weightsEnd(const ProgramDesc &program) {
  if (program.weights.empty())
    return 0;
  const Weight &last = program.weights.back();
  return checkedAdd(last.offset, last.bytes);
}

/// True when a reader must know what experts are to run the program.
inline bool hasExperts(const ProgramDesc &program) {
  for (const Kernel &kernel : program.kernels)
    if (kernel.experts != 0)
      return true;
  for (const Weight &weight : program.weights)
    if (weight.matrices != 1)
      return true;
  return false;
}

/// True when a reader must know what kernels without code are to run the program.
inline bool hasLibraries(const ProgramDesc &program) {
  for (const Kernel &kernel : program.kernels)
    if (!kernel.library.empty())
      return true;
  return false;
}

/// True when a reader must know what pictures are to run the program.
inline bool hasImages(const ProgramDesc &program) {
  return program.images.present() || !program.grids.empty();
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_PROGRAMDESC_H
