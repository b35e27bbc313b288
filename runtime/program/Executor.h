//===- Executor.h - runs the commands of a program on a device ---*- C++ -*-===//
//
// An Executable is a program bound to a device: code loaded, weights visible, one arena, and every
// command resolved to a function and its pointers. execute() fills in what differs from call to
// call (inputs, outputs, KV pools, grids) and submits the whole list at once; it allocates nothing
// and decides nothing. Loops, batches and KV pages belong to the engine above.
//
// One thread at a time uses an Executable; several Executables may share a Program.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_PROGRAM_EXECUTOR_H
#define LLAMA4_RUNTIME_PROGRAM_EXECUTOR_H

#include "runtime/device/Device.h"
#include "runtime/program/Program.h"

#include <memory>
#include <span>
#include <vector>

namespace llama4 {

/// Limits chosen at load. They may lower what was compiled, never raise it.
struct ExecutableBounds {
  /// Per entry the largest symbol that will be executed; empty, or 0 in a place: as compiled.
  std::vector<uint32_t> symbol;
};

class Executable {
public:
  /// Resolves everything. `device` must outlive the result. Errors: Unavailable (no code for this
  /// machine), OutOfMemory, InvalidInput (a kernel the code does not have), Usage (a bound above
  /// the compiled one).
  static Result<std::unique_ptr<Executable>> create(std::shared_ptr<const Program> program,
                                                    Device &device,
                                                    const ExecutableBounds &bounds = {});
  /// Loads the code and resolves every kernel, and nothing else: the level of the code that runs
  /// here. Errors: Unavailable, InvalidInput.
  static Result<std::string> loadableLevel(std::shared_ptr<const Program> program, Device &device);
  ~Executable();

  /// Runs entry `entry` to its end.
  ///   step     copied; its arrays must be readable by the device
  ///   inputs   one pointer per input of the entry (null allowed for role Batch)
  ///   outputs  one pointer per output
  ///   kvPools  one pointer per pool, see Program::kvPool(); may be empty when the entry binds none
  ///   nanoseconds  empty, or one number per command of the entry, filled with its duration
  ///   weightBytes  the same, filled with the bytes of weights that the command read: of a grouped
  ///                linear those of the experts that its tiles name, where these are a transient
  /// Rows lie as in Rows.h; all pointers are multiples of 64. Errors: Internal, naming the
  /// argument; nothing was run then.
  Status execute(uint32_t entry, const l4_step &step, std::span<void *const> inputs,
                 std::span<void *const> outputs, std::span<void *const> kvPools,
                 std::span<uint64_t> nanoseconds = {}, std::span<uint64_t> weightBytes = {});

  const Program &program() const;
  /// The level of the code that was loaded, "x86-64-v3".
  std::string_view codeLevel() const;
  /// Bytes of transients, reserved once and shared by all entries.
  uint64_t arenaBytes() const;
  /// Largest symbol of an entry after the bounds given at load.
  uint32_t bound(uint32_t entry) const;

private:
  struct State;
  explicit Executable(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_PROGRAM_EXECUTOR_H
