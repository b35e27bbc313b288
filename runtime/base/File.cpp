//===- File.cpp - reading and writing whole files -------------------------===//

#include "runtime/base/File.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <libgen.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace llama4 {

static Status ioError(const std::string &path, const char *what) {
  StatusKind kind = errno == ENOENT ? StatusKind::NotFound : StatusKind::Io;
  return Status::error(kind, path + ": cannot " + what + ": " + std::strerror(errno) + ".");
}

/// Opens a regular file for reading and stores its size; refuses devices, FIFOs and folders.
static Result<int> openRegular(const std::string &path, uint64_t &size) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return ioError(path, "open");
  struct stat info = {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return Status::invalidInput(path +
                                ": found something that is not a regular file; give a file.");
  }
  size = static_cast<uint64_t>(info.st_size);
  return fd;
}

Result<MappedFile> MappedFile::open(const std::string &path, size_t alignment) {
  uint64_t size = 0;
  LLAMA4_ASSIGN_OR_RETURN(int fd, openRegular(path, size));
  MappedFile file;
  file.path_ = path;
  file.size_ = size;
  file.fd_ = fd;
  if (size == 0)
    return file;
  // Reserve enough address space to choose an aligned start inside it.
  file.mappingSize_ = size + alignment;
  void *reserved = ::mmap(nullptr, file.mappingSize_, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED)
    return ioError(path, "reserve address space for");
  file.mapping_ = reserved;
  uintptr_t start = (reinterpret_cast<uintptr_t>(reserved) + alignment - 1) & ~(alignment - 1);
  void *data =
      ::mmap(reinterpret_cast<void *>(start), size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED)
    return ioError(path, "map");
  file.data_ = static_cast<const std::byte *>(data);
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept { *this = std::move(other); }

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  if (this == &other)
    return *this;
  reset();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  mapping_ = std::exchange(other.mapping_, nullptr);
  mappingSize_ = std::exchange(other.mappingSize_, 0);
  fd_ = std::exchange(other.fd_, -1);
  path_ = std::move(other.path_);
  return *this;
}

MappedFile::~MappedFile() { reset(); }

void MappedFile::reset() {
  if (mapping_)
    ::munmap(mapping_, mappingSize_);
  if (fd_ >= 0)
    ::close(fd_);
  mapping_ = nullptr;
  fd_ = -1;
}

Status MappedFile::readAt(uint64_t offset, std::span<std::byte> to) const {
  struct stat info = {};
  if (::fstat(fd_, &info) != 0)
    return ioError(path_, "look at");
  if (static_cast<uint64_t>(info.st_size) != size_)
    return Status::invalidInput(path_ + ": found " + std::to_string(info.st_size) +
                                " bytes, expected " + std::to_string(size_) +
                                " as when it was opened; leave files alone that are in use.");
  while (!to.empty()) {
    const ssize_t got = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got == 0)
      errno = EIO; // it ended earlier than a moment ago
    if (got <= 0)
      return ioError(path_, "read");
    to = to.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

bool MappedFile::mapAgain(uint64_t offset, size_t bytes) const {
  auto *place = const_cast<std::byte *>(data_) + offset;
  return ::mmap(place, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd_, static_cast<off_t>(offset)) !=
         MAP_FAILED;
}

Result<std::string> readTextFile(const std::string &path, uint64_t limit) {
  uint64_t size = 0;
  LLAMA4_ASSIGN_OR_RETURN(int fd, openRegular(path, size));
  if (size > limit) {
    ::close(fd);
    return Status::invalidInput(path + ": found " + std::to_string(size) +
                                " bytes, expected at most " + std::to_string(limit) +
                                "; this is not such a file.");
  }
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    ssize_t got = ::read(fd, text.data() + done, text.size() - done);
    if (got <= 0) {
      ::close(fd);
      return ioError(path, "read");
    }
    done += static_cast<size_t>(got);
  }
  ::close(fd);
  return text;
}

/// Removes temporary files of processes that were killed: their number is no process's, and nobody
/// holds their lock (who writes elsewhere on a shared file system does).
static void removeLeftOvers(const std::string &folder, const std::string &prefix) {
  std::error_code error;
  for (const auto &entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix))
      continue;
    const long process = std::strtol(name.c_str() + prefix.size(), nullptr, 10);
    if (process <= 0 || ::kill(static_cast<pid_t>(process), 0) == 0 || errno != ESRCH)
      continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
      continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
      ::unlink(entry.path().c_str());
    ::close(fd);
  }
}

Result<AtomicFile> AtomicFile::create(const std::string &path) {
  std::string inFolder = path, inName = path;
  const std::string folder = ::dirname(inFolder.data());
  const std::string prefix = std::string(".") + ::basename(inName.data()) + ".tmp.";
  removeLeftOvers(folder, prefix);
  AtomicFile file;
  file.path_ = path;
  file.temporary_ = folder + "/" + prefix + std::to_string(::getpid());
  file.fd_ = ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file.fd_ < 0)
    return ioError(file.temporary_, "create");
  (void)::flock(file.fd_, LOCK_EX | LOCK_NB);
  return file;
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : fd_(std::exchange(other.fd_, -1)), position_(other.position_), path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0)
    return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  LLAMA4_RETURN_IF_ERROR(writeAt(position_, bytes));
  position_ += bytes.size();
  return {};
}

Status AtomicFile::writeAt(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0)
      return ioError(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return {};
}

Status AtomicFile::padTo(uint64_t offset) {
  assert(offset >= position_ && "padding goes forward");
  // The file was created empty, so what is never written reads as zero.
  if (::ftruncate(fd_, static_cast<off_t>(offset)) != 0)
    return ioError(path_, "extend");
  position_ = offset;
  return {};
}

Status AtomicFile::readAt(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    ssize_t done = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done <= 0)
      return ioError(path_, "read back");
    bytes = bytes.subspan(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return {};
}

Status AtomicFile::commit() {
  if (::fsync(fd_) != 0)
    return ioError(path_, "sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return ioError(path_, "rename to");
  std::string folder = path_;
  int dir = ::open(::dirname(folder.data()), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir >= 0) {
    ::fsync(dir);
    ::close(dir);
  }
  ::close(fd_);
  fd_ = -1;
  return {};
}

} // namespace llama4
