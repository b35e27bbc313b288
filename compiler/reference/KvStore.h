//===- KvStore.h - keys and values of the reference interpreter -*- C++ -*-===//
//
// What the engine's pages hold, without pages: rows by kind, layer, sequence and position.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REFERENCE_KVSTORE_H
#define LLAMA4_COMPILER_REFERENCE_KVSTORE_H

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

namespace llama4::reference {

/// The tokens of a step: where each stands and in which sequence. Sequence ids live as long as the
/// store; tokens of one sequence come in ascending positions.
struct Batch {
  std::vector<int64_t> positions;
  std::vector<int32_t> sequences;

  int64_t tokens() const { return static_cast<int64_t>(positions.size()); }
};

enum class Plane : uint8_t { Key, Value };

/// One layer of one kind of state.
struct KvLayerRef {
  int64_t kind = 0, layer = 0;
};

class KvStore {
public:
  void clear() { rows_.clear(); }
  /// Replaces the row of kv heads * dim elements at a position.
  void write(KvLayerRef layer, Plane plane, int32_t sequence, int64_t position,
             std::vector<float> row) {
    rows_[{layer.kind, layer.layer, sequence, plane}][position] = std::move(row);
  }
  /// The row, or an empty span where nothing was written.
  std::span<const float> read(KvLayerRef layer, Plane plane, int32_t sequence,
                              int64_t position) const {
    auto stream = rows_.find({layer.kind, layer.layer, sequence, plane});
    if (stream == rows_.end())
      return {};
    auto row = stream->second.find(position);
    return row == stream->second.end() ? std::span<const float>() : row->second;
  }

private:
  using Stream = std::tuple<int64_t, int64_t, int32_t, Plane>;
  std::map<Stream, std::map<int64_t, std::vector<float>>> rows_;
};

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_KVSTORE_H
