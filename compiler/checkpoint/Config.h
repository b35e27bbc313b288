//===- Config.h - typed view of a model's configuration ---------*- C++ -*-===//
//
// One interface over config.json as transformers 4 writes it (rope_theta, rope_scaling,
// torch_dtype), as transformers 5 writes it (rope_parameters, dtype), and over GGUF metadata, which
// is first mapped to the same fields. Each accessor states the range that makes sense; a field
// outside is an error that names file and field. What was never read is known by name, so that the
// compiler can say which part of a configuration it doesn't honour.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_CONFIG_H
#define LLAMA4_COMPILER_CHECKPOINT_CONFIG_H

#include "runtime/base/Status.h"
#include "runtime/format/DType.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llama4 {

class Gguf;

/// How rotary frequencies differ from theta^(-2i/d).
enum class RopeScaling {
  None,
  Linear,           ///< divided by `factor`
  Llama3,           ///< divided by `factor` below a band of wavelengths, blended inside it
  FrequencyFactors, ///< divided element by element by the stored tensor `factorsTensor`
};

/// Rotary embedding of a (sub-)model, the same for both layouts of config.json and for GGUF.
struct RopeParameters {
  double theta = 0; ///< base of the frequencies
  RopeScaling scaling = RopeScaling::None;
  double factor = 1;                         ///< Linear and Llama3
  double lowFreqFactor = 1;                  ///< Llama3
  double highFreqFactor = 1;                 ///< Llama3; may equal lowFreqFactor (an empty band)
  int64_t originalMaxPositionEmbeddings = 0; ///< Llama3
  std::string factorsTensor; ///< FrequencyFactors: source tensor of d/2 divisors of inv_freq
};

/// A configuration, or one section of it. Copies are cheap and share the document and the record of
/// what was read. Not thread-safe: reading records. A field that is null counts as absent.
class Config {
public:
  /// The configuration in `text`; `file` names it in errors. Errors: InvalidInput.
  static Result<Config> parse(std::string_view text, const std::string &file);
  /// GGUF metadata of architecture "llama" or "llama4" as the fields of a LlamaForCausalLM or
  /// Llama4ForCausalLM configuration, and what follows from the tensors: tie_word_embeddings,
  /// attention_bias, mlp_bias, vocab_size, rotary factors. Of llama4, chunk, NoPE layers, qk norm
  /// and temperature are what the published models have. Metadata of the architecture that has no
  /// such field keeps its own name and stays unread. Errors: InvalidInput, also for other
  /// architectures and for experts of "llama".
  static Result<Config> fromGguf(const Gguf &gguf, const std::string &file);

  const std::string &file() const;
  /// True if the field is there and not null. Doesn't count as reading it.
  bool has(std::string_view name) const;
  /// True if the field is there and null, where that means something else than an absent field.
  bool isNull(std::string_view name) const;
  /// Names of this section's fields that are not null, sorted. Doesn't count as reading them.
  std::vector<std::string> fields() const;
  /// The object called `name` as a configuration of its own. Errors: absent or not an object.
  Result<Config> section(std::string_view name) const;

  /// An integer in [min, max]. An absent field is `fallback`, or an error without one.
  Result<int64_t> integer(std::string_view name, int64_t min, int64_t max,
                          std::optional<int64_t> fallback = std::nullopt) const;
  /// A finite number in [min, max].
  Result<double> number(std::string_view name, double min, double max,
                        std::optional<double> fallback = std::nullopt) const;
  Result<bool> boolean(std::string_view name, std::optional<bool> fallback = std::nullopt) const;
  Result<std::string> string(std::string_view name,
                             std::optional<std::string> fallback = std::nullopt) const;
  /// A list of integers in [min, max]; a single integer counts as a list of one (eos_token_id is
  /// written both ways). Absent: empty.
  Result<std::vector<int64_t>> integers(std::string_view name, int64_t min, int64_t max) const;
  /// A list of finite numbers in [min, max]; absent: empty.
  Result<std::vector<double>> numbers(std::string_view name, double min, double max) const;
  /// A list of texts; absent: empty.
  Result<std::vector<std::string>> strings(std::string_view name) const;

  /// Rotary parameters of this section, from rope_parameters or rope_theta and rope_scaling.
  Result<RopeParameters> rope(double defaultTheta) const;
  /// The stored type that dtype or torch_dtype names, if any.
  Result<std::optional<DType>> dtype() const;

  /// Declares fields of this section as known and without influence on the results (dropout
  /// rates, cache switches, version stamps, ...), so that they don't count as unread.
  void acknowledge(std::initializer_list<std::string_view> names) const;
  /// The same for all fields of this section and of the sections in it.
  void acknowledgeAll() const;
  /// Paths of all fields of the whole document ("text_config.rope_scaling.factor") that nobody read
  /// or acknowledged; a section that was never opened is one entry. Fields that are null don't
  /// count. Sorted.
  std::vector<std::string> unreadFields() const;

  /// The sentence of every error about a field; also for rules across fields.
  Status error(std::string_view name, const std::string &found, const std::string &expected) const;
  /// The whole document as indented JSON, keys sorted.
  std::string text() const;

private:
  struct Document;
  Config(std::shared_ptr<Document> document, const nlohmann::json *node, std::string prefix)
      : document_(std::move(document)), node_(node), prefix_(std::move(prefix)) {}
  static Config make(nlohmann::json root, const std::string &file);
  /// The field's value, recorded as read; null if absent.
  const nlohmann::json *read(std::string_view name) const;
  Status missing(std::string_view name, const std::string &expected) const;
  Result<RopeParameters> ropeScaling(const Config &from, double theta) const;

  std::shared_ptr<Document> document_;
  const nlohmann::json *node_; ///< an object inside document_
  std::string prefix_;         ///< path of node_ with a trailing dot, or empty
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_CONFIG_H
