//===- Probe.cpp - the limits of a machine, measured ----------------------===//

#include "runtime/engine/Probe.h"

#include "runtime/base/HugePages.h"
#include "runtime/engine/SystemMemory.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace llama4 {

namespace {

using Clock = std::chrono::steady_clock;

/// Divides evenly among 1 to 10, 12, 14, 15, 16 threads, and nearly so among any number.
constexpr uint32_t tiles = 5040;
constexpr uint64_t page = 4096;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Twice the largest cache and no less than half a GiB, as far as there is memory.
uint64_t probeBytes() {
  long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  uint64_t wanted =
      std::max(uint64_t{512} << 20, 2 * static_cast<uint64_t>(std::max<long>(cache, 0)));
  return std::min(wanted, availableMemory() / 8);
}

/// Seconds that processors were busy since the machine started, all together; negative where the
/// system does not say.
double machineSeconds() {
  std::FILE *file = std::fopen("/proc/stat", "re");
  if (!file)
    return -1;
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0;
  int fields = std::fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                           &idle, &wait, &irq, &soft);
  std::fclose(file);
  return fields == 7 ? static_cast<double>(user + nice + system + irq + soft) /
                           static_cast<double>(::sysconf(_SC_CLK_TCK))
                     : -1;
}

double ownSeconds() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double steadySeconds() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

} // namespace

Limits between(const Limits &before, const Limits &after) {
  Limits mean;
  mean.readBytes = (before.readBytes + after.readBytes) / 2;
  for (size_t i = 0; i < macKinds; ++i)
    mean.macs[i] = (before.macs[i] + after.macs[i]) / 2;
  return mean;
}

Result<std::unique_ptr<Probe>> Probe::create(Device &device, std::string_view level,
                                             const std::array<bool, macKinds> &kinds) {
  if (device.target() != "cpu")
    return Status::error(StatusKind::Unavailable, "probe: found the device " +
                                                      std::string(device.target()) +
                                                      ", expected cpu; measure there.");
  std::unique_ptr<Probe> probe(new Probe(device));
  probe->tileBytes_ = probeBytes() / tiles / page * page;
  probe->bytes_ = probe->tileBytes_ * tiles;
  if (probe->bytes_ == 0)
    return Status::error(StatusKind::OutOfMemory,
                         "probe: found no memory to read from, expected some; free some.");
  probe->wanted_ = kinds;
  probe->macs_ = {int8Probe(level), bfloat16Probe(level), float32Probe(level)};
  probe->read_ = memoryProbe(level);
  LLAMA4_ASSIGN_OR_RETURN(probe->memory_, device.allocate(probe->bytes_));
  LLAMA4_ASSIGN_OR_RETURN(probe->sinks_, device.allocate(uint64_t{tiles} * 64));
  LLAMA4_RETURN_IF_ERROR(
      probe
          ->run(probe->read_.write, probe->memory_->data(), static_cast<int64_t>(probe->tileBytes_))
          .status());
  probe->hugeBytes_ = pageUse({static_cast<const std::byte *>(probe->memory_->data()),
                               static_cast<size_t>(probe->bytes_)})
                          .inHugePages;
  return probe;
}

/// Seconds of one dispatch.
Result<double> Probe::run(l4_kernel kernel, void *memory, int64_t constant) {
  void *const bindings[] = {memory};
  Dispatch dispatch;
  dispatch.kernel = reinterpret_cast<void *>(kernel);
  dispatch.args = {bindings, nullptr, &constant, tiles};
  Clock::time_point start = Clock::now();
  LLAMA4_RETURN_IF_ERROR(device_.submit({&dispatch, 1}, {}));
  LLAMA4_RETURN_IF_ERROR(device_.wait());
  return std::max(secondsSince(start), 1e-9);
}

Result<Limits> Probe::measure() {
  Limits limits;
  std::array<double, 3> seconds = {};
  for (double &pass : seconds) {
    LLAMA4_ASSIGN_OR_RETURN(pass,
                            run(read_.read, memory_->data(), static_cast<int64_t>(tileBytes_)));
  }
  std::sort(seconds.begin(), seconds.end());
  limits.readBytes = static_cast<double>(bytes_) / seconds[1];
  for (size_t i = 0; i < macKinds; ++i) {
    if (!wanted_[i])
      continue;
    // So many steps that a pass takes some milliseconds.
    int64_t steps = 8;
    LLAMA4_ASSIGN_OR_RETURN(double once, run(macs_[i].run, sinks_->data(), steps));
    steps = std::clamp<int64_t>(static_cast<int64_t>(4e-3 / once * 8), 8, 1 << 16);
    for (int pass = 0; pass < 6; ++pass) {
      LLAMA4_ASSIGN_OR_RETURN(double time, run(macs_[i].run, sinks_->data(), steps));
      double macs = static_cast<double>(macs_[i].macs) * static_cast<double>(steps) * tiles;
      limits.macs[i] = std::max(limits.macs[i], macs / time);
    }
  }
  return limits;
}

ProcessorClock::ProcessorClock()
    : machine_(machineSeconds()), own_(ownSeconds()), seconds_(steadySeconds()) {}

ProcessorUse ProcessorClock::use() const {
  double machine = machineSeconds() - machine_, own = ownSeconds() - own_;
  double passed = std::max(steadySeconds() - seconds_, 1e-9);
  return {own / passed, machine_ < 0 ? -1 : std::max(0.0, (machine - own) / passed)};
}

} // namespace llama4
