//===- InvokeCommand.cpp - llama4-run invoke ------------------------------===//

#include "runtime/engine/Invoke.h"

#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/ImageInput.h"

#include <cstring>

namespace llama4::run {

namespace {

struct InvokeOptions {
  ModelOptions model;
  std::string in, out, entry;
  ImageOptions images;
};

/// A tensor of i64.
OwnedTensors::Tensor numbers(const char *name, std::vector<int64_t> shape,
                             const std::vector<int64_t> &values) {
  OwnedTensors::Tensor tensor = {name, DType::I64, std::move(shape), {}};
  tensor.bytes.resize(values.size() * sizeof(int64_t));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

/// Pixels and tiling as transformers' image processors make them.
Result<OwnedTensors> imageTensors(const InvokeOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const Program> program, loadModel(options.model.model));
  const ImageInfo &info = program->desc().images;
  LLAMA4_ASSIGN_OR_RETURN(std::vector<PreparedImage> images, loadImages(options.images, info));
  const bool isMllama = info.family == ImageFamily::Mllama;
  const auto side = static_cast<int64_t>(info.imageSize),
             most = static_cast<int64_t>(info.maxTiles);
  const auto count = static_cast<int64_t>(images.size());
  OwnedTensors::Tensor pixels = {"pixel_values", DType::F32, {0, 3, side, side}, {}};
  std::vector<int64_t> ratios, ids, there;
  for (const PreparedImage &image : images) {
    const size_t tiles = isMllama ? info.maxTiles : image.pixels.tiles, begin = pixels.bytes.size();
    pixels.shape[0] += static_cast<int64_t>(tiles);
    pixels.bytes.resize(begin + tiles * 3 * info.imageSize * info.imageSize * sizeof(float));
    std::memcpy(pixels.bytes.data() + begin, image.pixels.pixels.data(),
                image.pixels.pixels.size() * sizeof(float));
    ratios.push_back(image.grid.rows);
    ratios.push_back(image.grid.columns);
    ids.push_back(image.pixels.aspectRatioId);
    for (uint32_t tile = 0; tile < info.maxTiles; ++tile)
      there.push_back(tile < image.pixels.tiles);
  }
  if (isMllama)
    pixels.shape = {1, count, most, 3, side, side};
  OwnedTensors result;
  result.tensors.push_back(std::move(pixels));
  if (isMllama) {
    result.tensors.push_back(numbers("aspect_ratio_ids", {1, count}, ids));
    result.tensors.push_back(numbers("aspect_ratio_mask", {1, count, most}, there));
  } else {
    result.tensors.push_back(numbers("aspect_ratios", {count, 2}, ratios));
  }
  return result;
}

Result<OwnedTensors> invoke(const InvokeOptions &options, const SafetensorsFile &file) {
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  if (!options.entry.empty())
    return invokeEntry(session.program, *session.device, options.entry, file);
  LLAMA4_ASSIGN_OR_RETURN(TokenInput input, readTokenInput(file));
  LLAMA4_RETURN_IF_ERROR(readImageInput(file, session.program->desc().images, input));
  const CompileOptions &compiled = session.program->desc().options;
  uint64_t longest = *std::max_element(input.lengths.begin(), input.lengths.end());
  limits.maxLength = std::min(longest, compiled.maxLength);
  limits.maxSequences =
      static_cast<uint32_t>(std::min<uint64_t>(input.lengths.size(), compiled.maxBatchSize));
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  return invokeTokens(*engine, input, options.model.prefillChunk);
}

Status run(const InvokeOptions &options) {
  if (!options.images.sources.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(OwnedTensors tensors, imageTensors(options));
    return tensors.write(options.out);
  }
  LLAMA4_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(options.in));
  LLAMA4_ASSIGN_OR_RETURN(OwnedTensors result, invoke(options, file));
  return result.write(options.out);
}

} // namespace

void addInvoke(CLI::App &app, Action &action) {
  auto options = std::make_shared<InvokeOptions>();
  CLI::App *command = app.add_subcommand("invoke", "raw tensors in, raw tensors out");
  addModelOptions(*command, options->model);
  CLI::Option *in =
      command
          ->add_option("--in", options->in,
                       "safetensors file: input_ids i64[T] and perhaps sequence_lengths i64[S] and "
                       "pixel_values; with --entry the entry's inputs by name")
          ->group("Tensors");
  command
      ->add_option("--out", options->out,
                   "safetensors file to write: logits f32[T, V]; with --entry out0, out1, ...; "
                   "with --image pixel_values and the tiling")
      ->required()
      ->group("Tensors");
  command->add_option("--entry", options->entry, "run only this entry, once")->group("Tensors");
  addImageOptions(*command, options->images);
  in->excludes(command->get_option("--image"));
  command->callback([options, &action] {
    if (options->in.empty() && options->images.sources.empty())
      throw CLI::RequiredError("--in or --image");
    action = [options] { return run(*options); };
  });
}

} // namespace llama4::run
