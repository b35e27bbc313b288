//===- Driver.cpp - the library call behind llama4-compile ----------------===//

#include "compiler/driver/Driver.h"

#include "compiler/driver/CompileLevels.h"
#include "compiler/driver/ImageFacts.h"
#include "compiler/driver/Phases.h"
#include "compiler/driver/TextSections.h"
#include "compiler/emit/ArtifactWriter.h"
#include "compiler/emit/ProgramBuilder.h"
#include "compiler/report/Explain.h"
#include "compiler/report/PlanReport.h"
#include "compiler/target/cpu/CpuTarget.h"
#include "runtime/base/ProgressBar.h"
#include "runtime/base/ThreadPool.h"
#include "runtime/format/Checksum.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace mlir;

namespace llama4 {

namespace {

/// Prints how long a step took, with --verbose.
class StepTimer {
public:
  explicit StepTimer(bool verbose) : verbose_(verbose) {}
  void done(llvm::StringRef step) {
    auto now = std::chrono::steady_clock::now();
    if (verbose_)
      llvm::errs() << "llama4-compile: " << step << ": "
                   << std::chrono::duration_cast<std::chrono::milliseconds>(now - last_).count()
                   << " ms\n";
    last_ = now;
  }

private:
  bool verbose_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// The name of the file without its folder: what is left of a checkpoint's path in an artifact.
std::string baseName(const std::string &path) {
  std::string name = path;
  while (!name.empty() && name.back() == '/')
    name.pop_back();
  return name.substr(name.rfind('/') + 1);
}

/// What the artifact was made from: the planned program and the checkpoint.
std::array<uint8_t, 32> computeContentId(ModuleOp module, const Checkpoint &checkpoint) {
  std::string text = printModule(module, /*withLocations=*/false) + checkpoint.identity();
  return sha256(std::as_bytes(std::span(text)));
}

/// Machine code of every device of the module.
Status compileCode(ModuleOp module, const DriverOptions &options, ArtifactParts &parts) {
  cpu::CompileOptions kernelOptions;
  kernelOptions.dumpDir = options.dumpKernels;
  const std::vector<std::string> levels = getLevels(module);
  ProgressBar progress("code of levels", levels.size());
  progress.show(0);
  LLAMA4_ASSIGN_OR_RETURN(
      std::vector<std::vector<std::byte>> objects,
      compileLevels(module, levels, options.threads, kernelOptions, [&] { progress.add(1); }));
  for (size_t i = 0; i < levels.size(); ++i) {
    CodeObject object;
    object.target = "cpu";
    object.level = levels[i];
    object.bytes = objects[i].size();
    parts.program.codeObjects.push_back(std::move(object));
    parts.code.emplace_back(reinterpret_cast<const char *>(objects[i].data()), objects[i].size());
  }
  return {};
}

/// The tensors of every weight plan; none where weights are made up.
Result<std::vector<SourceParam>> findSources(const Checkpoint &checkpoint,
                                             const std::vector<WeightPlan> &weights) {
  std::vector<SourceParam> sources;
  for (const WeightPlan &weight : weights) {
    LLAMA4_ASSIGN_OR_RETURN(SourceParam source, SourceParam::find(weight.source, checkpoint));
    sources.push_back(std::move(source));
  }
  return sources;
}

/// Packs the weights into the file, behind everything else. Of the checkpoint no more than one
/// parameter is in memory at a time.
Result<ArtifactSummary> packAndWrite(const DriverOptions &options, ArtifactParts parts,
                                     const Checkpoint &checkpoint,
                                     const std::vector<WeightPlan> &weights,
                                     const std::vector<SourceParam> &sources) {
  uint64_t bytes = 0;
  for (const Weight &weight : parts.program.weights)
    bytes += sources.empty() ? 0 : weight.bytes;
  ProgressBar progress("weights", bytes, ProgressBar::Unit::Bytes);
  const unsigned threads = options.threads != 0 ? options.threads : availableProcessors();
  auto produce = [&](size_t index, WeightSink &sink) {
    Status status = pack::packParam(
        weights[index].spec, sources[index],
        [&](std::span<const std::byte> packed) {
          progress.add(packed.size());
          return sink.write(packed);
        },
        threads);
    checkpoint.dropPages();
    return status;
  };
  return writeArtifact(options.output, std::move(parts), produce);
}

Status writeProgram(ModuleOp module, const Checkpoint &checkpoint, const DriverOptions &options,
                    StepTimer &timer) {
  ArtifactParts parts;
  std::vector<WeightPlan> weights;
  LLAMA4_RETURN_IF_ERROR(describeProgram(module, parts.program, weights));
  std::vector<SourceParam> sources;
  if (parts.program.weightSource.isStored()) {
    LLAMA4_ASSIGN_OR_RETURN(sources, findSources(checkpoint, weights));
  }
  LLAMA4_RETURN_IF_ERROR(compileCode(module, options, parts));
  timer.done("machine code");
  LLAMA4_ASSIGN_OR_RETURN(TextSections text, buildTextSections(checkpoint, parts.program.model));
  parts.tokenizer = std::move(text.tokenizer);
  parts.chatTemplate = std::move(text.chatTemplate);
  LLAMA4_RETURN_IF_ERROR(readImageFacts(checkpoint, parts.tokenizer, parts.program.images));
  LLAMA4_ASSIGN_OR_RETURN(parts.program.generation, readGenerationDefaults(checkpoint));
  parts.contentId = computeContentId(module, checkpoint);
  timer.done("tokenizer and template");
  if (options.verbose)
    llvm::errs() << planReport(parts.program, /*json=*/false);
  LLAMA4_ASSIGN_OR_RETURN(ArtifactSummary summary,
                          packAndWrite(options, std::move(parts), checkpoint, weights, sources));
  timer.done("weights and file");
  if (options.verbose)
    llvm::errs() << "llama4-compile: " << options.output << ": " << summary.fileBytes
                 << " bytes, of them code " << summary.codeBytes << ", weights "
                 << summary.weightsBytes << "\n";
  return {};
}

std::string explain(const Explanation &explanation) {
  switch (explanation.options.format) {
  case ExplainFormat::Text:
    return explanationText(explanation);
  case ExplainFormat::Json:
    return explanationJson(explanation);
  case ExplainFormat::Html:
    return explanationHtml(explanation);
  }
  return "";
}

/// Prints the report of a planned module that was asked for.
Status printReport(ModuleOp module, const DriverOptions &options) {
  ProgramDesc program;
  std::vector<WeightPlan> weights;
  LLAMA4_RETURN_IF_ERROR(describeProgram(module, program, weights));
  llvm::outs() << (options.explain ? explain(explainProgram(module, program, *options.explain))
                                   : planReport(program, options.json));
  return {};
}

/// Opens the checkpoint; `module` is null when it is still to be declared.
Result<Checkpoint> openCheckpoint(const DriverOptions &options, ModuleOp module) {
  Checkpoint::Options open;
  open.allowMissingWeights =
      options.planOnly || options.explain ||
      (module ? hasSyntheticWeights(module) : options.syntheticWeights.has_value());
  return Checkpoint::open(options.checkpoint, open);
}

} // namespace

Status runCompiler(const DriverOptions &options) {
  StepTimer timer(options.verbose);
  MLIRContext context(MLIRContext::Threading::DISABLED);
  loadDialects(context);
  Phase phase = options.fromPhase.value_or(Phase::Lm);
  Phase last = options.dumpPhase.value_or(Phase::Plan);
  if (options.fromPhase && last < phase)
    return Status::error(StatusKind::Usage, "--dump-phase " + std::string(phaseName(last)) +
                                                " lies before --from-phase " +
                                                std::string(phaseName(phase)) + ".");
  ModuleRef module;
  if (options.fromPhase) {
    LLAMA4_ASSIGN_OR_RETURN(module, readModule(context, options));
    timer.done("read");
  }
  LLAMA4_ASSIGN_OR_RETURN(Checkpoint checkpoint, openCheckpoint(options, module.get()));
  timer.done("open " + baseName(options.checkpoint));
  if (!options.fromPhase) {
    LLAMA4_ASSIGN_OR_RETURN(module, declareModule(context, checkpoint, options));
    timer.done("declare and import");
  }
  if (options.dumpPhase == Phase::Graph)
    return {};
  LLAMA4_RETURN_IF_ERROR(advanceModule(*module, phase, last));
  timer.done("passes");
  if (options.dumpPhase) {
    llvm::outs() << printModule(*module, /*withLocations=*/true);
    return {};
  }
  if (options.planOnly || options.explain)
    return printReport(*module, options);
  return writeProgram(*module, checkpoint, options, timer);
}

} // namespace llama4
