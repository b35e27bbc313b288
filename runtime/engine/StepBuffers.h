//===- StepBuffers.h - what a step is told, in device memory -----*- C++ -*-===//
//
// Everything that changes from step to step lies in buffers made once: token ids, positions,
// sequences, page tables, cos, sin and temperatures, the hidden rows that come out, the rows asked
// for and their logits. Filling them for a step allocates nothing.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_STEPBUFFERS_H
#define LLAMA4_RUNTIME_ENGINE_STEPBUFFERS_H

#include "runtime/engine/ImagePool.h"
#include "runtime/engine/Sequence.h"
#include "runtime/program/Executor.h"

#include <memory>
#include <span>
#include <vector>

namespace llama4 {

/// The next `tokens` pending tokens of a sequence, to be processed in one step.
struct SequenceChunk {
  Sequence *sequence = nullptr;
  uint32_t tokens = 0;
};

class StepBuffers {
public:
  /// Buffers for steps of at most `maxTokens` tokens of `maxSequences` sequences and for
  /// `maxRows` rows of logits. Errors: OutOfMemory, InvalidInput (the program's entries don't keep
  /// to what an engine can feed).
  /// `images` holds the pictures that steps see; null: the program takes none.
  static Result<StepBuffers> create(const Program &program, Device &device, const ImagePool *images,
                                    uint32_t maxTokens, uint32_t maxSequences, uint32_t maxRows);
  /// Page tables for steps of `maxSequences` sequences of `cache`; once, before the first step.
  Status addTables(const KvCache &cache, Device &device, uint32_t maxSequences);

  /// Describes a step: ids of the tokens, their positions, and `step`, whose arrays live here.
  /// Chunk i becomes sequence i of the step.
  void fillStep(std::span<const uint32_t> slots, std::span<const SequenceChunk> chunks,
                const KvCache &cache, l4_step &step);
  /// Describes the run of a logits entry over `rows` rows of the hidden output.
  void fillRows(std::span<const uint32_t> rows, l4_step &step);

  /// Arguments of an entry of function "step" or "logits", in the order it declares them.
  std::span<void *const> inputs(uint32_t entry) const { return arguments_[entry].inputs; }
  std::span<void *const> outputs(uint32_t entry) const { return arguments_[entry].outputs; }

  /// Row `row` of the last step's hidden output.
  std::span<const float> hidden(uint32_t row) const;
  /// Row `row` of the last logits run.
  std::span<const float> logits(uint32_t row) const;

  /// Bytes of all buffers.
  uint64_t bytes() const { return bytes_; }

private:
  /// A rope table and its two inputs.
  struct Rope {
    RopeTable table;
    float *cos = nullptr;
    float *sin = nullptr;
    size_t rowFloats = 0;
  };
  /// A temperature table and its input.
  struct Temperature {
    TemperatureTable table;
    float *values = nullptr;
  };
  struct Arguments {
    std::vector<void *> inputs, outputs;
  };

  StepBuffers() = default;
  template <typename T> Status allocate(Device &device, uint64_t count, T *&pointer);
  Status addRopes(const Program &program, Device &device, uint32_t maxTokens);
  Status addTemperatures(const Program &program, Device &device, uint32_t maxTokens);
  Status addResults(const Program &program, Device &device);
  Status addImages(const Program &program, Device &device, uint32_t maxTokens);
  Status bindStep(const Entry &entry, Device &device, const ImagePool *images,
                  Arguments &arguments);
  Result<void *> imageInput(const Entry &entry, const EntryTensor &input,
                            const ImagePool *images) const;
  void fillImages(const Sequence &sequence, uint32_t tokens, uint32_t firstRow);
  Status bindLogits(const Entry &entry, Arguments &arguments);

  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
  std::vector<Rope> ropes_;
  std::vector<Temperature> temperatures_;
  std::vector<Arguments> arguments_; ///< one for each entry of the program
  std::vector<int32_t *> tables_;    ///< per kind [maxSequences][stride]
  std::vector<uint32_t> strides_;
  int32_t *ids_ = nullptr;
  int64_t *position_ = nullptr;
  int32_t *sequence_ = nullptr;
  int32_t *start_ = nullptr;
  int64_t *length_ = nullptr;
  int32_t *rows_ = nullptr;
  /// What tokens see of pictures; null where the family has no such input.
  int32_t *featureRow_ = nullptr, *imageFirst_ = nullptr, *imageCount_ = nullptr;
  float *seesImage_ = nullptr;
  float *hidden_ = nullptr;
  float *logits_ = nullptr;
  uint64_t hiddenBytes_ = 0, logitsBytes_ = 0;
  uint32_t hiddenColumns_ = 0, logitsColumns_ = 0;
  uint64_t bytes_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_STEPBUFFERS_H
