//===- Executor.cpp - runs the commands of a program on a device ----------===//
//
// What is known at load is resolved at load: kernels, weights, transients, constants. A call
// patches the few pointers that come from outside and counts tiles; the device does the rest.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/Executor.h"

#include "runtime/format/CheckProgram.h"
#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4 {

namespace {

/// A pointer that differs from call to call.
struct Patch {
  size_t slot;    ///< into EntryState::pointers
  uint32_t index; ///< of the argument: input, output or pool
  uint64_t offset;
};

/// A command whose tiles name the experts it reads.
struct GroupedCommand {
  size_t command;
  const Kernel *kernel;
  uint64_t tiles; ///< where they lie in the arena
};

/// One entry, resolved.
struct EntryState {
  uint32_t bound = 0;
  std::vector<Dispatch> dispatches;
  std::vector<GridExpr> grids;  ///< one per dispatch
  std::vector<void *> pointers; ///< the bindings of all dispatches
  std::vector<Patch> inputs, outputs, pools;
  std::vector<uint32_t> kvKinds; ///< those the entry reads or writes
  std::vector<GroupedCommand> grouped;
};

Status argumentError(const Entry &entry, const std::string &what, const std::string &found,
                     const std::string &expected) {
  return Status::internal("entry " + quoteName(entry.name) + ": " + what + ": found " + found +
                          ", expected " + expected + ".");
}

/// Writes argument pointers into the bindings. Errors: one that is null or not aligned.
Status applyPatches(const Entry &entry, const char *what, const std::vector<Patch> &patches,
                    std::span<void *const> arguments, std::vector<void *> &pointers) {
  for (const Patch &patch : patches) {
    void *argument = arguments[patch.index];
    if (!argument || reinterpret_cast<uintptr_t>(argument) % L4_ROW_ALIGN != 0)
      return argumentError(entry, what + (" " + std::to_string(patch.index)),
                           "a pointer that is null or not aligned", "a multiple of 64");
    pointers[patch.slot] = static_cast<std::byte *>(argument) + patch.offset;
  }
  return {};
}

} // namespace

struct Executable::State {
  std::shared_ptr<const Program> program;
  Device *device = nullptr;
  std::unique_ptr<CodeModule> code;
  std::unique_ptr<DeviceBuffer> weights, arena, step;
  std::vector<void *> kernels;                           ///< one per kernel of the program
  std::vector<std::unique_ptr<LibraryKernel>> libraries; ///< likewise; null where code computes it
  std::vector<EntryState> entries;

  Status loadCode();
  Status loadLibraries();
  Status reserve();
  void resolve(const Entry &entry, EntryState &state);
  void bind(const Binding &binding, size_t slot, EntryState &state);
  void noteGrouped(const Entry &entry, EntryState &state);
  Result<uint64_t> touchedExperts(const GroupedCommand &command, uint64_t symbol);
  Status measure(const Entry &entry, const EntryState &state, uint64_t symbol,
                 std::span<uint64_t> nanoseconds, std::span<uint64_t> weightBytes);
  Status checkCall(const Entry &entry, const EntryState &state, const l4_step &step) const;
};

Status Executable::State::loadCode() {
  const ProgramDesc &desc = program->desc();
  std::vector<CodeView> views;
  for (size_t i = 0; i < desc.codeObjects.size(); ++i) {
    const CodeObject &object = desc.codeObjects[i];
    views.push_back({object.target, object.level, object.features, program->code(i)});
  }
  LLAMA4_ASSIGN_OR_RETURN(code, device->loadCode(views));
  for (const Kernel &kernel : desc.kernels) {
    void *address = nullptr; // of one that a library computes
    if (kernel.library.empty()) {
      LLAMA4_ASSIGN_OR_RETURN(address, code->resolve(kernel.symbol));
    }
    kernels.push_back(address);
  }
  return {};
}

Status Executable::State::loadLibraries() {
  libraries.resize(program->desc().kernels.size());
  for (size_t k = 0; k < libraries.size(); ++k) {
    const Kernel &kernel = program->desc().kernels[k];
    if (kernel.library.empty())
      continue;
    LLAMA4_ASSIGN_OR_RETURN(LibraryLinear linear, readLibraryLinear(kernel.symbol, kernel));
    LLAMA4_ASSIGN_OR_RETURN(libraries[k], device->loadLibraryKernel(linear));
  }
  return {};
}

Status Executable::State::reserve() {
  uint64_t arenaBytes = 0, scratchBytes = 0;
  for (const Entry &entry : program->desc().entries)
    arenaBytes = std::max(arenaBytes, entry.arenaBytes());
  for (const Kernel &kernel : program->desc().kernels)
    scratchBytes = std::max(scratchBytes, kernel.scratchBytes);
  LLAMA4_RETURN_IF_ERROR(device->reserveScratch(scratchBytes));
  LLAMA4_ASSIGN_OR_RETURN(std::span<const std::byte> bytes, program->weights());
  LLAMA4_ASSIGN_OR_RETURN(weights, device->import(bytes));
  LLAMA4_ASSIGN_OR_RETURN(arena, device->allocate(arenaBytes));
  LLAMA4_ASSIGN_OR_RETURN(step, device->allocate(sizeof(l4_step)));
  return {};
}

/// Fills one slot, or notes that a call will.
void Executable::State::bind(const Binding &binding, size_t slot, EntryState &state) {
  auto *weightBase = static_cast<std::byte *>(weights->data());
  auto *arenaBase = static_cast<std::byte *>(arena->data());
  switch (binding.kind) {
  case BindingKind::Weight:
    state.pointers[slot] =
        weightBase + program->desc().weights[binding.index].offset + binding.offset;
    return;
  case BindingKind::Transient:
    state.pointers[slot] = arenaBase + binding.offset;
    return;
  case BindingKind::Input:
    state.inputs.push_back({slot, binding.index, binding.offset});
    return;
  case BindingKind::Output:
    state.outputs.push_back({slot, binding.index, binding.offset});
    return;
  case BindingKind::Kv:
    state.pools.push_back(
        {slot, program->kvPool(binding.index, static_cast<uint32_t>(binding.offset)), 0});
    if (std::find(state.kvKinds.begin(), state.kvKinds.end(), binding.index) == state.kvKinds.end())
      state.kvKinds.push_back(binding.index);
    return;
  }
}

void Executable::State::resolve(const Entry &entry, EntryState &state) {
  size_t slots = 0;
  for (const Command &command : entry.commands)
    slots += command.bindings.size();
  state.pointers.resize(slots); // fixed from here on: dispatches point into it
  size_t slot = 0;
  for (const Command &command : entry.commands) {
    Dispatch dispatch;
    dispatch.kernel = kernels[command.kernel];
    dispatch.library = libraries[command.kernel].get();
    dispatch.args.bindings = state.pointers.data() + slot;
    dispatch.args.step = static_cast<const l4_step *>(step->data());
    dispatch.args.constants = command.constants.empty() ? nullptr : command.constants.data();
    for (const Binding &binding : command.bindings)
      bind(binding, slot++, state);
    state.dispatches.push_back(dispatch);
    state.grids.push_back(command.grid);
  }
  noteGrouped(entry, state);
}

void Executable::State::noteGrouped(const Entry &entry, EntryState &state) {
  for (size_t i = 0; i < entry.commands.size(); ++i) {
    const Kernel &kernel = program->desc().kernels[entry.commands[i].kernel];
    if (kernel.experts == 0)
      continue;
    const Binding &binding = entry.commands[i].bindings[kernel.tilesParam];
    if (binding.kind == BindingKind::Transient)
      state.grouped.push_back({i, &kernel, binding.offset});
  }
}

/// Different experts that the tiles of a command name; equal ones lie side by side.
Result<uint64_t> Executable::State::touchedExperts(const GroupedCommand &command, uint64_t symbol) {
  const KernelParam &param = command.kernel->params[command.kernel->tilesParam];
  uint64_t touched = 0, tiles = 1;
  int32_t before = -1;
  for (uint64_t row = 0; row < tiles; ++row) {
    l4_group_tile tile;
    LLAMA4_RETURN_IF_ERROR(device->read(*arena, command.tiles + row * param.rowBytes,
                                        std::as_writable_bytes(std::span(&tile, 1))));
    if (row == 0)
      tiles = std::min(param.rows(symbol), static_cast<uint64_t>(std::max(tile.count, 0)));
    touched += row < tiles && (row == 0 || tile.expert != before);
    before = tile.expert;
  }
  return touched;
}

/// Runs the dispatches with a stop behind each grouped one: what comes later may reuse the memory
/// of its tiles.
Status Executable::State::measure(const Entry &entry, const EntryState &state, uint64_t symbol,
                                  std::span<uint64_t> nanoseconds,
                                  std::span<uint64_t> weightBytes) {
  const std::span<const Dispatch> list = state.dispatches;
  auto run = [&](size_t begin, size_t end) -> Status {
    if (begin == end)
      return {};
    LLAMA4_RETURN_IF_ERROR(device->submit(
        list.subspan(begin, end - begin),
        nanoseconds.empty() ? nanoseconds : nanoseconds.subspan(begin, end - begin)));
    return device->wait();
  };
  for (size_t i = 0; i < list.size(); ++i)
    weightBytes[i] = program->desc().kernels[entry.commands[i].kernel].weightBytes;
  size_t done = 0;
  for (const GroupedCommand &grouped : state.grouped) {
    LLAMA4_RETURN_IF_ERROR(run(done, grouped.command + 1));
    done = grouped.command + 1;
    LLAMA4_ASSIGN_OR_RETURN(uint64_t touched, touchedExperts(grouped, symbol));
    weightBytes[grouped.command] = grouped.kernel->weightBytesOf(touched);
  }
  return run(done, list.size());
}

Status Executable::State::checkCall(const Entry &entry, const EntryState &state,
                                    const l4_step &step) const {
  if (step.symbol < 1 || step.symbol > state.bound)
    return argumentError(entry, entry.symbol, std::to_string(step.symbol),
                         "1 to " + std::to_string(state.bound));
  if (entry.specialization == Specialization::Decode && step.sequences != step.symbol)
    return argumentError(entry, "sequences", std::to_string(step.sequences),
                         std::to_string(step.symbol) + ", one token each");
  for (uint32_t kind : state.kvKinds)
    if (!step.page_table[kind] || step.page_stride[kind] == 0)
      return argumentError(entry, "page_table[" + std::to_string(kind) + "]", "none",
                           "the pages of " + quoteName(program->desc().kvKinds[kind].name));
  return {};
}

Result<std::string> Executable::loadableLevel(std::shared_ptr<const Program> program,
                                              Device &device) {
  State state;
  state.program = std::move(program);
  state.device = &device;
  LLAMA4_RETURN_IF_ERROR(state.loadCode().in(state.program->name()));
  return std::string(state.code->level());
}

Executable::Executable(std::unique_ptr<State> state) : state_(std::move(state)) {}
Executable::~Executable() = default;

Result<std::unique_ptr<Executable>> Executable::create(std::shared_ptr<const Program> program,
                                                       Device &device,
                                                       const ExecutableBounds &bounds) {
  const std::vector<Entry> &entries = program->desc().entries;
  if (!bounds.symbol.empty() && bounds.symbol.size() != entries.size())
    return Status::internal("bounds: found " + std::to_string(bounds.symbol.size()) +
                            ", expected one for each of " + std::to_string(entries.size()) +
                            " entries.");
  auto state = std::make_unique<State>();
  state->program = std::move(program);
  state->device = &device;
  const std::string &name = state->program->name();
  if (Status status = state->loadCode(); !status.ok())
    return status.in(name);
  if (Status status = state->loadLibraries(); !status.ok())
    return status.in(name);
  if (Status status = state->reserve(); !status.ok())
    return status.in(name);
  state->entries.resize(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    uint32_t asked = bounds.symbol.empty() ? 0 : bounds.symbol[i];
    if (asked > entries[i].bound)
      return Status::error(StatusKind::Usage,
                           name + ": entry " + quoteName(entries[i].name) + ": found the bound " +
                               std::to_string(asked) + ", expected at most " +
                               std::to_string(entries[i].bound) +
                               " as compiled; lower it or compile with a larger one.");
    state->entries[i].bound = asked != 0 ? asked : entries[i].bound;
    state->resolve(entries[i], state->entries[i]);
  }
  return std::unique_ptr<Executable>(new Executable(std::move(state)));
}

Status Executable::execute(uint32_t entryIndex, const l4_step &step, std::span<void *const> inputs,
                           std::span<void *const> outputs, std::span<void *const> kvPools,
                           std::span<uint64_t> nanoseconds, std::span<uint64_t> weightBytes) {
  if (entryIndex >= state_->entries.size())
    return Status::internal("entry: found " + std::to_string(entryIndex) + ", expected less than " +
                            std::to_string(state_->entries.size()) + ".");
  const Entry &entry = state_->program->desc().entries[entryIndex];
  EntryState &resolved = state_->entries[entryIndex];
  auto count = [&](const char *what, size_t found, size_t expected) {
    return found == expected
               ? Status()
               : argumentError(entry, what, std::to_string(found), std::to_string(expected));
  };
  LLAMA4_RETURN_IF_ERROR(count("inputs", inputs.size(), entry.inputs.size()));
  LLAMA4_RETURN_IF_ERROR(count("outputs", outputs.size(), entry.outputs.size()));
  if (!kvPools.empty() || !resolved.pools.empty())
    LLAMA4_RETURN_IF_ERROR(count("kv pools", kvPools.size(), state_->program->kvPools()));
  if (!nanoseconds.empty())
    LLAMA4_RETURN_IF_ERROR(count("nanoseconds", nanoseconds.size(), entry.commands.size()));
  if (!weightBytes.empty())
    LLAMA4_RETURN_IF_ERROR(count("weight bytes", weightBytes.size(), entry.commands.size()));
  LLAMA4_RETURN_IF_ERROR(state_->checkCall(entry, resolved, step));
  LLAMA4_RETURN_IF_ERROR(applyPatches(entry, "input", resolved.inputs, inputs, resolved.pointers));
  LLAMA4_RETURN_IF_ERROR(
      applyPatches(entry, "output", resolved.outputs, outputs, resolved.pointers));
  LLAMA4_RETURN_IF_ERROR(
      applyPatches(entry, "kv pool", resolved.pools, kvPools, resolved.pointers));
  WeightPages::Hold hold; // until the step has ended
  if (WeightPages *pages = state_->program->weightPages()) {
    LLAMA4_ASSIGN_OR_RETURN(hold, pages->hold());
  }
  LLAMA4_RETURN_IF_ERROR(
      state_->device->write(*state_->step, 0, std::as_bytes(std::span(&step, 1))));
  for (size_t i = 0; i < resolved.dispatches.size(); ++i)
    resolved.dispatches[i].args.tiles = static_cast<uint32_t>(resolved.grids[i].tiles(step.symbol));
  if (!weightBytes.empty())
    return state_->measure(entry, resolved, step.symbol, nanoseconds, weightBytes);
  LLAMA4_RETURN_IF_ERROR(state_->device->submit(resolved.dispatches, nanoseconds));
  return state_->device->wait();
}

const Program &Executable::program() const { return *state_->program; }
std::string_view Executable::codeLevel() const { return state_->code->level(); }
uint64_t Executable::arenaBytes() const { return state_->arena->bytes(); }
uint32_t Executable::bound(uint32_t entry) const { return state_->entries[entry].bound; }

} // namespace llama4
