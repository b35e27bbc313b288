//===- Phases.cpp - modules between the phases ----------------------------===//

#include "compiler/driver/Phases.h"

#include "compiler/driver/HostLevel.h"
#include "compiler/emit/ProgramBuilder.h"
#include "compiler/import/Import.h"
#include "compiler/microkernels/Microkernels.h"
#include "dialects/cmd/Cmd.h"
#include "models/Registry.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "runtime/text/OneLine.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace llama4 {

static constexpr std::pair<Phase, std::string_view> phaseNames[] = {{Phase::Graph, "graph"},
                                                                    {Phase::Lm, "lm"},
                                                                    {Phase::LmOpt, "lm-opt"},
                                                                    {Phase::Cmd, "cmd"},
                                                                    {Phase::Plan, "plan"}};

std::optional<Phase> parsePhase(std::string_view name) {
  for (const auto &[phase, text] : phaseNames)
    if (text == name)
      return phase;
  return std::nullopt;
}

std::string_view phaseName(Phase phase) { return phaseNames[static_cast<size_t>(phase)].second; }

namespace {
/// Collects the first error of MLIR as one sentence; shows remarks and warnings as they come.
class DiagnosticCollector {
public:
  explicit DiagnosticCollector(MLIRContext &context)
      : handler_(&context, [this](Diagnostic &diagnostic) {
          std::string text;
          llvm::raw_string_ostream stream(text);
          if (!isa<UnknownLoc>(diagnostic.getLocation()))
            stream << diagnostic.getLocation() << ": ";
          stream << diagnostic;
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
            llvm::errs() << "llama4-compile: " << text << "\n";
          else if (error_.empty())
            error_ = text;
          return success();
        }) {}

  Status status(StatusKind kind) const {
    return Status::error(kind, error_.empty() ? "the compiler failed without an error."
                                              : text::oneLine(error_, 1000));
  }

private:
  std::string error_;
  ScopedDiagnosticHandler handler_;
};
} // namespace

void loadDialects(MLIRContext &context) {
  context.loadDialect<lm::LmDialect, cmd::CmdDialect, target::TargetDialect, arith::ArithDialect,
                      math::MathDialect, func::FuncDialect>();
}

/// The levels asked for, or all.
static Result<std::vector<std::string>> chooseLevels(const DriverOptions &options) {
  std::vector<std::string> levels;
  for (const microkernels::Level &level : microkernels::cpuLevels())
    levels.emplace_back(level.name);
  if (!options.targets)
    return levels;
  std::vector<std::string> asked;
  for (std::string name : *options.targets) {
    if (name == "native") {
      LLAMA4_ASSIGN_OR_RETURN(name, findHostLevel());
    }
    if (!llvm::is_contained(asked, name))
      asked.push_back(std::move(name));
  }
  for (const std::string &name : asked)
    if (!microkernels::findLevel(name))
      return Status::error(StatusKind::Usage, "target: found '" + name +
                                                  "', expected cpu or a CPU level such as '" +
                                                  levels.front() + "'.");
  return asked;
}

/// [["REGEX", "ENCODING"], ...]
static ArrayAttr encodingRules(Builder &builder, const DriverOptions &options) {
  SmallVector<Attribute> rules;
  for (const auto &[pattern, encoding] : options.encodingFor)
    rules.push_back(builder.getStrArrayAttr({pattern, encoding}));
  return builder.getArrayAttr(rules);
}

/// Puts what was asked for beside what the model declared into lm.options, and the devices.
static Status setOptions(ModuleOp module, const DriverOptions &options) {
  Builder builder(module.getContext());
  NamedAttrList list(module->getAttrOfType<DictionaryAttr>(lm::optionsAttrName));
  if (options.encoding || !list.get("encoding"))
    list.set("encoding", builder.getStringAttr(options.encoding.value_or("as-stored")));
  if (options.visionEncoding)
    list.set("vision_encoding", builder.getStringAttr(*options.visionEncoding));
  if (options.library)
    list.set("library", builder.getStringAttr(*options.library));
  if (!options.encodingFor.empty())
    list.set("encoding_for", encodingRules(builder, options));
  if (options.syntheticWeights)
    list.set(syntheticWeightsName, builder.getStringAttr(*options.syntheticWeights));
  if (!options.disabledPasses.empty()) {
    SmallVector<StringRef> names(options.disabledPasses.begin(), options.disabledPasses.end());
    list.set("disabled_passes", builder.getStrArrayAttr(names));
  }
  module->setAttr(lm::optionsAttrName, list.getDictionary(module.getContext()));
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> levels, chooseLevels(options));
  SmallVector<Attribute> devices;
  for (const std::string &level : levels)
    devices.push_back(target::CpuAttr::get(module.getContext(), level));
  module->setAttr(target::devicesAttrName, builder.getArrayAttr(devices));
  return {};
}

Result<ModuleRef> declareModule(MLIRContext &context, const Checkpoint &checkpoint,
                                const DriverOptions &options) {
  models::ModelOptions model;
  model.compute = options.compute.value_or("bfloat16");
  std::string kvType = options.kvType.value_or(model.compute == "float32" ? "float32" : "bfloat16");
  if (kvType != "float32" && kvType != "bfloat16")
    return Status::error(StatusKind::Usage,
                         "kv-type: found '" + kvType + "', expected float32 or bfloat16.");
  model.kvType = kvType == "float32" ? lm::shape::Element::F32 : lm::shape::Element::BF16;
  model.maxLength = options.maxLength.value_or(model.maxLength);
  model.maxBatchSize = options.maxBatchSize.value_or(model.maxBatchSize);
  model.maxStepTokens = options.maxStepTokens.value_or(model.maxStepTokens);
  model.maxStepTiles = options.maxStepTiles.value_or(model.maxStepTiles);
  model.vision = !options.textOnly;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<graph::Graph> graph,
                          models::buildModel(checkpoint, model));
  for (const std::string &remark : graph->remarks())
    llvm::errs() << "llama4-compile: warning: " << remark << "\n";
  if (options.dumpPhase == Phase::Graph) {
    llvm::outs() << graph::dumpGraph(*graph);
    return ModuleRef();
  }
  DiagnosticCollector diagnostics(context);
  ModuleRef module = importGraph(context, *graph);
  if (!module)
    return diagnostics.status(StatusKind::Internal);
  LLAMA4_RETURN_IF_ERROR(setOptions(*module, options));
  return module;
}

/// An option that was given must say what the module says.
static Status checkOption(const char *name, const std::optional<std::string> &asked,
                          const std::string &found) {
  if (!asked || *asked == found)
    return {};
  return Status::error(StatusKind::Usage, std::string("--") + name + " " + *asked +
                                              " contradicts the module, which says '" + found +
                                              "'; leave the option out or change the module.");
}

static std::string optionText(ModuleOp module, StringRef name) {
  auto options = module->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
  Attribute attr = options ? options.get(name) : Attribute();
  if (auto string = dyn_cast_or_null<StringAttr>(attr))
    return string.str();
  if (auto integer = dyn_cast_or_null<IntegerAttr>(attr))
    return std::to_string(integer.getInt());
  return "";
}

static std::vector<std::string> getDisabledPasses(ModuleOp module) {
  std::vector<std::string> names;
  auto options = module->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
  if (auto list = options ? options.getAs<ArrayAttr>("disabled_passes") : ArrayAttr())
    for (auto name : list.getAsRange<StringAttr>())
      names.push_back(name.str());
  return names;
}

static std::optional<std::string> numberText(const std::optional<int64_t> &number) {
  return number ? std::optional(std::to_string(*number)) : std::nullopt;
}

/// The devices of a module that was read are ones this compiler makes code for.
static Status checkDevices(ModuleOp module, const std::string &file) {
  Attribute devices = module->getAttr(target::devicesAttrName);
  auto list = dyn_cast_or_null<ArrayAttr>(devices);
  if (devices &&
      (!list || !llvm::all_of(list, [](Attribute a) { return isa<target::CpuAttr>(a); })))
    return Status::invalidInput(file + ": target.devices holds something else than CPU levels, "
                                       "expected a list such as [#target.cpu<\"x86-64-v3\">].");
  return {};
}

/// Refuses `%name#N` with a large N: MLIR's parser makes room for N values before it looks further.
static Status checkResultNumbers(StringRef text, const std::string &file) {
  constexpr size_t mostDigits = 4;
  constexpr StringRef nameCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$.-";
  for (size_t at = text.find('#'); at != StringRef::npos; at = text.find('#', at + 1)) {
    StringRef digits = text.substr(at + 1).take_while(llvm::isDigit);
    StringRef name = text.take_front(at).rtrim(nameCharacters);
    if (name.ends_with("%") && digits.ltrim('0').size() > mostDigits)
      return Status::invalidInput(file + ": found result number " + digits.take_front(40).str() +
                                  " of a value, expected one below 10000.");
  }
  return {};
}

Result<ModuleRef> readModule(MLIRContext &context, const DriverOptions &options) {
  if (!llvm::sys::fs::exists(options.fromFile))
    return Status::error(StatusKind::NotFound,
                         options.fromFile + ": found no such file, expected the dump of a phase.");
  auto buffer = llvm::MemoryBuffer::getFile(options.fromFile, /*IsText=*/true);
  if (!buffer)
    return Status::error(StatusKind::Io,
                         options.fromFile + ": cannot read: " + buffer.getError().message() + ".");
  LLAMA4_RETURN_IF_ERROR(checkResultNumbers((*buffer)->getBuffer(), options.fromFile));
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  DiagnosticCollector diagnostics(context);
  ModuleRef module = parseSourceFile<ModuleOp>(sources, ParserConfig(&context));
  if (!module)
    return diagnostics.status(StatusKind::InvalidInput);
  LLAMA4_RETURN_IF_ERROR(checkDevices(*module, options.fromFile));
  LLAMA4_RETURN_IF_ERROR(checkOption("compute", options.compute, optionText(*module, "compute")));
  LLAMA4_RETURN_IF_ERROR(checkOption("kv-type", options.kvType, optionText(*module, "kv_type")));
  LLAMA4_RETURN_IF_ERROR(
      checkOption("quantization-encoding", options.encoding, optionText(*module, "encoding")));
  LLAMA4_RETURN_IF_ERROR(checkOption("vision-encoding", options.visionEncoding,
                                     optionText(*module, "vision_encoding")));
  LLAMA4_RETURN_IF_ERROR(checkOption("library", options.library, optionText(*module, "library")));
  LLAMA4_RETURN_IF_ERROR(checkOption("synthetic-weights", options.syntheticWeights,
                                     optionText(*module, syntheticWeightsName)));
  LLAMA4_RETURN_IF_ERROR(
      checkOption("max-length", numberText(options.maxLength), optionText(*module, "max_length")));
  LLAMA4_RETURN_IF_ERROR(checkOption("max-batch-size", numberText(options.maxBatchSize),
                                     optionText(*module, "max_batch_size")));
  LLAMA4_RETURN_IF_ERROR(checkOption("max-step-tokens", numberText(options.maxStepTokens),
                                     optionText(*module, "max_step_tokens")));
  LLAMA4_RETURN_IF_ERROR(checkOption("max-step-tiles", numberText(options.maxStepTiles),
                                     optionText(*module, "max_step_tiles")));
  Builder builder(&context);
  if (auto found = (*module)->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
      found && !options.encodingFor.empty() &&
      found.get("encoding_for") != encodingRules(builder, options))
    return Status::error(StatusKind::Usage, "--encoding-for contradicts the module's encoding_for; "
                                            "leave the option out.");
  std::string synthetic = optionText(*module, syntheticWeightsName);
  if (hasSyntheticWeights(*module) && !parseWeightSource(synthetic))
    return Status::invalidInput(options.fromFile + ": lm.options synthetic_weights: found '" +
                                synthetic + "', expected random:SEED or splat:VALUE.");
  if (!options.disabledPasses.empty() && options.disabledPasses != getDisabledPasses(*module))
    return Status::error(StatusKind::Usage, "--disable-pass contradicts the module's "
                                            "disabled_passes; leave the option out.");
  std::vector<std::string> levels = getLevels(*module);
  LLAMA4_ASSIGN_OR_RETURN(const std::vector<std::string> asked, chooseLevels(options));
  if (options.targets && !levels.empty() && asked != levels)
    return Status::error(StatusKind::Usage, "--target contradicts the module's target.devices; "
                                            "leave the option out or change the module.");
  if (levels.empty())
    LLAMA4_RETURN_IF_ERROR(setOptions(*module, options));
  return module;
}

Status advanceModule(ModuleOp module, Phase from, Phase to) {
  std::vector<std::string> disabled = getDisabledPasses(module);
  for (const std::string &name : disabled)
    if (!isOptionalPass(name))
      return Status::error(StatusKind::Usage,
                           "--disable-pass: '" + name +
                               "' is not a pass that can be left out; fusions, lm-specialise and "
                               "cmd-dedup-kernels can.");
  DiagnosticCollector diagnostics(*module.getContext());
  PassManager passes(module.getContext());
  // What a person wrote is checked like what the passes before it would have made.
  if (from == Phase::LmOpt)
    passes.addPass(createLmVerify());
  if (from == Phase::Plan)
    passes.addPass(createCmdVerify());
  if (from < Phase::LmOpt && to >= Phase::LmOpt)
    buildLmPipeline(passes, disabled);
  if (from < Phase::Cmd && to >= Phase::Cmd)
    buildLowerPipeline(passes, disabled);
  if (from < Phase::Plan && to >= Phase::Plan)
    buildPlanPipeline(passes, disabled);
  if (failed(passes.run(module)))
    return diagnostics.status(StatusKind::InvalidInput);
  return {};
}

bool hasSyntheticWeights(ModuleOp module) {
  return !optionText(module, syntheticWeightsName).empty();
}

Status describeProgram(ModuleOp module, ProgramDesc &program, std::vector<WeightPlan> &weights) {
  DiagnosticCollector diagnostics(*module.getContext());
  if (failed(buildProgram(module, program, weights)))
    return diagnostics.status(StatusKind::InvalidInput);
  return {};
}

std::vector<std::string> getLevels(ModuleOp module) {
  std::vector<std::string> levels;
  if (auto devices = module->getAttrOfType<ArrayAttr>(target::devicesAttrName))
    for (auto cpu : devices.getAsRange<target::CpuAttr>())
      levels.push_back(cpu.getLevel().str());
  return levels;
}

std::string printModule(ModuleOp module, bool withLocations) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  if (withLocations)
    flags.enableDebugInfo();
  module.print(stream, flags);
  stream << "\n";
  return text;
}

} // namespace llama4
