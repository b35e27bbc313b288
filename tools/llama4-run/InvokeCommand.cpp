//===- InvokeCommand.cpp - llama4-run invoke ------------------------------===//

#include "runtime/engine/Invoke.h"

#include "tools/llama4-run/Common.h"

namespace llama4::run {

namespace {

struct InvokeOptions {
  ModelOptions model;
  std::string in, out, entry;
};

Result<OwnedTensors> invoke(const InvokeOptions &options, const SafetensorsFile &file) {
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  if (!options.entry.empty())
    return invokeEntry(session.program, *session.device, options.entry, file);
  LLAMA4_ASSIGN_OR_RETURN(TokenInput input, readTokenInput(file));
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
  LLAMA4_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(options.in));
  LLAMA4_ASSIGN_OR_RETURN(OwnedTensors result, invoke(options, file));
  return result.write(options.out);
}

} // namespace

void addInvoke(CLI::App &app, Action &action) {
  auto options = std::make_shared<InvokeOptions>();
  CLI::App *command = app.add_subcommand("invoke", "raw tensors in, raw tensors out");
  addModelOptions(*command, options->model);
  command
      ->add_option("--in", options->in,
                   "safetensors file: input_ids i64[T] and perhaps sequence_lengths i64[S]; with "
                   "--entry the entry's inputs by name")
      ->required()
      ->group("Tensors");
  command
      ->add_option("--out", options->out,
                   "safetensors file to write: logits f32[T, V]; with --entry out0, out1, ...")
      ->required()
      ->group("Tensors");
  command->add_option("--entry", options->entry, "run only this entry, once")->group("Tensors");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
