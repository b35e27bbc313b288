//===- File.h - reading and writing whole files -----------------*- C++ -*-===//
//
// Mapped input files and atomic output files. Only regular files are opened; a declared size is
// always compared with `size()` by the caller before anything is allocated from it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_BASE_FILE_H
#define LLAMA4_RUNTIME_BASE_FILE_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace llama4 {

/// A regular file mapped read-only for the lifetime of the object. Move-only.
class MappedFile {
public:
  /// Maps `path` at an address that is a multiple of `alignment` (a power of two, at least the page
  /// size). Errors: NotFound, InvalidInput (not a regular file), Io.
  static Result<MappedFile> open(const std::string &path, size_t alignment = 4096);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char *>(data_), size_}; }
  uint64_t size() const { return size_; }
  const std::string &path() const { return path_; }

  /// Reads a range that lies inside bytes() from the file, past the mapping. Errors: InvalidInput
  /// (the file has another length than when it was mapped), Io.
  Status readAt(uint64_t offset, std::span<std::byte> to) const;
  /// Maps the pages from `offset`, a multiple of the page size, at their place in bytes() anew.
  /// False when the system cannot.
  bool mapAgain(uint64_t offset, size_t bytes) const;

private:
  MappedFile() = default;
  void reset();

  const std::byte *data_ = nullptr;
  size_t size_ = 0;
  void *mapping_ = nullptr; ///< start of the reservation that holds data_
  size_t mappingSize_ = 0;
  int fd_ = -1; ///< open as long as the mapping
  std::string path_;
};

/// The whole file as a string, refused above `limit` bytes.
Result<std::string> readTextFile(const std::string &path, uint64_t limit);

/// A file that appears under its name complete or not at all: bytes go to a temporary name in the
/// same folder, `commit` syncs and renames. Destroyed uncommitted, it removes the temporary file.
class AtomicFile {
public:
  static Result<AtomicFile> create(const std::string &path);
  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status writeAt(uint64_t offset, std::span<const std::byte> bytes);
  Status padTo(uint64_t offset);
  uint64_t position() const { return position_; }
  /// Reads back what was written; for checksums over the finished file.
  Status readAt(uint64_t offset, std::span<std::byte> bytes) const;
  Status commit();

private:
  AtomicFile() = default;

  int fd_ = -1;
  uint64_t position_ = 0;
  std::string path_, temporary_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_FILE_H
