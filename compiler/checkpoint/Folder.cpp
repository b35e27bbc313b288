//===- Folder.cpp - files of a checkpoint folder, kept inside it ----------===//

#include "compiler/checkpoint/Folder.h"

#include "runtime/base/File.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace llama4 {

namespace fs = std::filesystem;

static Status notFound(const std::string &path, const std::string &expected) {
  return Status::error(StatusKind::NotFound,
                       path + ": found nothing, expected " + expected + "; check the path.");
}

/// True if `path` lies below `root`; both without links.
static bool below(const fs::path &path, const fs::path &root) {
  auto [rest, at] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return rest == root.end() && at != path.end();
}

Result<CheckpointFolder> CheckpointFolder::open(const std::string &path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error)
    return notFound(path, "a checkpoint folder or a .gguf file");
  if (!fs::is_directory(real, error))
    return Status::invalidInput(path + ": found no folder, expected a checkpoint folder or a .gguf "
                                       "file; give one of these.");
  CheckpointFolder folder;
  folder.path_ = path;
  folder.real_ = real;
  const bool snapshot = real.parent_path().filename() == "snapshots";
  folder.root_ = snapshot ? real.parent_path().parent_path() : real;
  return folder;
}

bool CheckpointFolder::has(const std::string &name) const {
  std::error_code error;
  return fs::exists(fs::symlink_status(fs::path(real_) / name, error));
}

Result<std::string> CheckpointFolder::resolve(const std::string &name) const {
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
    return Status::invalidInput(path_ + ": found the file name " + quoteName(name) +
                                ", expected a plain name without a folder; correct the index.");
  std::error_code error;
  fs::path real = fs::canonical(fs::path(real_) / name, error);
  if (error)
    return notFound(path_ + "/" + quoteName(name), "a file");
  if (!below(real, root_))
    return Status::invalidInput(path_ + ": found " + quoteName(name) +
                                " to be a link that leaves the folder, expected a file inside it; "
                                "copy the file into the folder.");
  if (!fs::is_regular_file(real, error))
    return Status::invalidInput(path_ + ": found " + quoteName(name) +
                                " to be no regular file, expected one; replace it by a file.");
  return real.string();
}

Result<std::optional<std::string>> CheckpointFolder::readOptional(const std::string &name,
                                                                  uint64_t limit) const {
  if (!has(name))
    return std::optional<std::string>();
  LLAMA4_ASSIGN_OR_RETURN(std::string real, resolve(name));
  LLAMA4_ASSIGN_OR_RETURN(std::string text, readTextFile(real, limit));
  return std::optional(std::move(text));
}

} // namespace llama4
