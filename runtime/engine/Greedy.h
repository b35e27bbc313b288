//===- Greedy.h - the most likely token --------------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_GREEDY_H
#define LLAMA4_RUNTIME_ENGINE_GREEDY_H

#include <cstdint>
#include <optional>
#include <span>

namespace llama4 {

/// The index of the largest of `logits`, the lowest one where several are equal. NaN is smaller
/// than everything; nothing when all are NaN or there are none.
std::optional<int32_t> greedyToken(std::span<const float> logits);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_GREEDY_H
