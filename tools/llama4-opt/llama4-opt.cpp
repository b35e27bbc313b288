//===- llama4-opt.cpp - runs passes on .mlir files ------------------------===//

#include "dialects/cmd/Cmd.h"
#include "passes/Pipeline.h"
#include "tools/llama4-opt/Interpret.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

#include <string_view>

int main(int argc, char **argv) {
  if (argc > 1 && argv[1] == std::string_view("--import"))
    return llama4::importMain(argc, argv);
  mlir::DialectRegistry registry;
  registry.insert<llama4::lm::LmDialect, llama4::cmd::CmdDialect, llama4::target::TargetDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::func::FuncDialect>();
  llama4::registerPassesAndPipelines();
  mlir::registerTransformsPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "llama4 optimizer driver\n", registry));
}
