//===- CpuDevice.cpp - the host processor as a device ---------------------===//

#include "runtime/device/cpu/CpuDevice.h"

#include "runtime/base/Checked.h"
#include "runtime/base/HugePages.h"
#include "runtime/base/ThreadPool.h"
#include "runtime/base/TileShares.h"
#include "runtime/device/cpu/CpuCode.h"
#include "runtime/device/cpu/CpuFeatures.h"
#include "runtime/device/cpu/OneDnn.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <sys/mman.h>

namespace llama4 {

namespace {

/// Fresh pages from the system, in huge pages where it has them.
class Pages : public DeviceBuffer {
public:
  static Result<std::unique_ptr<Pages>> create(uint64_t bytes) {
    auto pages = std::make_unique<Pages>();
    uint64_t alignment = bytes >= hugePageSize ? hugePageSize : 4096;
    if (bytes > (uint64_t{1} << 46))
      return tooMuch(bytes);
    // Room to begin at an aligned address.
    pages->mappedBytes_ = static_cast<size_t>((bytes + alignment - 1) / 4096 * 4096 + alignment);
    void *mapped = ::mmap(nullptr, pages->mappedBytes_, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
      return tooMuch(bytes);
    pages->mapped_ = mapped;
    uintptr_t start = (reinterpret_cast<uintptr_t>(mapped) + alignment - 1) & ~(alignment - 1);
    pages->data_ = reinterpret_cast<void *>(start);
    pages->bytes_ = bytes;
    if (alignment == hugePageSize)
      (void)::madvise(pages->data_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
    return pages;
  }
  ~Pages() override {
    if (mapped_)
      ::munmap(mapped_, mappedBytes_);
  }
  void *data() const override { return data_; }
  uint64_t bytes() const override { return bytes_; }
  bool back(uint64_t offset, uint64_t bytes) override {
#ifdef MADV_POPULATE_WRITE
    constexpr int populate = MADV_POPULATE_WRITE;
#else
    constexpr int populate = 23; // since Linux 5.14; older headers have no name for it
#endif
    if (!rangeInside(offset, bytes, bytes_))
      return false;
    const uint64_t begin = offset / 4096 * 4096;
    return ::madvise(static_cast<std::byte *>(data_) + begin,
                     static_cast<size_t>(offset + bytes - begin), populate) == 0;
  }

private:
  static Status tooMuch(uint64_t bytes) {
    return Status::error(StatusKind::OutOfMemory,
                         "cpu: cannot reserve " + std::to_string(bytes) +
                             " bytes; use smaller bounds or a machine with more memory.");
  }

  void *mapped_ = nullptr;
  size_t mappedBytes_ = 0;
  void *data_ = nullptr;
  uint64_t bytes_ = 0;
};

/// Host bytes, used where they are.
class HostView : public DeviceBuffer {
public:
  explicit HostView(std::span<const std::byte> bytes) : view_(bytes) {}
  // Kernels only read it: the signature check allows no writes to weights.
  void *data() const override { return const_cast<std::byte *>(view_.data()); }
  uint64_t bytes() const override { return view_.size(); }

private:
  std::span<const std::byte> view_;
};

class CpuDevice : public Device {
public:
  CpuDevice(std::unique_ptr<ThreadPool> pool, std::string level)
      : pool_(std::move(pool)), level_(std::move(level)), shares_(pool_->workers()),
        scratch_(pool_->workers()) {}

  std::string_view target() const override { return "cpu"; }
  std::string describe() const override {
    return "cpu, " + std::to_string(pool_->workers()) + " threads" +
           (level_.empty() ? "" : ", level " + level_);
  }

  Result<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) override {
    LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> pages, Pages::create(bytes));
    return pages;
  }
  Result<std::unique_ptr<DeviceBuffer>> import(std::span<const std::byte> bytes) override {
    return std::unique_ptr<DeviceBuffer>(std::make_unique<HostView>(bytes));
  }
  Status write(DeviceBuffer &buffer, uint64_t offset, std::span<const std::byte> from) override {
    if (!rangeInside(offset, from.size(), buffer.bytes()))
      return outside("write", offset, from.size(), buffer);
    if (!from.empty())
      std::memcpy(static_cast<std::byte *>(buffer.data()) + offset, from.data(), from.size());
    return {};
  }
  Status read(const DeviceBuffer &buffer, uint64_t offset, std::span<std::byte> to) override {
    if (!rangeInside(offset, to.size(), buffer.bytes()))
      return outside("read", offset, to.size(), buffer);
    if (!to.empty())
      std::memcpy(to.data(), static_cast<const std::byte *>(buffer.data()) + offset, to.size());
    return {};
  }
  Result<std::unique_ptr<CodeModule>> loadCode(std::span<const CodeView> objects) override {
    LLAMA4_ASSIGN_OR_RETURN(size_t index, selectCode(objects, level_, cpuHas));
    return loadSharedObject(objects[index]);
  }

  Result<std::unique_ptr<LibraryKernel>> loadLibraryKernel(const LibraryLinear &linear) override {
    return createOneDnnKernel(linear, pool_->workers());
  }

  Status reserveScratch(uint64_t bytes) override {
    if (bytes <= scratchBytes_)
      return {};
    for (std::unique_ptr<Pages> &scratch : scratch_) {
      LLAMA4_ASSIGN_OR_RETURN(scratch, Pages::create(bytes));
    }
    scratchBytes_ = bytes;
    return {};
  }

  Status submit(std::span<const Dispatch> list, std::span<uint64_t> nanoseconds) override {
    if (list.empty())
      return {};
    for (unsigned worker = 0; worker < pool_->workers(); ++worker)
      shares_.set(0, worker, list[0].args.tiles);
    if (nanoseconds.empty())
      pool_->run([&](unsigned worker) { runList(list, worker); });
    else
      pool_->run([&](unsigned worker) { runTimed(list, nanoseconds, worker); });
    if (libraryFailed_.exchange(false))
      return Status::internal("cpu: a call of a library failed, expected it to compute what it was "
                              "prepared for; compile the model without --library.");
    return {};
  }
  Status wait() override { return {}; }

private:
  static Status outside(const char *what, uint64_t offset, uint64_t bytes,
                        const DeviceBuffer &buffer) {
    return Status::internal(std::string("cpu: ") + what + ": found " + std::to_string(bytes) +
                            " bytes at " + std::to_string(offset) + ", expected a range inside " +
                            std::to_string(buffer.bytes()) + " bytes.");
  }

  /// What of dispatch `index` of the list this worker gets to do.
  void runShare(std::span<const Dispatch> list, size_t index, unsigned worker) {
    const Dispatch &dispatch = list[index];
    shares_.run(index, worker, dispatch.args.tiles, [&](uint32_t begin, uint32_t end) {
      if (dispatch.library) {
        if (!dispatch.library->run(dispatch.args, begin, end, worker))
          libraryFailed_ = true;
        return;
      }
      auto kernel = reinterpret_cast<l4_kernel>(dispatch.kernel);
      kernel(&dispatch.args, begin, end, scratch_[worker] ? scratch_[worker]->data() : nullptr);
    });
  }

  void runList(std::span<const Dispatch> list, unsigned worker) {
    for (size_t i = 0; i < list.size(); ++i) {
      // A single tile belongs to worker 0: between two of those nobody has to meet.
      if (i != 0 && (list[i - 1].args.tiles > 1 || list[i].args.tiles > 1)) {
        shares_.set(i, worker, list[i].args.tiles);
        pool_->barrier();
      }
      runShare(list, i, worker);
    }
  }

  void runTimed(std::span<const Dispatch> list, std::span<uint64_t> nanoseconds, unsigned worker) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point before = Clock::now();
    for (size_t i = 0; i < list.size(); ++i) {
      runShare(list, i, worker);
      if (i + 1 < list.size())
        shares_.set(i + 1, worker, list[i + 1].args.tiles);
      pool_->barrier();
      if (worker != 0)
        continue;
      Clock::time_point now = Clock::now();
      nanoseconds[i] = static_cast<uint64_t>((now - before).count());
      before = now;
    }
  }

  std::unique_ptr<ThreadPool> pool_;
  std::string level_;
  TileShares shares_;
  std::vector<std::unique_ptr<Pages>> scratch_; ///< one per worker, null before reserved
  uint64_t scratchBytes_ = 0;
  std::atomic<bool> libraryFailed_ = false; ///< a call of the list that runs
};

} // namespace

Result<std::unique_ptr<Device>> createCpuDevice(const CpuOptions &options) {
  if (!options.level.empty()) {
    std::string known;
    bool found = false;
    for (const CpuLevel &level : cpuLevels()) {
      known += (known.empty() ? "" : ", ") + std::string(level.name);
      found = found || level.name == options.level;
    }
    if (!found)
      return Status::error(StatusKind::Usage, "--cpu-level: found \"" + options.level +
                                                  "\", expected one of " + known + ".");
    if (!levelRuns(options.level, cpuHas))
      return Status::error(StatusKind::Unavailable,
                           "--cpu-level: found \"" + options.level +
                               "\", expected a level this processor has; leave the option out.");
  }
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<ThreadPool> pool,
                          ThreadPool::create(options.threads, options.pinning));
  return std::unique_ptr<Device>(std::make_unique<CpuDevice>(std::move(pool), options.level));
}

} // namespace llama4
