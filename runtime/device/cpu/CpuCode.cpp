//===- CpuCode.cpp - machine code loaded from memory ----------------------===//

#include "runtime/device/cpu/CpuCode.h"

#include "runtime/format/Quoted.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

namespace llama4 {

namespace {

/// An anonymous file in memory. The descriptor stays open as long as the code is loaded: the
/// system's loader knows libraries by their path, and "/proc/self/fd/N" must not come to name
/// another one while this one is in use.
class MemoryFile {
public:
  MemoryFile() {
#if defined(MFD_EXEC)
    constexpr unsigned executable = MFD_EXEC;
#else
    constexpr unsigned executable = 0x10;
#endif
    fd_ = ::memfd_create("llama4-code", MFD_CLOEXEC | executable);
    if (fd_ < 0 && errno == EINVAL) // a kernel that does not know the flag, and needs none
      fd_ = ::memfd_create("llama4-code", MFD_CLOEXEC);
  }
  ~MemoryFile() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;

  bool write(std::span<const std::byte> bytes) {
    while (fd_ >= 0 && !bytes.empty()) {
      ssize_t done = ::write(fd_, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR)
        continue;
      if (done <= 0)
        return false;
      bytes = bytes.subspan(static_cast<size_t>(done));
    }
    return fd_ >= 0;
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

private:
  int fd_ = -1;
};

class SharedObject : public CodeModule {
public:
  explicit SharedObject(std::string_view level) : level_(level) {}
  ~SharedObject() override {
    if (handle_)
      ::dlclose(handle_);
  }

  Status load(std::span<const std::byte> bytes) {
    if (!file_.write(bytes))
      return Status::error(StatusKind::Unavailable,
                           std::string("cpu code: cannot make a file in memory: ") +
                               std::strerror(errno) + ".");
    handle_ = ::dlopen(file_.path().c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_)
      return {};
    const char *why = ::dlerror();
    return Status::invalidInput("cpu code for " + quoteName(level_) +
                                ": found an object the system cannot load (" +
                                quoteName(why ? why : "unknown") +
                                "), expected an ELF shared object; compile the model again.");
  }

  std::string_view level() const override { return level_; }

  Result<void *> resolve(const std::string &symbol) const override {
    if (void *address = ::dlsym(handle_, symbol.c_str()))
      return address;
    return Status::invalidInput("cpu code for " + quoteName(level_) + ": found no kernel " +
                                quoteName(symbol) +
                                ", expected every kernel of the program; compile the model again.");
  }

private:
  std::string level_;
  MemoryFile file_; // closed after the library
  void *handle_ = nullptr;
};

} // namespace

Result<std::unique_ptr<CodeModule>> loadSharedObject(const CodeView &object) {
  auto module = std::make_unique<SharedObject>(object.level);
  LLAMA4_RETURN_IF_ERROR(module->load(object.bytes));
  return std::unique_ptr<CodeModule>(std::move(module));
}

} // namespace llama4
