//===- llama4-opt.cpp - runs passes on .mlir files ------------------------===//

#include "dialects/cmd/Cmd.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<llama4::lm::LmDialect, llama4::cmd::CmdDialect, llama4::target::TargetDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::func::FuncDialect>();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "llama4 optimizer driver\n", registry));
}
