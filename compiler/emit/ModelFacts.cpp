//===- ModelFacts.cpp - what a module says of its model -------------------===//

#include "compiler/emit/ModelFacts.h"

#include "dialects/lm/Lm.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;
using namespace llama4;

/// Reads entries of a dictionary attribute; absent ones are the default.
static int64_t getInt(DictionaryAttr dict, StringRef name, int64_t otherwise = 0) {
  auto attr = dict ? dict.getAs<IntegerAttr>(name) : IntegerAttr();
  return attr ? attr.getInt() : otherwise;
}

std::string llama4::getString(DictionaryAttr dict, StringRef name, StringRef otherwise) {
  auto attr = dict ? dict.getAs<StringAttr>(name) : StringAttr();
  return (attr ? attr.getValue() : otherwise).str();
}

static std::vector<int32_t> getIds(DictionaryAttr dict, StringRef name) {
  std::vector<int32_t> ids;
  if (auto attr = dict ? dict.getAs<DenseI64ArrayAttr>(name) : DenseI64ArrayAttr())
    for (int64_t id : attr.asArrayRef())
      ids.push_back(static_cast<int32_t>(id));
  return ids;
}

/// What a model that takes pictures says of them. Llama 4 names the token of a feature row, Llama
/// 3.2 Vision that of a picture; other ids come from the tokenizer.
static void describeImages(DictionaryAttr model, DictionaryAttr options, ProgramDesc &program) {
  ImageInfo &images = program.images;
  const bool isMllama = program.model.family == "llama3_vision";
  images.family = isMllama ? ImageFamily::Mllama : ImageFamily::Llama4;
  auto id = static_cast<int32_t>(getInt(model, "image_token_id", -1));
  (isMllama ? images.imageToken : images.patchToken) = id;
  images.imageSize = static_cast<uint32_t>(getInt(model, "image_size"));
  images.patchSize = static_cast<uint32_t>(getInt(model, "patch_size"));
  images.maxTiles = static_cast<uint32_t>(getInt(model, "max_image_tiles", 16));
  images.tokensPerTile = static_cast<uint32_t>(getInt(model, "tokens_per_tile"));
  images.maxFeatureRows = static_cast<uint32_t>(getInt(options, "max_feature_rows"));
}

void llama4::describeModel(ModuleOp module, ProgramDesc &program) {
  auto model = module->getAttrOfType<DictionaryAttr>(lm::modelAttrName);
  auto options = module->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
  program.model.family = getString(model, "family", "program");
  program.model.name = getString(model, "name");
  program.model.licence = getString(model, "licence");
  program.model.vocabSize = static_cast<uint32_t>(getInt(model, "vocab_size"));
  program.model.hiddenSize = static_cast<uint32_t>(getInt(model, "hidden_size"));
  program.model.layers = static_cast<uint32_t>(getInt(model, "num_layers"));
  program.model.maxPosition = static_cast<uint64_t>(getInt(model, "max_position"));
  program.model.bos = static_cast<int32_t>(getInt(model, "bos_id", -1));
  program.model.eos = getIds(model, "eos_ids");
  program.model.stop = getIds(model, "stop_ids");
  program.model.parametersLeftOut = static_cast<uint64_t>(getInt(model, "parameters_left_out"));
  program.options.compute = getString(options, "compute", "float32");
  program.options.kvType =
      getString(options, "kv_type") == "float32" ? ElementType::F32 : ElementType::BF16;
  program.options.maxStepTokens = static_cast<uint32_t>(getInt(options, "max_step_tokens", 1));
  program.options.maxBatchSize = static_cast<uint32_t>(getInt(options, "max_batch_size", 1));
  program.options.maxLength = static_cast<uint64_t>(getInt(options, "max_length", 1));
  if (model && model.contains("image_size"))
    describeImages(model, options, program);
}
