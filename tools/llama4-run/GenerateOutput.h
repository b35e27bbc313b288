//===- GenerateOutput.h - how llama4-run shows a generation ------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_GENERATEOUTPUT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_GENERATEOUTPUT_H

#include "runtime/engine/Generator.h"
#include "runtime/text/IncrementalDecoder.h"

#include <optional>
#include <string>
#include <vector>

namespace llama4::run {

/// What to print: text as it comes, unless one of these asks for something else.
struct OutputOptions {
  bool ids = false;     ///< the ids and nothing else
  bool json = false;    ///< one object
  bool timings = false; ///< times on stderr
};

/// What a run of the command made.
struct Generated {
  std::vector<int32_t> prompt;
  Generation generation;
  GenerationTimings timings;
  double load = 0, firstToken = 0; ///< seconds from the start of the program
};

/// Prints one generation to stdout, token by token.
class GenerationPrinter {
public:
  /// Without a tokenizer (null) there is no text. It must outlive the printer.
  GenerationPrinter(const OutputOptions &options, const text::Tokenizer *tokenizer);
  void add(int32_t token);
  void finish(const Generated &generated);

private:
  void addText(const std::string &text);

  OutputOptions options_;
  std::optional<text::IncrementalDecoder> decoder_;
  std::string text_;
};

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_GENERATEOUTPUT_H
