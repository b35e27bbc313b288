//===- TextModel.h - what all text decoders have ----------------*- C++ -*-===//
//
// The frame around the layers of a model: facts that every configuration has, token embedding,
// final norm, head, the entry `logits`, metadata. A model adds its own facts, its layers and the
// entry `step`.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_TEXTMODEL_H
#define LLAMA4_MODELS_TEXTMODEL_H

#include "compiler/checkpoint/CompressedTensors.h"
#include "compiler/graph/nn.h"
#include "models/ModelOptions.h"
#include "models/TokenIds.h"

namespace llama4::models {

/// Name of the one table of rotary frequencies.
inline constexpr const char *kRopeTable = "rope";

/// Facts of the configuration that models share.
struct TextConfig {
  int64_t vocabularySize = 0;
  int64_t hiddenSize = 0;
  int64_t heads = 0;
  int64_t kvHeads = 0; ///< divides heads; head h reads KV head h / (heads / kvHeads)
  int64_t headDim = 0; ///< even; explicit or hiddenSize / heads
  int64_t maxPosition = 0;
  double rmsNormEps = 0;
  int64_t extraEmbeddings = 0;    ///< rows of the embedding table behind the vocabulary's
  bool attentionBias = false;     ///< on q, k, v and o
  bool tieWordEmbeddings = false; ///< lm_head uses the embedding table
  TokenIds tokens;
  std::optional<DType> storedType; ///< what dtype says; only for checkpoints without weights
  std::optional<CompressedTensors> quantization;
};

/// Values of the fields that an absent field stands for; nothing where it must be there.
struct TextDefaults {
  std::optional<int64_t> maxPosition;
  double rmsNormEps = 0;
};

/// Reads vocabulary, widths, heads, positions and eps. Errors: InvalidInput, naming file and field;
/// also for heads that don't divide each other or an odd head size.
Status readSizes(const Config &config, const TextDefaults &defaults, TextConfig &model);
/// Reads hidden_act, of which there is one.
Status readActivation(const Config &config);

/// Token embedding, decoder layers and the final norm ("model"). `Layer` maps the residual stream
/// f32[T, H] and a `StepInputs` to the residual stream.
template <typename Layer, typename StepInputs> class Decoder : public graph::Module {
public:
  /// `facts` has an element for each layer, with which it is made.
  template <typename ModelConfig, typename Facts>
  Decoder(const Module &parent, const std::string &name, const ModelConfig &config,
          const Facts &facts)
      : Module(parent, name),
        embedding_(*this, "embed_tokens", config.vocabularySize + config.extraEmbeddings,
                   config.hiddenSize),
        norm_(*this, "norm", config.hiddenSize, config.rmsNormEps) {
    for (const auto &layer : facts)
      layers_.emplace_back(*this, "layers." + std::to_string(layers_.size()), config, layer);
  }

  /// ids i32[T] -> the residual stream f32[T, H].
  graph::Tensor hidden(graph::Tensor ids, const StepInputs &step) const {
    return decode(embedding_(ids), step);
  }
  /// Embedded tokens f32[T, H], or features in their place -> the residual stream.
  graph::Tensor decode(graph::Tensor x, const StepInputs &step) const {
    for (const Layer &layer : layers_)
      x = layer(x, step);
    return x;
  }
  const std::vector<Layer> &layers() const { return layers_; }
  const graph::RmsNorm &norm() const { return norm_; }
  const graph::Embedding &embedding() const { return embedding_; }

private:
  graph::Embedding embedding_;
  std::vector<Layer> layers_;
  graph::RmsNorm norm_;
};

/// The head; it shares the embedding table where the configuration says so.
graph::Linear makeHead(const graph::Module &root, const graph::Embedding &embedding,
                       const TextConfig &config);

/// Inputs of `step` that every model has: ids i32[T], returned, and cos and sin f32[T, headDim /
/// 2].
graph::Tensor declareTokens(graph::Entry &entry, const TextConfig &config, graph::Tensor &cos,
                            graph::Tensor &sin);

/// The entry `logits`: hidden f32[?, H], rows i32[R] -> f32[R, V].
void declareLogits(graph::Graph &graph, const graph::RmsNorm &norm, const graph::Linear &head,
                   const TextConfig &config, const ModelOptions &options);

/// Writes the model's facts and the options to the finished graph.
void describe(graph::Graph &graph, const std::string &family, int64_t layers,
              const TextConfig &config, const ModelOptions &options);

} // namespace llama4::models

#endif // LLAMA4_MODELS_TEXTMODEL_H
