//===- SharedObject.cpp - one object file to a shared object --------------===//

#include "compiler/target/cpu/SharedObject.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace llvm;
using namespace llama4;

namespace {

/// A folder of our own, removed with all it holds.
class TemporaryFolder {
public:
  TemporaryFolder() { failed_ = bool(sys::fs::createUniqueDirectory("llama4-link", path_)); }
  ~TemporaryFolder() {
    if (!failed_)
      sys::fs::remove_directories(path_);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  bool failed() const { return failed_; }
  std::string file(StringRef name) const {
    SmallString<128> path(path_);
    sys::path::append(path, name);
    return std::string(path);
  }

private:
  SmallString<128> path_;
  bool failed_;
};

} // namespace

static Status runLinker(const std::string &input, const std::string &output) {
  static std::mutex mutex; // lld keeps its state in globals
  std::lock_guard<std::mutex> lock(mutex);
  const char *args[] = {"ld.lld",
                        "-shared",
                        "--no-undefined",
                        "--build-id=none",
                        "--strip-all",
                        "--gc-sections",
                        "--threads=1",
                        "-z",
                        "noexecstack",
                        "-z",
                        "max-page-size=4096",
                        input.c_str(),
                        "-o",
                        output.c_str()};
  std::string messages;
  raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(args, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return Status::internal("The kernels could not be linked: " +
                            StringRef(messages).rtrim().str());
  return {};
}

static Status writeObject(const std::string &path, const std::string &object) {
  Status failed = Status::error(StatusKind::Io, path + ": the object file could not be written.");
  std::error_code error;
  raw_fd_ostream stream(path, error);
  if (error)
    return failed;
  stream << object;
  stream.close();
  if (!stream.has_error())
    return {};
  stream.clear_error();
  return failed;
}

Result<std::vector<std::byte>> cpu::linkSharedObject(const std::string &object) {
  TemporaryFolder folder;
  if (folder.failed())
    return Status::error(StatusKind::Io,
                         "No temporary folder could be made for linking; set TMPDIR "
                         "to a folder with space.");
  const std::string input = folder.file("kernels.o"), output = folder.file("kernels.so");
  LLAMA4_RETURN_IF_ERROR(writeObject(input, object));
  LLAMA4_RETURN_IF_ERROR(runLinker(input, output));
  ErrorOr<std::unique_ptr<MemoryBuffer>> linked = MemoryBuffer::getFile(output);
  if (!linked)
    return Status::error(StatusKind::Io, output + ": the linker's output could not be read.");
  std::vector<std::byte> bytes((*linked)->getBufferSize());
  std::memcpy(bytes.data(), (*linked)->getBufferStart(), bytes.size());
  return bytes;
}
