//===- llama4-compile.cpp - checkpoint in, program file out ---------------===//

#include "compiler/checkpoint/Inspect.h"
#include "compiler/driver/Driver.h"
#include "compiler/driver/HostLevel.h"
#include "runtime/base/File.h"
#include "runtime/format/WeightSource.h"
#include "tools/llama4-compile/CompilerVersion.h"
#include "tools/llama4-compile/Registered.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace llama4;
namespace cl = llvm::cl;

static cl::OptionCategory category("llama4-compile options");

static cl::opt<std::string> checkpoint(cl::Positional, cl::desc("CHECKPOINT"), cl::cat(category));
static cl::opt<std::string> checkpointOption(
    "checkpoint",
    cl::desc("CHECKPOINT by name; with --from-phase weights and text are taken from it"),
    cl::value_desc("path"), cl::cat(category));
static OtherName modelPath("model-path", checkpointOption, "Same as --checkpoint", category);
static OtherName modelName("model", checkpointOption, "Same as --checkpoint", category);
static OtherName modelLetter("m", checkpointOption, "Same as --checkpoint", category);
static OtherName weightPath("weight-path", checkpointOption, "Same as --checkpoint", category);
static cl::opt<std::string> output("o", cl::desc("Program file to write"), cl::value_desc("file"),
                                   cl::cat(category));
static OtherName outputName("output", output, "Same as -o", category);
static OtherName outfile("outfile", output, "Same as -o", category);
static OtherName savePath("save-to-serialized-model-path", output, "Same as -o", category);
static cl::list<std::string> targets("target", cl::CommaSeparated,
                                     cl::desc("Devices: cpu (all levels, default), cpu:native or "
                                              "cpu:LEVEL"),
                                     cl::cat(category));
static cl::opt<std::string> encoding(
    "quantization-encoding",
    cl::desc("Format of all matrices: float32, bfloat16, q8_0, q6_k, q5_0, q4_k, q4_1, q4_0 or "
             "int4_g128; default: as stored"),
    cl::cat(category));
static OtherName quantization("quantization", encoding, "Same as --quantization-encoding",
                              category);
static cl::opt<std::string> isq("isq",
                                cl::desc("4 or 8: same as --quantization-encoding q4_k or q8_0"),
                                cl::value_desc("bits"), cl::cat(category));
static cl::list<std::string> encodingFor(
    "encoding-for",
    cl::desc("Format of the matrices in whose name REGEX is found; the last rule counts"),
    cl::value_desc("REGEX=FORMAT"), cl::cat(category));
static cl::opt<std::string>
    encodingPolicy("encoding-policy",
                   cl::desc("File of such rules, one a line; # begins a comment"),
                   cl::value_desc("file"), cl::cat(category));
static cl::opt<std::string>
    visionEncoding("vision-encoding",
                   cl::desc("The same for the image tower alone; default: as stored"),
                   cl::value_desc("format"), cl::cat(category));
static cl::opt<std::string>
    library("library",
            cl::desc("onednn: the image tower's float matrices are multiplied by oneDNN, which "
                     "must be installed where the program runs; none (default)"),
            cl::cat(category));
static cl::opt<bool> textOnly("text-only", cl::desc("Leave out the image part of the checkpoint"),
                              cl::cat(category));
static cl::opt<std::string>
    compute("compute", cl::desc("bfloat16 (default, fast) or float32 (reference mode)"),
            cl::cat(category));
static OtherName dtype("dtype", compute, "Same as --compute", category);
static cl::opt<std::string>
    kvType("kv-type",
           cl::desc("Format of keys and values: float32 or bfloat16; default: as --compute"),
           cl::cat(category));
static OtherName kvCacheDtype("kv-cache-dtype", kvType, "Same as --kv-type", category);
static cl::opt<int64_t> maxLength("max-length",
                                  cl::desc("Tokens of a sequence; default: the model's own"),
                                  cl::cat(category));
static OtherName maxModelLen("max-model-len", maxLength, "Same as --max-length", category);
static OtherName ctxSize("ctx-size", maxLength, "Same as --max-length", category);
static OtherName ctxLetter("c", maxLength, "Same as --max-length", category);
static cl::opt<int64_t> maxBatchSize("max-batch-size", cl::desc("Sequences of a step; default 64"),
                                     cl::cat(category));
static OtherName maxCeBatchSize("max-ce-batch-size", maxBatchSize, "Same as --max-batch-size",
                                category);
static OtherName maxNumSeqs("max-num-seqs", maxBatchSize, "Same as --max-batch-size", category);
static OtherName parallel("parallel", maxBatchSize, "Same as --max-batch-size", category);
static cl::opt<int64_t> maxStepTokens("max-step-tokens", cl::desc("Tokens of a step; default 512"),
                                      cl::cat(category));
static OtherName maxNumBatchedTokens("max-num-batched-tokens", maxStepTokens,
                                     "Same as --max-step-tokens", category);
static OtherName batchSize("batch-size", maxStepTokens, "Same as --max-step-tokens", category);
static OtherName batchLetter("b", maxStepTokens, "Same as --max-step-tokens", category);
static cl::opt<int64_t> maxStepTiles(
    "max-step-tiles",
    cl::desc("Tiles (images of Llama 3.2 Vision: 4 tiles each) encoded at once; default 4"),
    cl::cat(category));
static cl::opt<std::string>
    dumpPhase("dump-phase", cl::desc("Print a phase and stop: graph, lm, lm-opt, cmd or plan"),
              cl::cat(category));
static cl::list<std::string> fromPhase("from-phase", cl::multi_val(2),
                                       cl::value_desc("PHASE FILE.mlir"),
                                       cl::desc("Continue from a dump: lm, lm-opt, cmd or plan"),
                                       cl::cat(category));
static cl::list<std::string> disablePass("disable-pass", cl::CommaSeparated,
                                         cl::desc("Leave out an optional pass, by name"),
                                         cl::cat(category));
static cl::opt<std::string> dumpKernels("dump-kernels",
                                        cl::desc("Write every stage of the kernels to a folder"),
                                        cl::value_desc("folder"), cl::cat(category));
static cl::opt<std::string> syntheticWeights(
    "synthetic-weights",
    cl::desc("Make weights up at load, nothing on disk: random:SEED or splat:VALUE"),
    cl::value_desc("source"), cl::cat(category));
static cl::opt<bool>
    planOnly("plan-only",
             cl::desc("Print parameters and memory and stop; config.json alone is enough"),
             cl::cat(category));
static cl::opt<bool> json("json", cl::desc("Print --plan-only as JSON"), cl::cat(category));
static cl::opt<std::string>
    explain("explain", cl::ValueOptional,
            cl::desc("Print every dispatch, what it costs and why it is not fused, and stop: text "
                     "(default), json or html; config.json alone is enough"),
            cl::value_desc("format"), cl::cat(category));
static cl::opt<double> explainBandwidth("explain-bandwidth", cl::init(25),
                                        cl::desc("Assumed GB/s that all cores read; default 25"),
                                        cl::cat(category));
static cl::opt<double> explainFloatMacs("explain-float-macs", cl::init(50),
                                        cl::desc("Assumed GMAC/s of a core in float32; default 50"),
                                        cl::cat(category));
static cl::opt<double> explainInt8Macs("explain-int8-macs", cl::init(200),
                                       cl::desc("Assumed GMAC/s of a core in 8 bits; default 200"),
                                       cl::cat(category));
static cl::opt<double> explainCores("explain-cores", cl::init(1),
                                    cl::desc("Assumed cores; default 1"), cl::cat(category));
static cl::opt<int64_t> explainLength("explain-length", cl::init(1024),
                                      cl::desc("Tokens that attention sees; default 1024"),
                                      cl::cat(category));
static cl::opt<bool> inspect("inspect", cl::desc("Print what the checkpoint holds and stop"),
                             cl::cat(category));
static cl::opt<bool> trustRemoteCode("trust-remote-code",
                                     cl::desc("Accepted; no remote code is ever run"),
                                     cl::cat(category));
static cl::opt<unsigned>
    jobs("jobs", cl::desc("Threads to compile machine code with; default: all processors"),
         cl::cat(category));
static OtherName threadsLetter("t", jobs, "Same as --jobs", category);
static cl::opt<std::string>
    config("config", cl::desc("File of lines option = value or flag; the command line stays"),
           cl::value_desc("file"), cl::cat(category));
static cl::opt<std::string> completion("completion",
                                       cl::desc("Print what a shell completes: bash, zsh or fish"),
                                       cl::value_desc("shell"), cl::cat(category));
static cl::opt<bool> man("man", cl::desc("Print the manual page, for man -l -"), cl::cat(category));
static cl::opt<bool> verbose("v", cl::desc("Print times and sizes"), cl::cat(category));

/// The options with a closed list of values.
static const Choices &choices() {
  static const std::vector<std::string> types = {"bfloat16", "float32"},
                                        encodings = {"as-stored", "float32",  "bfloat16", "q8_0",
                                                     "q6_k",      "q5_0",     "q4_k",     "q4_1",
                                                     "q4_0",      "int4_g128"};
  static const Choices list = {{&compute, types},
                               {&kvType, types},
                               {&encoding, encodings},
                               {&visionEncoding, encodings},
                               {&library, {"none", "onednn"}},
                               {&isq, {"4", "8"}},
                               {&dumpPhase, {"graph", "lm", "lm-opt", "cmd", "plan"}},
                               {&completion, {"bash", "zsh", "fish"}}};
  return list;
}

template <typename T> static std::optional<T> given(const cl::opt<T> &option) {
  return option.getNumOccurrences() ? std::optional<T>(option.getValue()) : std::nullopt;
}

static Status usage(const std::string &sentence) {
  return Status::error(StatusKind::Usage, sentence);
}

/// Refuses a value that no compile can do anything with.
static Status checkChoices() {
  for (const auto &[option, values] : choices())
    if (option->getNumOccurrences() && !llvm::is_contained(values, option->getValue()))
      return usage("--" + option->ArgStr.str() + ": found '" + option->getValue() +
                   "', expected one of " + manual::listed(values) + ".");
  return {};
}

/// `cpu` stands for all levels, `cpu:LEVEL` for one.
static Status readTargets(DriverOptions &options) {
  std::vector<std::string> levels;
  bool all = targets.empty();
  for (const std::string &target : targets) {
    all |= target == "cpu";
    if (target == "cpu")
      continue;
    if (target.rfind("cpu:", 0) != 0)
      return usage("--target: found '" + target + "', expected cpu or cpu:LEVEL.");
    if (!llvm::is_contained(levels, target.substr(4)))
      levels.push_back(target.substr(4));
  }
  if (!all)
    options.targets = std::move(levels);
  return {};
}

/// "REGEX=FORMAT"; the last = divides, formats have none.
static Status readRule(const std::string &text, DriverOptions &options) {
  const size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size())
    return usage("--encoding-for: found '" + text + "', expected REGEX=FORMAT.");
  options.encodingFor.emplace_back(text.substr(0, at), text.substr(at + 1));
  return {};
}

/// The format of all matrices, then the rules: of the file first, so that flags have the last word.
static Status readEncodings(DriverOptions &options) {
  options.encoding = given(encoding);
  if (isq.getNumOccurrences()) {
    if (options.encoding)
      return usage("found --isq and --quantization-encoding, expected one of them.");
    options.encoding = isq == "4" ? "q4_k" : "q8_0";
  }
  if (!encodingPolicy.empty()) {
    constexpr uint64_t mostBytes = 1 << 20;
    LLAMA4_ASSIGN_OR_RETURN(std::string text, readTextFile(encodingPolicy, mostBytes));
    for (llvm::StringRef line : llvm::split(text, '\n'))
      if (line = line.split('#').first.trim(); !line.empty())
        LLAMA4_RETURN_IF_ERROR(readRule(line.str(), options).in(encodingPolicy));
  }
  for (const std::string &rule : encodingFor)
    LLAMA4_RETURN_IF_ERROR(readRule(rule, options));
  return {};
}

/// What to make up, in the one form that the module holds.
static Status readSyntheticWeights(DriverOptions &options) {
  if (!syntheticWeights.getNumOccurrences())
    return {};
  std::optional<WeightSource> source = parseWeightSource(syntheticWeights.getValue());
  if (!source)
    return usage("--synthetic-weights: found '" + syntheticWeights.getValue() +
                 "', expected random:SEED or splat:VALUE with a value up to 65504.");
  options.syntheticWeights = weightSourceText(*source);
  return {};
}

/// The report and what it assumes, when there is to be one.
static Status readExplain(DriverOptions &options) {
  const std::pair<const cl::opt<double> *, double ExplainOptions::*> limits[] = {
      {&explainBandwidth, &ExplainOptions::readBytes},
      {&explainFloatMacs, &ExplainOptions::floatMacs},
      {&explainInt8Macs, &ExplainOptions::int8Macs},
      {&explainCores, &ExplainOptions::cores}};
  ExplainOptions report;
  bool limited = explainLength.getNumOccurrences() > 0;
  for (auto [option, member] : limits) {
    limited |= option->getNumOccurrences() > 0;
    if (!(option->getValue() > 0 && option->getValue() <= 1e9))
      return usage("--" + option->ArgStr.str() + ": expected a number above 0, up to 1e9.");
    report.*member = option->getValue() * (option == &explainCores ? 1 : 1e9);
  }
  if (explainLength < 1)
    return usage("--explain-length: found " + std::to_string(explainLength) +
                 ", expected at least 1.");
  report.length = static_cast<uint64_t>(explainLength);
  if (!explain.getNumOccurrences())
    return limited ? usage("found limits of a report without --explain, expected both.") : Status();
  const std::string format = explain.empty() ? "text" : explain.getValue();
  if (format != "text" && format != "json" && format != "html")
    return usage("--explain: found '" + format + "', expected text, json or html.");
  if (planOnly || dumpPhase.getNumOccurrences() || !output.empty())
    return usage("found --explain with -o, --plan-only or --dump-phase, expected one of them: it "
                 "prints and stops.");
  report.format = format == "json"   ? ExplainFormat::Json
                  : format == "html" ? ExplainFormat::Html
                                     : ExplainFormat::Text;
  options.explain = report;
  return {};
}

/// The one checkpoint that was named.
static Result<std::string> readCheckpoint() {
  if (!checkpoint.empty() && !checkpointOption.empty())
    return usage("found two checkpoints, '" + checkpoint + "' and --checkpoint '" +
                 checkpointOption + "', expected one.");
  if (checkpoint.empty() && checkpointOption.empty())
    return usage("found no checkpoint, expected a Hugging Face folder or a .gguf file.");
  return checkpoint.empty() ? checkpointOption : checkpoint;
}

static Result<DriverOptions> readOptions() {
  DriverOptions options;
  LLAMA4_ASSIGN_OR_RETURN(options.checkpoint, readCheckpoint());
  LLAMA4_RETURN_IF_ERROR(checkChoices());
  options.output = output;
  options.compute = given(compute);
  options.kvType = given(kvType);
  LLAMA4_RETURN_IF_ERROR(readEncodings(options));
  options.maxLength = given(maxLength);
  options.maxBatchSize = given(maxBatchSize);
  options.maxStepTokens = given(maxStepTokens);
  options.maxStepTiles = given(maxStepTiles);
  options.visionEncoding = given(visionEncoding);
  options.library = given(library);
  options.textOnly = textOnly;
  options.disabledPasses.assign(disablePass.begin(), disablePass.end());
  options.dumpKernels = dumpKernels;
  options.threads = jobs;
  options.verbose = verbose;
  options.planOnly = planOnly;
  options.json = json;
  LLAMA4_RETURN_IF_ERROR(readSyntheticWeights(options));
  LLAMA4_RETURN_IF_ERROR(readTargets(options));
  LLAMA4_RETURN_IF_ERROR(readExplain(options));
  if (dumpPhase.getNumOccurrences()) {
    options.dumpPhase = parsePhase(dumpPhase.getValue()); // one of the choices
    if (!options.dumpKernels.empty())
      return usage("found --dump-kernels with --dump-phase, which stops before there are kernels; "
                   "leave one out.");
  }
  if (!fromPhase.empty()) {
    options.fromPhase = parsePhase(fromPhase[0]);
    options.fromFile = fromPhase[1];
    if (!options.fromPhase || options.fromPhase == Phase::Graph)
      return usage("--from-phase: found '" + fromPhase[0] + "', expected lm, lm-opt, cmd or plan.");
  }
  if (json && !planOnly)
    return usage("found --json without --plan-only, expected both.");
  if (options.output.empty() && !options.dumpPhase && !planOnly && !options.explain)
    return usage("found no output file, expected -o MODEL.l4x.");
  return options;
}

static Status runInspect() {
  LLAMA4_ASSIGN_OR_RETURN(std::string path, readCheckpoint());
  LLAMA4_ASSIGN_OR_RETURN(Checkpoint opened, Checkpoint::open(path));
  llvm::outs() << inspectCheckpoint(opened);
  return {};
}

/// Completion or the manual page.
static Status describe() {
  manual::Option argument;
  argument.argument = "CHECKPOINT";
  argument.value = manual::Value::File;
  argument.help =
      "a Hugging Face folder (config.json alone with --synthetic-weights) or a .gguf file";
  argument.group = category.getName().str();
  const manual::Program program = describeProgram("llama4-compile", argument, choices());
  LLAMA4_ASSIGN_OR_RETURN(std::string text, completion.getNumOccurrences()
                                                ? manual::completion(program, completion)
                                                : manual::manPage(program));
  llvm::outs() << text;
  return {};
}

static Status run() {
  if (!config.empty())
    LLAMA4_RETURN_IF_ERROR(applyConfig(config, {{&checkpoint, &checkpointOption},
                                                {&encoding, &isq},
                                                {&output, &dumpPhase, &planOnly, &explain}}));
  if (man || completion.getNumOccurrences())
    return describe();
  if (trustRemoteCode)
    llvm::errs() << "llama4-compile: note: no code from a checkpoint is ever run.\n";
  if (inspect)
    return runInspect();
  LLAMA4_ASSIGN_OR_RETURN(DriverOptions options, readOptions());
  return runCompiler(options);
}

static void printVersion(llvm::raw_ostream &stream) {
  Result<std::string> native = findHostLevel();
  stream << compilerVersion("llama4-compile",
                            {{"cpu:native", native.ok() ? *native : "none of them"}})
         << "\n";
}

int main(int argc, char **argv) {
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter(printVersion);
  std::string errors;
  llvm::raw_string_ostream stream(errors);
  if (!cl::ParseCommandLineOptions(argc, argv, "Compiles a checkpoint into one .l4x program\n",
                                   &stream)) {
    llvm::errs() << errors;
    return static_cast<int>(StatusKind::Usage);
  }
  Status status = run();
  if (!status.ok())
    llvm::errs() << "llama4-compile: " << status.message() << "\n";
  return status.exitCode();
}
