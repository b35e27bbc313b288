//===- GenerateOutput.cpp - how llama4-run shows a generation -------------===//

#include "tools/llama4-run/GenerateOutput.h"

#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Prompt.h"

#include <algorithm>

namespace llama4::run {

namespace {

nlohmann::ordered_json timingsJson(const GenerationTimings &timings, double load,
                                   double firstToken) {
  return {{"load_seconds", load},
          {"first_token_seconds", firstToken},
          {"prompt_seconds", timings.prompt},
          {"decode_seconds", timings.decode},
          {"decoded_tokens", timings.decodedTokens},
          {"step_seconds", timings.steps}};
}

nlohmann::ordered_json toJson(const Generated &generated) {
  bool stopped = generated.generation.reason == FinishReason::Stop;
  return {{"text", generated.generation.text},
          {"ids", generated.generation.tokens},
          {"finish_reason", stopped ? "stop" : "length"},
          {"prompt_ids", generated.prompt},
          {"seed", generated.seed},
          {"timings", timingsJson(generated.timings, generated.load, generated.firstToken)}};
}

} // namespace

void GenerationPrinter::add(std::string_view text) {
  if (!streams_)
    return;
  printed_ += text.size();
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void GenerationPrinter::finish(const Generated &generated) {
  const Generation &generation = generated.generation;
  if (options_.ids) {
    std::fputs(printIds(generation.tokens).c_str(), stdout);
  } else if (options_.json) {
    std::puts(dumpJson(toJson(generated)).c_str());
  } else {
    std::fwrite(generation.text.data() + printed_, 1, generation.text.size() - printed_, stdout);
    std::putchar('\n');
  }
}

void printTimings(const Generated &generated) {
  const GenerationTimings &timings = generated.timings;
  note(format("load %.3f s, prompt %llu tokens in %.3f s (%.1f tokens/s), first token after %.3f s",
              generated.load, static_cast<unsigned long long>(timings.promptTokens), timings.prompt,
              static_cast<double>(timings.promptTokens) / std::max(timings.prompt, 1e-9),
              generated.firstToken));
  if (timings.decodedTokens == 0)
    return;
  std::vector<double> steps = timings.steps;
  std::sort(steps.begin(), steps.end());
  note(format("decode %llu tokens in %.3f s (%.1f tokens/s), a token %.2f ms median, %.2f ms at "
              "most",
              static_cast<unsigned long long>(timings.decodedTokens), timings.decode,
              static_cast<double>(timings.decodedTokens) / std::max(timings.decode, 1e-9),
              steps[steps.size() / 2] * 1e3, steps.back() * 1e3));
}

} // namespace llama4::run
