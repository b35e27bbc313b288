//===- Codegen.cpp - LLVM IR and micro-kernels to an object file ----------===//

#include "compiler/target/cpu/Codegen.h"

#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <mutex>

using namespace llvm;
using namespace llama4;
using namespace llama4::cpu;

static const char *const kTriple = "x86_64-unknown-linux-gnu";

static StringRef toRef(std::string_view text) { return {text.data(), text.size()}; }

static Result<std::unique_ptr<TargetMachine>> createMachine(const microkernels::Level &level) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  std::string error;
  Triple triple(kTriple);
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return Status::internal("LLVM has no x86 target: " + error + ".");
  // Multiplications and additions stay as they are written: results don't depend on inlining.
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Strict;
  std::unique_ptr<TargetMachine> machine(
      target->createTargetMachine(triple, toRef(level.cpu), toRef(level.features), options,
                                  Reloc::PIC_, CodeModel::Small, CodeGenOptLevel::Aggressive));
  if (!machine)
    return Status::internal("LLVM has no code generator for " + std::string(level.name) + ".");
  return machine;
}

/// Everything the module defines is compiled for the level. The micro-kernels say so themselves;
/// they are inlined only into functions with the same features. Whether they are is LLVM's choice:
/// forcing it made a program of 12 kernels twice as large and no kernel faster, and a core that
/// several kernels share gives them the same bits.
static void setTarget(Module &module, const TargetMachine &machine) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  module.setPICLevel(PICLevel::BigPIC);
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    if (!machine.getTargetFeatureString().empty())
      function.addFnAttr("target-features", machine.getTargetFeatureString());
    function.addFnAttr("prefer-vector-width", "512");
    function.addFnAttr(Attribute::NoUnwind);
  }
}

/// Adds the bodies of the micro-kernels that `module` calls and keeps only its own functions
/// visible.
static Status linkCores(Module &module, const microkernels::Level &level) {
  StringSet<> exported;
  for (Function &function : module)
    if (!function.isDeclaration())
      exported.insert(function.getName());
  MemoryBufferRef bitcode(
      StringRef(reinterpret_cast<const char *>(level.bitcode.data()), level.bitcode.size()),
      "micro-kernels");
  Expected<std::unique_ptr<Module>> cores = parseBitcodeFile(bitcode, module.getContext());
  if (!cores)
    return Status::internal("The micro-kernels of " + std::string(level.name) +
                            " are unreadable: " + toString(cores.takeError()));
  (*cores)->setDataLayout(module.getDataLayout());
  (*cores)->setTargetTriple(module.getTargetTriple());
  if (Linker::linkModules(module, std::move(*cores), Linker::Flags::LinkOnlyNeeded))
    return Status::internal("The micro-kernels of " + std::string(level.name) +
                            " don't fit the generated code.");
  internalizeModule(module,
                    [&](const GlobalValue &value) { return exported.contains(value.getName()); });
  return {};
}

/// No function of a C library exists: no loop may become a memset.
static TargetLibraryInfoImpl freestanding(const TargetMachine &machine) {
  TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  return library;
}

static void optimise(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  functions.registerPass([&] { return TargetLibraryAnalysis(freestanding(machine)); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3).run(module, modules);
}

static Result<std::string> generate(Module &module, TargetMachine &machine, CodeGenFileType type) {
  SmallVector<char, 0> bytes;
  raw_svector_ostream stream(bytes);
  legacy::PassManager passes;
  passes.add(new TargetLibraryInfoWrapperPass(freestanding(machine)));
  if (machine.addPassesToEmitFile(passes, stream, nullptr, type))
    return Status::internal("LLVM can't write object files for this target.");
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

Result<CompiledCode> cpu::compileModule(Module &module, const microkernels::Level &level,
                                        bool withText) {
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<TargetMachine> machine, createMachine(level));
  setTarget(module, *machine);
  LLAMA4_RETURN_IF_ERROR(linkCores(module, level));
  std::string broken;
  raw_string_ostream brokenStream(broken);
  if (verifyModule(module, &brokenStream))
    return Status::internal("The generated LLVM IR is broken: " + broken);
  optimise(module, *machine);
  CompiledCode code;
  if (withText) {
    raw_string_ostream(code.optimised) << module;
    std::unique_ptr<Module> copy = CloneModule(module);
    LLAMA4_ASSIGN_OR_RETURN(code.assembly,
                            generate(*copy, *machine, CodeGenFileType::AssemblyFile));
  }
  LLAMA4_ASSIGN_OR_RETURN(code.object, generate(module, *machine, CodeGenFileType::ObjectFile));
  return code;
}
