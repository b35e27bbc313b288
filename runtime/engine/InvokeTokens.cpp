//===- InvokeTokens.cpp - logits of every token of given sequences --------===//

#include "runtime/engine/Invoke.h"

#include "runtime/engine/StepPlanner.h"

#include <cstring>
#include <numeric>

namespace llama4 {

namespace {

/// A vector of I64 or I32 as numbers.
Result<std::vector<int64_t>> readIntegers(const SafetensorsFile &file,
                                          const SafetensorsTensor &tensor) {
  if (tensor.shape.size() != 1 || (tensor.dtype != DType::I64 && tensor.dtype != DType::I32))
    return Status::invalidInput(
        file.path() + ": " + tensor.name + ": found " + std::string(dtypeName(tensor.dtype)) +
        " of " + std::to_string(tensor.shape.size()) + " dimensions, expected a vector of i64.");
  std::vector<int64_t> values(static_cast<size_t>(tensor.shape[0]));
  for (size_t i = 0; i < values.size(); ++i) {
    if (tensor.dtype == DType::I64) {
      std::memcpy(&values[i], tensor.bytes.data() + i * sizeof(int64_t), sizeof(int64_t));
      continue;
    }
    int32_t narrow = 0;
    std::memcpy(&narrow, tensor.bytes.data() + i * sizeof(int32_t), sizeof(int32_t));
    values[i] = narrow;
  }
  return values;
}

} // namespace

Status OwnedTensors::write(const std::string &path) const {
  std::vector<SafetensorsTensor> views;
  for (const Tensor &tensor : tensors)
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  return writeSafetensors(path, views);
}

Result<TokenInput> readTokenInput(const SafetensorsFile &file) {
  const SafetensorsTensor *ids = file.find("input_ids");
  if (!ids)
    return Status::invalidInput(file.path() + ": found no tensor \"input_ids\", expected i64[T]; "
                                              "or name an entry with --entry.");
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> values, readIntegers(file, *ids));
  TokenInput input;
  for (int64_t value : values) {
    if (value < 0 || value > std::numeric_limits<int32_t>::max())
      return Status::invalidInput(file.path() + ": input_ids: found " + std::to_string(value) +
                                  ", expected token ids.");
    input.ids.push_back(static_cast<int32_t>(value));
  }
  if (const SafetensorsTensor *lengths = file.find("sequence_lengths")) {
    LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> cuts, readIntegers(file, *lengths));
    uint64_t left = input.ids.size();
    for (int64_t cut : cuts) {
      if (cut < 1 || static_cast<uint64_t>(cut) > left)
        return Status::invalidInput(file.path() + ": sequence_lengths: found " +
                                    std::to_string(cut) + ", expected 1 to " +
                                    std::to_string(left) + ", the ids that are left.");
      left -= static_cast<uint64_t>(cut);
      input.lengths.push_back(static_cast<uint64_t>(cut));
    }
    if (left != 0)
      return Status::invalidInput(file.path() + ": sequence_lengths: found " +
                                  std::to_string(left) +
                                  " ids too few, expected the sum to be the length of input_ids.");
  } else {
    input.lengths.push_back(input.ids.size());
  }
  if (input.ids.empty())
    return Status::invalidInput(file.path() + ": input_ids: found no ids, expected at least one.");
  return input;
}

Result<OwnedTensors> invokeTokens(Engine &engine, const TokenInput &input, uint32_t chunkTokens) {
  if (input.lengths.size() > engine.maxSequences())
    return Status::error(StatusKind::Usage, "sequence_lengths: found " +
                                                std::to_string(input.lengths.size()) +
                                                " sequences, expected at most " +
                                                std::to_string(engine.maxSequences()) + ".");
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<uint64_t> first; ///< of each sequence, into the ids
  uint64_t begin = 0;
  for (uint64_t length : input.lengths) {
    LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Sequence> sequence, engine.createSequence(length));
    LLAMA4_RETURN_IF_ERROR(sequence->append(std::span(input.ids).subspan(begin, length)));
    if (!input.images.empty() && !input.images[sequences.size()].images.empty())
      LLAMA4_RETURN_IF_ERROR(engine.setImages(*sequence, input.images[sequences.size()]).status());
    sequences.push_back(std::move(sequence));
    first.push_back(begin);
    begin += length;
  }
  const uint64_t rowSize = engine.vocabSize() * sizeof(float);
  OwnedTensors result;
  result.tensors.push_back({"logits",
                            DType::F32,
                            {static_cast<int64_t>(input.ids.size()), engine.vocabSize()},
                            std::vector<std::byte>(input.ids.size() * rowSize)});
  std::byte *logits = result.tensors[0].bytes.data();

  std::vector<uint32_t> rows;
  std::vector<uint64_t> places; ///< of the step's rows in the result
  StepPlanner planner(engine, chunkTokens);
  while (planner.plan(sequences)) {
    places.clear();
    for (const PlannedChunk &chunk : planner.planned())
      for (uint32_t i = 0; i < chunk.tokens; ++i)
        places.push_back(first[chunk.sequence] + sequences[chunk.sequence]->processed() + i);
    rows.resize(places.size());
    std::iota(rows.begin(), rows.end(), 0u);
    LLAMA4_RETURN_IF_ERROR(engine.step(planner.chunks()));
    LLAMA4_RETURN_IF_ERROR(engine.logits(rows, [&](size_t i, std::span<const float> values) {
      std::memcpy(logits + places[i] * rowSize, values.data(), rowSize);
    }));
  }
  return result;
}

} // namespace llama4
