//===- Interpreter.h - executes lm modules ----------------------*- C++ -*-===//
//
// Slow and obvious: every op is computed from its description, in float32 (sums of products in
// double, rounded once), one token after the other. It knows named ops and their fused forms (row
// and epilogue regions), so that the module before a pass and after it can be compared; layouts and
// kernels are ignored. Its definitions are independent of those that lowering uses.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REFERENCE_INTERPRETER_H
#define LLAMA4_COMPILER_REFERENCE_INTERPRETER_H

#include "compiler/reference/KvStore.h"
#include "compiler/reference/ParamSource.h"
#include "compiler/reference/TensorFile.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <map>
#include <memory>

namespace llama4::reference {

/// A tensor's name in a trace: the module path of its op's location and the op's mnemonic
/// ("model.layers.0.self_attn.q_proj", "linear"), and which result it is.
struct TraceName {
  std::string path, op;
  unsigned result = 0;
};
using Observer = std::function<void(const TraceName &name, const HostTensor &value)>;

/// The name as one text, "path/op", with the index of a result behind the first.
std::string traceText(const TraceName &name);

class Interpreter {
public:
  /// Refers to both arguments. The module must verify.
  Interpreter(mlir::ModuleOp module, ParamSource &params) : module_(module), params_(params) {}

  /// Called with every tensor that an op computes, in order.
  void setObserver(Observer observer) { observer_ = std::move(observer); }
  /// Forgets all keys and values.
  void reset() { kv_.clear(); }

  /// Runs the function `name` on inputs called by `lm.name`, or arg0, arg1, ... where it has none;
  /// float inputs are rounded to the argument's format.
  /// Arguments with `lm.rope` or `lm.temperature` that are not given are filled from their table
  /// and the batch's positions. Keys and values of earlier calls are
  /// seen. Returns the results in order. Errors: InvalidInput for missing or misshapen inputs and
  /// for ops it doesn't know, each with its place.
  Result<std::vector<HostTensor>> runEntry(const std::string &name, const NamedTensors &inputs,
                                           const Batch &batch = {});

  mlir::ModuleOp module() const { return module_; }

private:
  friend class Frame;
  /// A parameter's values, read once.
  Result<std::shared_ptr<const HostTensor>> parameter(llvm::StringRef name);

  mlir::ModuleOp module_;
  ParamSource &params_;
  Observer observer_;
  KvStore kv_;
  std::map<std::string, std::shared_ptr<const HostTensor>> parameters_;
};

/// What the tokens of runTokens see of images (Images.h makes it).
struct StepImages {
  HostTensor features; ///< f32[.., H]: its rows take the places of the image tokens, in order
  NamedTensors pools;  ///< inputs of `step` with a row per image: image_tiles, cross_key_0, ...
  std::vector<int32_t> first, count; ///< of each token: the images of the pools that it sees
};

/// Runs entry `step` and, on its rows, entry `logits`, in slices that their bounds allow. Returns
/// logits f32[T, V] of every token.
Result<HostTensor> runTokens(Interpreter &interpreter, const std::vector<int32_t> &ids,
                             const Batch &batch, const StepImages &images = {});

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_INTERPRETER_H
