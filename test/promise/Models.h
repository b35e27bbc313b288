//===- Models.h - compiled reference models for the promises -----*- C++ -*-===//
//
// What the tests of this folder share: the small reference checkpoints, compiled once per program
// by llama4-compile, devices, and the tensors of the reference outputs.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_PROMISE_MODELS_H
#define LLAMA4_TEST_PROMISE_MODELS_H

#include "runtime/engine/Engine.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llama4::test {

inline constexpr uint32_t modelStepTokens = 48;
inline constexpr uint32_t modelBatch = 6;
inline constexpr uint32_t modelLength = 160;

/// True when everything is asked for, not a part of it that is quick (LLAMA4_PROMISE_FULL).
bool fullRun();

/// Formats of matrices that the compiler may offer; compileModel() says which it has.
std::span<const char *const> allEncodings();

/// Compiles a checkpoint of test/data/oracles with all CPU levels, float32 activations for
/// "float32" and the fast mode otherwise, for texts of `length` tokens; the same path for the same
/// arguments. Errors: Unavailable (the compiler does not offer the encoding), Internal (it failed;
/// its words).
Result<std::string> compileModel(const std::string &checkpoint, const std::string &encoding,
                                 uint32_t length = modelLength);

/// A processor of so many threads that runs `level`; the level's own choice where it is empty.
/// Errors: those of createCpuDevice().
Result<std::unique_ptr<Device>> openDevice(unsigned threads, const std::string &level = "");

/// The levels of a program that this machine can run.
std::vector<std::string> runnableLevels(const std::shared_ptr<const Program> &program);

/// A golden file: its ids, and f32 logits of every position, [ids][vocabulary].
struct Golden {
  std::vector<int32_t> ids;
  std::vector<float> logits;
};
Golden readGolden(const std::string &checkpoint, const std::string &name);

/// `count` ids below `vocabulary`, the same for the same seed.
std::vector<int32_t> madeUpText(size_t count, uint32_t vocabulary, uint32_t seed);

} // namespace llama4::test

#endif // LLAMA4_TEST_PROMISE_MODELS_H
