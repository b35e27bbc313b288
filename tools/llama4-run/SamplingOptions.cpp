//===- SamplingOptions.cpp - flags that say how tokens are chosen ---------===//

#include "tools/llama4-run/SamplingOptions.h"

#include "runtime/format/Quoted.h"

#include <charconv>
#include <random>

namespace llama4::run {

namespace {

/// A flag with a number from a range. CLI11 takes "nan" and "inf" for numbers; the range doesn't.
template <typename T>
void addNumber(CLI::App &command, const char *names, std::optional<T> &value, T low, T high,
               const char *help) {
  auto isInRange = [low, high](const std::string &text) {
    T number{};
    const bool wraps = std::is_unsigned_v<T> && text.find('-') != std::string::npos;
    if (!wraps && CLI::detail::lexical_cast(text, number) && number >= low && number <= high)
      return std::string();
    return "found " + quoteName(text) + ", expected a number from " +
           (std::is_floating_point_v<T>
                ? format("%g to %g", static_cast<double>(low), static_cast<double>(high))
                : std::to_string(low) + " to " + std::to_string(high));
  };
  command.add_option(names, value, help)
      ->check(CLI::Validator(isInRange, "NUMBER"))
      ->group("Generation");
}

Result<LogitBias> parseBias(const std::string &text) {
  LogitBias bias;
  const char *end = text.data() + text.size();
  auto [afterId, idError] = std::from_chars(text.data(), end, bias.id);
  if (idError == std::errc() && afterId != end && *afterId == '=') {
    auto [rest, error] = std::from_chars(afterId + 1, end, bias.bias);
    if (error == std::errc() && rest == end)
      return bias;
  }
  return Status::error(StatusKind::Usage, "--logit-bias: found " + quoteName(text) +
                                              ", expected a token id and a number like 42=-1.5.");
}

uint64_t randomSeed() {
  std::random_device device;
  // 53 bits, so that the number survives JSON readers that know doubles only.
  return (uint64_t{device()} << 32 | device()) >> 11;
}

} // namespace

void addSamplingOptions(CLI::App &command, SamplingOptions &options) {
  addNumber(command, "--temperature,--temp", options.temperature, 0.0f, 1000.0f,
            "0: greedy decoding (default: the model's, or 0)");
  addNumber(command, "--top-k", options.topK, 0u, UINT32_MAX,
            "draw from the K most probable tokens; 0: from all");
  addNumber(command, "--top-p", options.topP, 0.0f, 1.0f,
            "draw from the most probable tokens that have this probability together");
  addNumber(command, "--min-p", options.minP, 0.0f, 1.0f,
            "draw from tokens with at least this share of the best one's probability");
  addNumber(command, "-s,--seed", options.seed, uint64_t{0}, UINT64_MAX,
            "the same seed gives the same tokens (default: random, shown on stderr)");
  addNumber(command, "--frequency-penalty", options.frequencyPenalty, -2.0f, 2.0f,
            "lowers a token by this much each time it was generated");
  addNumber(command, "--presence-penalty", options.presencePenalty, -2.0f, 2.0f,
            "lowers a token by this much once it was generated");
  addNumber(command, "--repetition-penalty,--repeat-penalty", options.repetitionPenalty, 1e-3f,
            1000.0f, "divides the logits of tokens in prompt and answer; 1: off");
  command.add_option("--logit-bias", options.logitBias, "ID=B: adds B to a token's logit; again")
      ->allow_extra_args(false)
      ->group("Generation");
  command
      .add_option("-r,--stop,--reverse-prompt", options.stop,
                  "end the text before this string; again")
      ->allow_extra_args(false)
      ->group("Generation");
}

Result<SamplingParameters> samplingParameters(const SamplingOptions &options,
                                              const ProgramDesc &program) {
  const GenerationDefaults &model = program.generation; // neutral values where not present
  SamplingParameters result;
  result.temperature =
      options.temperature.value_or(model.present && model.sample ? model.temperature : 0.0f);
  result.topK = options.topK.value_or(model.topK);
  result.topP = options.topP.value_or(model.topP);
  result.minP = options.minP.value_or(model.minP);
  result.frequencyPenalty = options.frequencyPenalty.value_or(0.0f);
  result.presencePenalty = options.presencePenalty.value_or(0.0f);
  result.repetitionPenalty = options.repetitionPenalty.value_or(model.repetitionPenalty);
  for (const std::string &text : options.logitBias) {
    LLAMA4_ASSIGN_OR_RETURN(LogitBias bias, parseBias(text));
    result.logitBias.push_back(bias);
  }
  LLAMA4_RETURN_IF_ERROR(result.check(program.model.vocabSize));
  result.seed = options.seed.value_or(0);
  if (result.temperature != 0 && !options.seed) {
    result.seed = randomSeed();
    note(format("seed %llu", static_cast<unsigned long long>(result.seed)));
  }
  return result;
}

} // namespace llama4::run
