//===- GenerateOutput.h - how llama4-run shows a generation ------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_GENERATEOUTPUT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_GENERATEOUTPUT_H

#include "runtime/engine/Generator.h"

#include <string_view>
#include <vector>

namespace llama4::run {

/// What to print: text as it comes, unless one of these asks for something else.
struct OutputOptions {
  bool ids = false;     ///< the ids and nothing else
  bool json = false;    ///< one object
  bool timings = false; ///< times on stderr
};

/// What a run of the command made of one prompt; the times are those of all prompts together.
struct Generated {
  std::vector<int32_t> prompt;
  Generation generation;
  uint64_t seed = 0; ///< of the draws, where there were any
  GenerationTimings timings;
  double load = 0, firstToken = 0; ///< seconds from the start of the program
};

/// Prints generations to stdout: a single one as it comes, several each after the other.
class GenerationPrinter {
public:
  GenerationPrinter(const OutputOptions &options, bool single)
      : options_(options), streams_(single && !options.ids && !options.json) {}
  /// More text of the single generation.
  void add(std::string_view text);
  /// The rest of the next generation.
  void finish(const Generated &generated);

private:
  OutputOptions options_;
  bool streams_;
  size_t printed_ = 0; ///< bytes of the single generation's text
};

/// On stderr.
void printTimings(const Generated &generated);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_GENERATEOUTPUT_H
