//===- Import.cpp - llama4-opt --import -----------------------------------===//
//
// llama4-opt --import CHECKPOINT [--compute float32|bfloat16] [--kv-type float32|bfloat16]
//            [--vision] [--graph]
//
// Prints the lm module (or the graph) that a checkpoint's model declares, with locations: what pass
// tests start from.
//
//===----------------------------------------------------------------------===//

#include "tools/llama4-opt/Interpret.h"

#include "compiler/import/Import.h"
#include "models/Registry.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

namespace llama4 {

static int fail(const Status &status) {
  llvm::errs() << "llama4-opt: " << status.message() << "\n";
  return status.exitCode();
}

int importMain(int argc, char **argv) {
  const char *path = nullptr;
  bool asGraph = false;
  models::ModelOptions options;
  for (int i = 1; i < argc; ++i) {
    const bool hasValue = i + 1 < argc;
    if (!std::strcmp(argv[i], "--import") && hasValue)
      path = argv[++i];
    else if (!std::strcmp(argv[i], "--graph"))
      asGraph = true;
    else if (!std::strcmp(argv[i], "--vision"))
      options.vision = true;
    else if (!std::strcmp(argv[i], "--compute") && hasValue)
      options.compute = argv[++i];
    else if (!std::strcmp(argv[i], "--kv-type") && hasValue)
      options.kvType =
          !std::strcmp(argv[++i], "bfloat16") ? graph::Element::BF16 : graph::Element::F32;
    else
      return fail(
          Status::error(StatusKind::Usage, std::string("found the argument ") + argv[i] +
                                               ", expected --import CHECKPOINT, --graph, --vision, "
                                               "--compute TYPE or --kv-type TYPE."));
  }
  if (!path)
    return fail(Status::error(StatusKind::Usage, "--import needs a checkpoint."));
  Result<Checkpoint> checkpoint = Checkpoint::open(path);
  if (!checkpoint.ok())
    return fail(checkpoint.status());
  Result<std::unique_ptr<graph::Graph>> graph = models::buildModel(*checkpoint, options);
  if (!graph.ok())
    return fail(graph.status());
  for (const std::string &remark : (*graph)->remarks())
    llvm::errs() << "llama4-opt: " << remark << "\n";
  if (asGraph) {
    llvm::outs() << dumpGraph(**graph);
    return 0;
  }
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = importGraph(context, **graph);
  if (!module)
    return fail(Status::internal("the declared model breaks a rule of the dialect."));
  module->print(llvm::outs(), mlir::OpPrintingFlags().enableDebugInfo());
  llvm::outs() << "\n";
  return 0;
}

} // namespace llama4
