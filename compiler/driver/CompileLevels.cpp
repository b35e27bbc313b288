//===- CompileLevels.cpp - machine code of all CPU levels -----------------===//
//
// A context of MLIR belongs to one thread here: the kernels go to the others as bytecode.
//
//===----------------------------------------------------------------------===//

#include "compiler/driver/CompileLevels.h"

#include "compiler/driver/Phases.h"
#include "dialects/cmd/Cmd.h"

#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <optional>
#include <thread>

using namespace mlir;

namespace llama4 {

namespace {

using Code = Result<std::vector<std::byte>>;

/// The kernels of `module` as bytecode.
Result<std::string> serialiseKernels(ModuleOp module) {
  OwningOpRef<ModuleOp> clone = ModuleOp::create(module.getLoc());
  OpBuilder builder(clone->getContext());
  builder.setInsertionPointToEnd(clone->getBody());
  for (cmd::KernelOp kernel : module.getOps<cmd::KernelOp>())
    builder.clone(*kernel);
  std::string bytes;
  llvm::raw_string_ostream stream(bytes);
  if (failed(writeBytecodeToFile(*clone, stream)))
    return Status::internal("The kernels could not be written as bytecode.");
  return bytes;
}

/// One compile, its levels and what has been made of them.
struct Levels {
  std::vector<const microkernels::Level *> levels;
  const cpu::CompileOptions &options;
  const std::function<void()> &onLevel;
  std::vector<std::optional<Code>> code;
  std::atomic<size_t> next = 0;

  /// Compiles levels from `module` until none is left.
  void work(ModuleOp module) {
    for (size_t i = next++; i < levels.size(); i = next++) {
      code[i] = cpu::compileKernels(module, *levels[i], options);
      onLevel();
    }
  }

  /// The same from bytecode, in a context of its own.
  void workFrom(const std::string &bytes) {
    MLIRContext context(MLIRContext::Threading::DISABLED);
    loadDialects(context);
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(bytes, ParserConfig(&context, /*verifyAfterParse=*/false));
    if (module)
      work(*module); // otherwise the first thread does it all
  }
};

} // namespace

Result<std::vector<std::vector<std::byte>>>
compileLevels(ModuleOp module, const std::vector<std::string> &levels, unsigned threads,
              const cpu::CompileOptions &options, const std::function<void()> &onLevel) {
  Levels work = {{}, options, onLevel, {}, 0};
  for (const std::string &name : levels) {
    work.levels.push_back(microkernels::findLevel(name));
    if (!work.levels.back())
      return Status::invalidInput("target.devices names the CPU level '" + name +
                                  "', which this compiler does not have.");
  }
  work.code.resize(levels.size());
  if (threads == 0)
    threads = std::max(std::thread::hardware_concurrency(), 1u);
  std::string bytes;
  if (threads > 1 && levels.size() > 1) {
    LLAMA4_ASSIGN_OR_RETURN(bytes, serialiseKernels(module));
  }
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min<size_t>(threads, levels.size()); ++i)
    others.emplace_back([&] { work.workFrom(bytes); });
  work.work(module);
  for (std::thread &other : others)
    other.join();
  std::vector<std::vector<std::byte>> objects;
  for (std::optional<Code> &code : work.code) {
    LLAMA4_RETURN_IF_ERROR(code->status());
    objects.push_back(code->take());
  }
  return objects;
}

} // namespace llama4
