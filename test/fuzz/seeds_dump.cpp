// Every phase of two small models, and a program that is no model.
#include "compiler/driver/Phases.h"
#include "test/fuzz/SeedFiles.h"

#include "mlir/IR/MLIRContext.h"

using namespace llama4;

/// The dump of `phase`, after its digit.
static std::string dumpOf(const std::string &folder, Phase phase) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  DriverOptions options;
  options.compute = "float32";
  options.targets = {{"x86-64-v3"}};
  auto checkpoint = Checkpoint::open(std::string(LLAMA4_TEST_DATA "/oracles/") + folder);
  if (!checkpoint.ok())
    return "";
  auto module = declareModule(context, *checkpoint, options);
  if (!module.ok() || !advanceModule(**module, Phase::Lm, phase).ok())
    return "";
  // Without locations: changes are to meet the program.
  return std::to_string(static_cast<int>(phase)) + printModule(**module, /*withLocations=*/false);
}

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> inputs = {R"mlir(1
func.func @run(%x: tensor<?x16xf32> {lm.name = "x", lm.role = "tensor"}) -> tensor<?x16xf32>
    attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %0 = lm.silu %x : tensor<?x16xf32>
  %1 = lm.add %0, %x : tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}
)mlir"};
  for (Phase phase : {Phase::Lm, Phase::LmOpt, Phase::Cmd, Phase::Plan})
    for (const char *folder : {"llama3-text-tied", "llama4-text-f32"})
      if (std::string dump = dumpOf(folder, phase); !dump.empty())
        inputs.push_back(std::move(dump));
  return inputs;
}
