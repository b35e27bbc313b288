//===- Safetensors.h - reading and writing safetensors files ----*- C++ -*-===//
//
// The file: u64 length N, a JSON header of N bytes, then the bytes of all tensors without holes.
// The reader treats the file as hostile: it refuses whatever the reference reader refuses, and also
// duplicate names, unknown fields of a tensor, embedded NUL bytes, and absurd counts. Nothing is
// allocated from a size that the header merely claims.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_SAFETENSORS_H
#define LLAMA4_RUNTIME_FORMAT_SAFETENSORS_H

#include "runtime/base/File.h"
#include "runtime/base/Status.h"
#include "runtime/format/DType.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llama4 {

/// A named dense array, row-major, outermost dimension first. The bytes are borrowed and, in a file
/// of another writer, not necessarily aligned to the element: copy them out or load unaligned.
struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// The content of one file, sorted by tensor name; the spans point into the parsed bytes.
struct SafetensorsContent {
  std::vector<SafetensorsTensor> tensors;
  std::map<std::string, std::string> metadata; ///< the "__metadata__" object
  uint64_t headerBytes = 0; ///< the length word and the header: where the first tensor starts
};

/// Largest header that is read, as in the reference reader.
inline constexpr uint64_t kSafetensorsMaxHeader = 100'000'000;
/// Most tensors of one file, and most dimensions of one tensor.
inline constexpr size_t kSafetensorsMaxTensors = 1'000'000;
inline constexpr size_t kSafetensorsMaxRank = 16;

/// Parses the bytes of a whole file. Errors: InvalidInput, naming the tensor and the rule; the
/// caller adds the file's name.
Result<SafetensorsContent> parseSafetensors(std::span<const std::byte> file);

/// A mapped safetensors file. Move-only; the tensors' bytes live as long as the object.
class SafetensorsFile {
public:
  /// Errors: NotFound, Io, InvalidInput; each names `path`.
  static Result<SafetensorsFile> open(const std::string &path);

  const std::vector<SafetensorsTensor> &tensors() const { return content_.tensors; }
  const std::map<std::string, std::string> &metadata() const { return content_.metadata; }
  /// The tensor called `name`, or null.
  const SafetensorsTensor *find(std::string_view name) const;
  const std::string &path() const { return file_.path(); }
  uint64_t size() const { return file_.size(); }
  /// The length word and the JSON header.
  std::span<const std::byte> header() const { return file_.bytes().first(content_.headerBytes); }

private:
  SafetensorsFile(MappedFile file, SafetensorsContent content)
      : file_(std::move(file)), content_(std::move(content)) {}

  MappedFile file_;
  SafetensorsContent content_;
};

/// Writes a file that appears complete or not at all. Tensors are stored by decreasing element size
/// and then by name, after a header padded to 8 bytes, so that every element is aligned; the same
/// input gives the same bytes. Errors: InvalidInput for a duplicate name, a name that is not UTF-8
/// or is "__metadata__", a type that safetensors doesn't have, bytes that don't match the shape;
/// Io.
Status writeSafetensors(const std::string &path, std::span<const SafetensorsTensor> tensors,
                        const std::map<std::string, std::string> &metadata = {});

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_SAFETENSORS_H
