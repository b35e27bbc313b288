//===- Interpret.cpp - llama4-opt --interpret -----------------------------===//
//
// llama4-opt --interpret [FILE.mlir] --checkpoint CHECKPOINT [--entry NAME]
//            --in X.safetensors --out Y.safetensors [--trace] [--vision]
//
// Runs an lm module (without a file: the module that the checkpoint declares). With `input_ids` in
// X and no other entry than `step` asked for, it runs `step` and `logits` and writes `logits`
// f32[T, V]. Any other entry gets its inputs by name (lm.name, or arg0, arg1, ...) and writes out0,
// out1, ...; `positions` and `sequences` in X describe the batch (default: one sequence from 0).
// With --vision the module has the image part of the checkpoint; the features of `pixel_values` in
// X then take the places of the image tokens. With --trace every intermediate is written too, as
// "path/op", "#2" for the second of a name.
//
//===----------------------------------------------------------------------===//

#include "tools/llama4-opt/Interpret.h"

#include "compiler/import/Import.h"
#include "compiler/reference/Images.h"
#include "compiler/reference/Interpreter.h"
#include "compiler/reference/PackRounding.h"
#include "dialects/lm/Lm.h"
#include "models/Registry.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <string_view>

namespace llama4 {

using namespace reference;

namespace {

struct Arguments {
  std::string module, checkpoint, entry, in, out;
  bool trace = false, vision = false;
};

Status usage(const std::string &what) {
  return Status::error(StatusKind::Usage,
                       what + ", expected --interpret [FILE.mlir] --checkpoint CHECKPOINT [--entry "
                              "NAME] --in FILE --out FILE [--trace] [--vision].");
}

Result<Arguments> parseArguments(int argc, char **argv) {
  Arguments arguments;
  const std::pair<std::string_view, std::string *> options[] = {
      {"--checkpoint", &arguments.checkpoint},
      {"--entry", &arguments.entry},
      {"--in", &arguments.in},
      {"--out", &arguments.out},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    std::string *value = nullptr;
    for (const auto &[name, target] : options)
      if (flag == name)
        value = target;
    if (value && i + 1 < argc)
      *value = argv[++i];
    else if (flag == "--trace")
      arguments.trace = true;
    else if (flag == "--vision")
      arguments.vision = true;
    else if (!flag.starts_with("-") && arguments.module.empty())
      arguments.module = flag;
    else if (flag != "--interpret")
      return usage("found the argument " + std::string(flag));
  }
  if (arguments.checkpoint.empty() || arguments.in.empty() || arguments.out.empty())
    return usage("found no --checkpoint, --in or --out");
  return arguments;
}

Result<mlir::OwningOpRef<mlir::ModuleOp>>
loadModule(mlir::MLIRContext &context, const Arguments &arguments, const Checkpoint &checkpoint) {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  if (arguments.module.empty()) {
    models::ModelOptions options;
    options.vision = arguments.vision;
    LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<graph::Graph> graph,
                            models::buildModel(checkpoint, options));
    module = importGraph(context, *graph);
  } else {
    context.loadDialect<lm::LmDialect, target::TargetDialect, mlir::func::FuncDialect,
                        mlir::arith::ArithDialect, mlir::math::MathDialect>();
    module = mlir::parseSourceFile<mlir::ModuleOp>(arguments.module, &context);
  }
  if (!module)
    return Status::invalidInput(arguments.module + ": found no valid module of the lm dialect.");
  return module;
}

/// The batch that X describes for `tokens` tokens.
Result<Batch> readBatch(const NamedTensors &inputs, int64_t tokens) {
  Batch batch;
  auto positions = inputs.find("positions"), sequences = inputs.find("sequences");
  for (int64_t t = 0; t < tokens; ++t) {
    batch.positions.push_back(t);
    batch.sequences.push_back(0);
  }
  if (positions != inputs.end())
    batch.positions.assign(positions->second.ints.begin(), positions->second.ints.end());
  if (sequences != inputs.end())
    batch.sequences = sequences->second.ints;
  if (batch.tokens() != tokens || static_cast<int64_t>(batch.sequences.size()) != tokens)
    return Status::invalidInput("positions and sequences: found " + std::to_string(batch.tokens()) +
                                " and " + std::to_string(batch.sequences.size()) +
                                " elements, expected " + std::to_string(tokens) + ".");
  return batch;
}

/// Rows of the first input that is a whole argument with the entry's symbol.
int64_t tokensOf(mlir::func::FuncOp func, const NamedTensors &inputs) {
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    auto type = mlir::dyn_cast<mlir::RankedTensorType>(func.getArgument(i).getType());
    auto name = func.getArgAttrOfType<mlir::StringAttr>(i, lm::argNameAttrName);
    auto given = inputs.find(name ? name.str() : "arg" + std::to_string(i));
    if (type && type.getRank() > 0 && type.isDynamicDim(0) && given != inputs.end())
      return given->second.rows();
  }
  return 0;
}

/// The images that X holds, encoded.
Result<StepImages> readImages(Interpreter &interpreter, const NamedTensors &inputs,
                              bool withVision) {
  StepImages images;
  auto pixels = inputs.find("pixel_values");
  if (!withVision || pixels == inputs.end())
    return images;
  if (interpreter.module().lookupSymbol("cross_kv"))
    return encodeImages(interpreter, inputs);
  LLAMA4_ASSIGN_OR_RETURN(images.features, encodeTiles(interpreter, pixels->second));
  return images;
}

Status run(const Arguments &arguments) {
  LLAMA4_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(arguments.checkpoint));
  mlir::MLIRContext context;
  LLAMA4_ASSIGN_OR_RETURN(mlir::OwningOpRef<mlir::ModuleOp> module,
                          loadModule(context, arguments, checkpoint));
  LLAMA4_ASSIGN_OR_RETURN(NamedTensors inputs, readTensors(arguments.in));
  CheckpointParams params(checkpoint, packRounding());
  Interpreter interpreter(*module, params);
  NamedTensors outputs;
  std::map<std::string, int> seen;
  if (arguments.trace)
    interpreter.setObserver([&](const TraceName &name, const HostTensor &value) {
      std::string key = traceText(name);
      if (int count = ++seen[key]; count > 1)
        key += "#" + std::to_string(count);
      outputs[key] = value;
    });
  auto ids = inputs.find("input_ids");
  if (ids != inputs.end() && (arguments.entry.empty() || arguments.entry == "step")) {
    LLAMA4_ASSIGN_OR_RETURN(Batch batch, readBatch(inputs, ids->second.rows()));
    LLAMA4_ASSIGN_OR_RETURN(const StepImages images,
                            readImages(interpreter, inputs, arguments.vision));
    LLAMA4_ASSIGN_OR_RETURN(outputs["logits"],
                            runTokens(interpreter, ids->second.ints, batch, images));
    return writeTensors(arguments.out, outputs);
  }
  const std::string entry = arguments.entry.empty() ? "step" : arguments.entry;
  auto func = module->lookupSymbol<mlir::func::FuncOp>(entry);
  LLAMA4_ASSIGN_OR_RETURN(Batch batch, readBatch(inputs, func ? tokensOf(func, inputs) : 0));
  LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> results,
                          interpreter.runEntry(entry, inputs, batch));
  for (size_t i = 0; i < results.size(); ++i)
    outputs["out" + std::to_string(i)] = std::move(results[i]);
  return writeTensors(arguments.out, outputs);
}

} // namespace

int interpretMain(int argc, char **argv) {
  Result<Arguments> arguments = parseArguments(argc, argv);
  Status status = arguments.ok() ? run(*arguments) : arguments.status();
  if (!status.ok())
    llvm::errs() << "llama4-opt: " << status.message() << "\n";
  return status.exitCode();
}

} // namespace llama4
