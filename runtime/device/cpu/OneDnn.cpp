//===- OneDnn.cpp - linears computed by oneDNN ----------------------------===//
//
// Every call runs on the worker that got the tile, with OpenMP limited to that one thread: oneDNN
// then starts no team of its own, and what a call computes is the same whatever else runs. Memory
// that a call needs is reserved here, when the program is loaded.
//
//===----------------------------------------------------------------------===//

#include "runtime/device/cpu/OneDnn.h"

#include <algorithm>
#include <dlfcn.h>

namespace llama4 {

namespace {

// The parts of oneDNN's C interface that are used, with its numbers; they are the same in all
// versions 2.x. Handles are opaque there, descriptors are structs that only oneDNN looks into.
struct Version {
  int major, minor, patch;
  const char *hash;
  unsigned cpuRuntime, gpuRuntime;
};
struct Argument {
  int name;
  void *memory;
};
struct alignas(64) MemoryDescriptor {
  std::byte bytes[1024]; ///< 696 there
};
struct alignas(64) MatmulDescriptor {
  std::byte bytes[4096]; ///< 2800 there
};
constexpr int kSuccess = 0, kCpu = 1, kBf16 = 2, kF32 = 3, kUserScratchpad = 1;
constexpr int kPanelsF32 = 499, kPanelsBf16 = 377; ///< BA16a16b, BA16a16b2a
constexpr int kScratchpadDescriptor = 136, kWay = 8;
constexpr int kSource = 1, kDestination = 17, kWeights = 33, kScratchpad = 80;
constexpr unsigned kInOrder = 1, kOpenMp = 2;

/// The functions, found by name.
struct Functions {
  const Version *(*version)();
  int (*engineCreate)(void **, int, size_t);
  int (*streamCreate)(void **, void *, unsigned);
  int (*rowsDescriptor)(MemoryDescriptor *, int, const int64_t *, int, const int64_t *);
  int (*blockDescriptor)(MemoryDescriptor *, int, const int64_t *, int, int);
  size_t (*descriptorBytes)(const void *);
  int (*matmulDescriptor)(MatmulDescriptor *, const MemoryDescriptor *, const MemoryDescriptor *,
                          const MemoryDescriptor *, const MemoryDescriptor *);
  int (*attributesCreate)(void **);
  int (*setScratchpadMode)(void *, int);
  int (*choiceCreate)(void **, const MatmulDescriptor *, const void *, void *, const void *);
  const void *(*queryDescriptor)(const void *, int, int);
  int (*queryText)(const void *, int, int, const char **);
  int (*primitiveCreate)(void **, const void *);
  int (*execute)(const void *, void *, int, const Argument *);
  int (*memoryCreate)(void **, const void *, void *, void *);
  int (*setMemory)(void *, void *);
  int (*engineDestroy)(void *), (*streamDestroy)(void *), (*attributesDestroy)(void *);
  int (*choiceDestroy)(void *), (*primitiveDestroy)(void *), (*memoryDestroy)(void *);
  void (*setThreads)(int);
  int (*getThreads)();
};

Status unavailable(const std::string &found) {
  return Status::error(
      StatusKind::Unavailable,
      "onednn: found " + found +
          ", expected oneDNN 2 as the program was compiled for; install it (Debian "
          "package libdnnl2) or compile the model without --library.");
}

/// The library, loaded once and never unloaded: its threads may outlive its users.
Result<Functions> loadFunctions() {
  void *handle = ::dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return unavailable("no libdnnl.so.2 on this machine");
  Functions f = {};
  const char *missing = nullptr;
  auto find = [&](auto &function, const char *name) {
    void *address = ::dlsym(handle, name);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
    missing = address ? missing : name;
  };
  find(f.version, "dnnl_version");
  find(f.engineCreate, "dnnl_engine_create");
  find(f.engineDestroy, "dnnl_engine_destroy");
  find(f.streamCreate, "dnnl_stream_create");
  find(f.streamDestroy, "dnnl_stream_destroy");
  find(f.rowsDescriptor, "dnnl_memory_desc_init_by_strides");
  find(f.blockDescriptor, "dnnl_memory_desc_init_by_tag");
  find(f.descriptorBytes, "dnnl_memory_desc_get_size");
  find(f.matmulDescriptor, "dnnl_matmul_desc_init");
  find(f.attributesCreate, "dnnl_primitive_attr_create");
  find(f.attributesDestroy, "dnnl_primitive_attr_destroy");
  find(f.setScratchpadMode, "dnnl_primitive_attr_set_scratchpad_mode");
  find(f.choiceCreate, "dnnl_primitive_desc_create");
  find(f.choiceDestroy, "dnnl_primitive_desc_destroy");
  find(f.queryDescriptor, "dnnl_primitive_desc_query_md");
  find(f.queryText, "dnnl_primitive_desc_query");
  find(f.primitiveCreate, "dnnl_primitive_create");
  find(f.primitiveDestroy, "dnnl_primitive_destroy");
  find(f.execute, "dnnl_primitive_execute");
  find(f.memoryCreate, "dnnl_memory_create");
  find(f.memoryDestroy, "dnnl_memory_destroy");
  find(f.setMemory, "dnnl_memory_set_data_handle");
  find(f.setThreads, "omp_set_num_threads"); // of the OpenMP library that it is linked to
  find(f.getThreads, "omp_get_max_threads");
  if (missing)
    return unavailable("a libdnnl.so.2 without " + std::string(missing));
  if (f.version()->major != 2 || f.version()->cpuRuntime != kOpenMp)
    return unavailable("a libdnnl.so.2 of another major version or without OpenMP");
  return f;
}

/// OpenMP regions of this thread have one thread while this lives.
class OneThread {
public:
  explicit OneThread(const Functions &f) : f_(f), before_(f.getThreads()) { f.setThreads(1); }
  ~OneThread() { f_.setThreads(before_); }
  OneThread(const OneThread &) = delete;
  OneThread &operator=(const OneThread &) = delete;

private:
  const Functions &f_;
  int before_;
};

/// What a worker calls one primitive with.
struct Operands {
  void *source = nullptr, *weights = nullptr, *destination = nullptr, *scratchpad = nullptr;
};

/// The product of some rows with a weight of `columns` rows.
struct Primitive {
  uint64_t rows = 0, columns = 0, rowBytes = 0; ///< of the result
  void *handle = nullptr;
  std::vector<Operands> operands; ///< one for each worker
};

struct Call {
  size_t segment, primitive;
  uint64_t firstRow; ///< of the unit
};

class OneDnnKernel : public LibraryKernel {
public:
  explicit OneDnnKernel(const LibraryLinear &linear) : linear_(linear) {}
  ~OneDnnKernel() override {
    for (auto it = owned_.rbegin(); it != owned_.rend(); ++it)
      it->first(it->second);
  }
  OneDnnKernel(const OneDnnKernel &) = delete;
  OneDnnKernel &operator=(const OneDnnKernel &) = delete;

  Status prepare(unsigned workers);
  bool run(const l4_dispatch &dispatch, uint32_t begin, uint32_t end,
           unsigned worker) const override;

private:
  Status addPrimitive(uint64_t rows, const LibraryLinear::Segment &segment);
  Status addOperands(Primitive &primitive, const void *scratchpad, const MemoryDescriptor *rows);
  bool call(const l4_dispatch &dispatch, uint32_t tile, unsigned worker) const;

  /// Makes something that is destroyed with this. Errors: Unavailable (oneDNN refuses).
  template <typename Create, typename... Arguments>
  Status make(void *&handle, int (*destroy)(void *), Create create, Arguments... arguments) {
    if (create(&handle, arguments...) != kSuccess)
      return refused();
    owned_.emplace_back(destroy, handle);
    return {};
  }
  Status refused() const {
    return unavailable("one that does not multiply " + std::string(elementTypeName(linear_.type)) +
                       " rows of " + std::to_string(linear_.columns) + " on this processor");
  }

  LibraryLinear linear_;
  Functions f_ = {};
  std::vector<std::pair<int (*)(void *), void *>> owned_; ///< destroyed last to first
  void *engine_ = nullptr;
  std::vector<void *> streams_; ///< one for each worker
  std::vector<std::vector<std::byte>> scratch_;
  std::vector<Primitive> primitives_;
  std::vector<Call> calls_; ///< of one unit
};

} // namespace

Status OneDnnKernel::prepare(unsigned workers) {
  static const Result<Functions> functions = loadFunctions();
  if (!functions.ok())
    return functions.status();
  f_ = *functions;
  const OneThread one(f_);
  LLAMA4_RETURN_IF_ERROR(make(engine_, f_.engineDestroy, f_.engineCreate, kCpu, size_t{0}));
  streams_.resize(workers);
  for (void *&stream : streams_)
    LLAMA4_RETURN_IF_ERROR(make(stream, f_.streamDestroy, f_.streamCreate, engine_, kInOrder));
  // As many rows in each call as can be.
  const uint64_t blocks = libraryCalls(linear_.rows), most = (linear_.rows + blocks - 1) / blocks;
  for (size_t s = 0; s < linear_.segments.size(); ++s) {
    const LibraryLinear::Segment &segment = linear_.segments[s];
    for (uint64_t first = 0; first < blocks * most; first += most) {
      const uint64_t rows = std::min(most, linear_.rows - first);
      auto same = [&](const Primitive &p) {
        return p.rows == rows && p.columns == segment.columns && p.rowBytes == segment.rowBytes;
      };
      auto found = std::find_if(primitives_.begin(), primitives_.end(), same);
      calls_.push_back({s, static_cast<size_t>(found - primitives_.begin()), first});
      if (found == primitives_.end())
        LLAMA4_RETURN_IF_ERROR(addPrimitive(rows, segment));
    }
  }
  return {};
}

Status OneDnnKernel::addPrimitive(uint64_t count, const LibraryLinear::Segment &segment) {
  const auto m = static_cast<int64_t>(count), k = static_cast<int64_t>(linear_.columns),
             n = static_cast<int64_t>(segment.columns);
  const bool pairs = linear_.type == ElementType::BF16;
  const int type = pairs ? kBf16 : kF32;
  // Dimensions and strides have room for the most that oneDNN reads.
  const int64_t source[12] = {m, k}, weights[12] = {k, n}, result[12] = {m, n};
  const int64_t sourceStrides[12] = {
      static_cast<int64_t>(linear_.rowBytes / elementBytes(linear_.type)), 1};
  const int64_t resultStrides[12] = {static_cast<int64_t>(segment.rowBytes / sizeof(float)), 1};
  MemoryDescriptor rows[3]; // source, weights, destination
  MatmulDescriptor matmul;
  if (f_.rowsDescriptor(&rows[0], 2, source, type, sourceStrides) != kSuccess ||
      f_.blockDescriptor(&rows[1], 2, weights, type, pairs ? kPanelsBf16 : kPanelsF32) !=
          kSuccess ||
      f_.rowsDescriptor(&rows[2], 2, result, kF32, resultStrides) != kSuccess ||
      f_.matmulDescriptor(&matmul, &rows[0], &rows[1], nullptr, &rows[2]) != kSuccess)
    return refused();
  void *attributes = nullptr, *choice = nullptr;
  LLAMA4_RETURN_IF_ERROR(make(attributes, f_.attributesDestroy, f_.attributesCreate));
  if (f_.setScratchpadMode(attributes, kUserScratchpad) != kSuccess)
    return refused();
  LLAMA4_RETURN_IF_ERROR(
      make(choice, f_.choiceDestroy, f_.choiceCreate, &matmul, attributes, engine_, nullptr));
  // The plain loops that it has for everything else are a hundred times slower than our cores.
  const char *way = nullptr;
  if (f_.queryText(choice, kWay, 0, &way) != kSuccess || !way ||
      std::string_view(way).starts_with("ref"))
    return refused();
  Primitive primitive;
  primitive.rows = count;
  primitive.columns = segment.columns;
  primitive.rowBytes = segment.rowBytes;
  LLAMA4_RETURN_IF_ERROR(make(primitive.handle, f_.primitiveDestroy, f_.primitiveCreate, choice));
  LLAMA4_RETURN_IF_ERROR(
      addOperands(primitive, f_.queryDescriptor(choice, kScratchpadDescriptor, 0), rows));
  primitives_.push_back(std::move(primitive));
  return {};
}

Status OneDnnKernel::addOperands(Primitive &primitive, const void *scratchpad,
                                 const MemoryDescriptor *rows) {
  constexpr uintptr_t kAlign = 64;
  const size_t bytes = f_.descriptorBytes(scratchpad);
  primitive.operands.resize(streams_.size());
  for (Operands &operands : primitive.operands) {
    std::vector<std::byte> &scratch = scratch_.emplace_back(bytes + kAlign);
    const auto start = (reinterpret_cast<uintptr_t>(scratch.data()) + kAlign - 1) & ~(kAlign - 1);
    const std::tuple<void **, const void *, void *> memories[] = {
        {&operands.source, &rows[0], nullptr},
        {&operands.weights, &rows[1], nullptr},
        {&operands.destination, &rows[2], nullptr},
        {&operands.scratchpad, scratchpad, reinterpret_cast<void *>(start)}};
    for (const auto &[memory, descriptor, data] : memories)
      LLAMA4_RETURN_IF_ERROR(
          make(*memory, f_.memoryDestroy, f_.memoryCreate, descriptor, engine_, data));
  }
  return {};
}

bool OneDnnKernel::call(const l4_dispatch &dispatch, uint32_t tile, unsigned worker) const {
  const uint64_t unit = tile / calls_.size();
  const Call &call = calls_[tile % calls_.size()];
  const Primitive &primitive = primitives_[call.primitive];
  const Operands &operands = primitive.operands[worker];
  auto at = [&](size_t binding, uint64_t offset) {
    return static_cast<void *>(static_cast<std::byte *>(dispatch.bindings[binding]) + offset);
  };
  const uint64_t firstRow = unit * linear_.rows + call.firstRow;
  const size_t result = 1 + linear_.segments.size() + call.segment;
  if (f_.setMemory(operands.source, at(0, firstRow * linear_.rowBytes)) != kSuccess ||
      f_.setMemory(operands.weights, at(1 + call.segment, 0)) != kSuccess ||
      f_.setMemory(operands.destination, at(result, firstRow * primitive.rowBytes)) != kSuccess)
    return false;
  const Argument arguments[] = {{kSource, operands.source},
                                {kWeights, operands.weights},
                                {kDestination, operands.destination},
                                {kScratchpad, operands.scratchpad}};
  return f_.execute(primitive.handle, streams_[worker], 4, arguments) == kSuccess;
}

bool OneDnnKernel::run(const l4_dispatch &dispatch, uint32_t begin, uint32_t end,
                       unsigned worker) const {
  const OneThread one(f_);
  for (uint32_t tile = begin; tile < end; ++tile)
    if (!call(dispatch, tile, worker))
      return false;
  return true;
}

Result<std::unique_ptr<LibraryKernel>> createOneDnnKernel(const LibraryLinear &linear,
                                                          unsigned workers) {
  auto kernel = std::make_unique<OneDnnKernel>(linear);
  LLAMA4_RETURN_IF_ERROR(kernel->prepare(workers));
  return std::unique_ptr<LibraryKernel>(std::move(kernel));
}

} // namespace llama4
