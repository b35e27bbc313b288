//===- CpuTarget.cpp - kernels to a shared object for one CPU level -------===//

#include "compiler/target/cpu/CpuTarget.h"

#include "compiler/target/cpu/Codegen.h"
#include "compiler/target/cpu/SharedObject.h"
#include "dialects/cmd/Cmd.h"
#include "passes/kernel/KernelPasses.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace llama4;

namespace {

/// Keeps the first error of the context as text.
class FirstError {
public:
  explicit FirstError(MLIRContext *context)
      : handler_(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
            return failure();
          llvm::raw_string_ostream stream(text_);
          if (text_.empty())
            stream << diagnostic.getLocation() << ": " << diagnostic;
          return success();
        }) {}

  Status status() const {
    return Status::invalidInput(text_.empty() ? "The kernels could not be compiled." : text_);
  }

private:
  std::string text_;
  ScopedDiagnosticHandler handler_;
};

} // namespace

/// A module with copies of the kernels of `module`.
static OwningOpRef<ModuleOp> cloneKernels(ModuleOp module) {
  OwningOpRef<ModuleOp> clone = ModuleOp::create(module.getLoc());
  OpBuilder builder(clone->getContext());
  builder.setInsertionPointToEnd(clone->getBody());
  for (cmd::KernelOp kernel : module.getOps<cmd::KernelOp>())
    builder.clone(*kernel);
  return clone;
}

static void registerTranslations(MLIRContext *context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context->appendDialectRegistry(registry);
}

/// Writes one file of `--dump-kernels`.
static Status dump(const std::string &path, StringRef text) {
  Status failed = Status::error(StatusKind::Io, path + ": the dump could not be written.");
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error, llvm::sys::fs::OF_None);
  if (error)
    return failed;
  stream << text;
  stream.close();
  if (stream.has_error()) {
    stream.clear_error();
    return failed;
  }
  return {};
}

Result<std::vector<std::byte>> cpu::compileKernels(ModuleOp module,
                                                   const microkernels::Level &level,
                                                   const CompileOptions &options) {
  const bool dumps = !options.dumpDir.empty();
  const std::string stem = options.dumpDir + "/kernels." + std::string(level.name);
  MLIRContext *context = module.getContext();
  FirstError error(context);
  OwningOpRef<ModuleOp> kernels = cloneKernels(module);
  registerTranslations(context);
  PassManager emit(context), lower(context);
  kernel::addEmitPasses(emit);
  kernel::addLoweringPasses(lower);
  if (failed(emit.run(*kernels)))
    return error.status();
  if (dumps) {
    std::string text;
    llvm::raw_string_ostream(text) << *kernels;
    LLAMA4_RETURN_IF_ERROR(dump(stem + ".mlir", text));
  }
  if (failed(lower.run(*kernels)))
    return error.status();
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(*kernels, llvmContext, "kernels");
  if (!code)
    return error.status();
  LLAMA4_ASSIGN_OR_RETURN(CompiledCode compiled, compileModule(*code, level, dumps));
  if (dumps) {
    LLAMA4_RETURN_IF_ERROR(dump(stem + ".ll", compiled.optimised));
    LLAMA4_RETURN_IF_ERROR(dump(stem + ".s", compiled.assembly));
  }
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::byte> object, linkSharedObject(compiled.object));
  if (dumps)
    LLAMA4_RETURN_IF_ERROR(dump(
        stem + ".so", StringRef(reinterpret_cast<const char *>(object.data()), object.size())));
  return object;
}
