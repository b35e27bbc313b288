//===- llama4-opt.cpp - runs passes on .mlir files ------------------------===//

#include "dialects/cmd/Cmd.h"
#include "passes/Pipeline.h"
#include "passes/kernel/KernelPasses.h"
#include "tools/llama4-compile/CompilerVersion.h"
#include "tools/llama4-opt/Interpret.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

#include "llvm/Support/CommandLine.h"

#include <string_view>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    if (argv[i] == std::string_view("--import"))
      return llama4::importMain(argc, argv);
    if (argv[i] == std::string_view("--interpret"))
      return llama4::interpretMain(argc, argv);
  }
  llvm::cl::SetVersionPrinter(
      [](llvm::raw_ostream &stream) { stream << llama4::compilerVersion("llama4-opt") << "\n"; });
  mlir::DialectRegistry registry;
  registry.insert<llama4::lm::LmDialect, llama4::cmd::CmdDialect, llama4::target::TargetDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::func::FuncDialect>();
  llama4::registerPassesAndPipelines();
  llama4::kernel::registerKernelPasses();
  mlir::registerTransformsPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "llama4 optimizer driver\n", registry));
}
