//===- Explain.h - what every dispatch of a program is and costs -*- C++ -*-===//
//
// Read off a planned module and its program: each dispatch of each entry once, with the kernel that
// runs, what it reads and writes, how much it multiplies, and why it is a dispatch of its own. What
// a machine can do is given, not asked for: times are a bound from those limits, not a measurement.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REPORT_EXPLAIN_H
#define LLAMA4_COMPILER_REPORT_EXPLAIN_H

#include "compiler/report/ExplainOptions.h"
#include "compiler/report/MemoryPlan.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>
#include <vector>

namespace llama4 {

/// What a dispatch does when the entry's symbol has one value.
struct Work {
  uint64_t symbol = 0;
  uint64_t weightBytes = 0; ///< as Kernel::mostWeightBytes: of experts, no more than can be chosen
  uint64_t gatheredBytes = 0;   ///< rows of an embedding
  uint64_t activationBytes = 0; ///< rows of tensors, read and written
  uint64_t cacheBytes = 0;      ///< keys and values, read and written
  uint64_t macs = 0;            ///< multiply-adds of the contraction
  uint64_t flops = 0;           ///< 2 macs, and one for each arithmetic op of row work and element
  double seconds = 0;           ///< the longer of moving the bytes and computing
  bool boundByMemory = false;   ///< moving the bytes is the longer

  uint64_t bytes() const;
  void add(const Work &other);
};

/// One dispatch.
struct DispatchReport {
  std::string kernel, kind, core; ///< kind: embed, row, linear, experts, attention, group
  std::vector<std::string> sources, unfused;
  std::vector<uint32_t> weights; ///< indices into ProgramDesc::weights
  std::optional<uint32_t> layer; ///< of its first source that has one
  std::vector<Work> work;        ///< for each symbol value of the entry
};

struct EntryReport {
  const Entry *entry = nullptr;
  std::vector<uint64_t> symbols; ///< 1 and the bound
  std::vector<DispatchReport> dispatches;
  std::vector<Work> totals;
};

struct Explanation {
  const ProgramDesc *program = nullptr;
  MemoryPlan plan;
  ExplainOptions options; ///< the length cut to the program's
  std::vector<EntryReport> entries;
};

/// `program` is what buildProgram made of the planned `module`; it must outlive the result.
Explanation explainProgram(mlir::ModuleOp module, const ProgramDesc &program,
                           const ExplainOptions &options);

/// The report in the format of its options. The HTML page needs nothing but itself.
std::string explanationText(const Explanation &explanation);
std::string explanationJson(const Explanation &explanation);
std::string explanationHtml(const Explanation &explanation);

/// "weights q4_k, float32": the encodings of a dispatch's weights, each once.
std::vector<std::string> encodingsOf(const Explanation &explanation,
                                     const DispatchReport &dispatch);

} // namespace llama4

#endif // LLAMA4_COMPILER_REPORT_EXPLAIN_H
