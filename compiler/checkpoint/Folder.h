//===- Folder.h - files of a checkpoint folder, kept inside it --*- C++ -*-===//
//
// Turns a file name found in a folder (or named by an index) into a path that is safe to open. A
// name must be a plain file name, and what it resolves to must be a regular file inside the folder.
// A folder of the form REPO/snapshots/REVISION may point anywhere inside REPO: that is how the
// Hugging Face cache shares its blobs.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_FOLDER_H
#define LLAMA4_COMPILER_CHECKPOINT_FOLDER_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <optional>
#include <string>

namespace llama4 {

class CheckpointFolder {
public:
  /// Errors: NotFound, InvalidInput (not a folder).
  static Result<CheckpointFolder> open(const std::string &path);

  /// True if the folder has an entry of that name, of whatever kind.
  bool has(const std::string &name) const;
  /// The resolved path of the regular file `name`. Errors: NotFound, InvalidInput.
  Result<std::string> resolve(const std::string &name) const;
  /// The text of `name`, at most `limit` bytes; nothing if there is no such file.
  Result<std::optional<std::string>> readOptional(const std::string &name, uint64_t limit) const;
  const std::string &path() const { return path_; }

private:
  std::string path_; ///< as given, for errors
  std::string real_; ///< without links
  std::string root_; ///< where files may lie
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_FOLDER_H
