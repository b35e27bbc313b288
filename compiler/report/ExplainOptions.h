//===- ExplainOptions.h - what a report assumes ------------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_REPORT_EXPLAINOPTIONS_H
#define LLAMA4_COMPILER_REPORT_EXPLAINOPTIONS_H

#include <cstdint>

namespace llama4 {

enum class ExplainFormat { Text, Json, Html };

/// The machine and the sequence that times are for. The defaults are round figures of one server
/// core with AVX-512 and VNNI, an assumption; `core-bench` and `llama4-run bench` measure them.
struct ExplainOptions {
  ExplainFormat format = ExplainFormat::Text;
  double readBytes = 25e9; ///< a second, of all cores together
  double floatMacs = 50e9; ///< a second and core, in float32
  double int8Macs = 200e9; ///< a second and core, with activations in 8 bits
  double cores = 1;
  uint64_t length = 1024; ///< tokens of each sequence that attention sees
};

} // namespace llama4

#endif // LLAMA4_COMPILER_REPORT_EXPLAINOPTIONS_H
