//===- ModelPath.cpp - a checkpoint where a program is expected -----------===//

#include "tools/llama4-run/ModelPath.h"

#include "runtime/format/Checksum.h"
#include "runtime/format/Quoted.h"
#include "tools/llama4-run/Common.h"

#include <algorithm>
#include <filesystem>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern char **environ;

namespace llama4::run {

namespace fs = std::filesystem;

namespace {

Status ioError(const std::string &path, const std::string &what) {
  return Status::error(StatusKind::Io, path + ": " + what + ".");
}

/// "path size seconds.nanoseconds" of a file, or nothing where it can't be read.
std::string fingerprint(const fs::path &path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0)
    return "";
  return path.string() + ' ' + std::to_string(info.st_size) + ' ' +
         std::to_string(info.st_mtim.tv_sec) + '.' + std::to_string(info.st_mtim.tv_nsec) + '\n';
}

/// What the compiled program depends on.
Result<std::string> cacheKey(const fs::path &checkpoint, const fs::path &compiler) {
  std::error_code error;
  std::vector<std::string> lines;
  if (fs::is_directory(checkpoint, error)) {
    for (fs::directory_iterator it(checkpoint, error), end; !error && it != end;
         it.increment(error))
      if (std::error_code ignored; it->is_regular_file(ignored))
        lines.push_back(fingerprint(it->path()));
    if (error)
      return ioError(checkpoint.string(), "cannot be listed: " + error.message());
  } else {
    lines.push_back(fingerprint(checkpoint));
  }
  std::sort(lines.begin(), lines.end());
  std::string key = "compiler " + fingerprint(compiler);
  for (const std::string &line : lines)
    key += line;
  return key;
}

std::string hexDigest(const std::string &text) {
  constexpr char digits[] = "0123456789abcdef";
  std::array<uint8_t, 32> digest = sha256(std::as_bytes(std::span(text)));
  std::string hex;
  for (size_t i = 0; i < 12; ++i) {
    hex += digits[digest[i] >> 4];
    hex += digits[digest[i] & 15];
  }
  return hex;
}

Result<fs::path> cacheFolder() {
  fs::path base;
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (cache && cache[0] == '/')
    base = cache;
  else if (home && home[0] == '/')
    base = fs::path(home) / ".cache";
  else
    return Status::error(StatusKind::Io, "found neither XDG_CACHE_HOME nor HOME, expected a place "
                                         "to keep compiled models; set one, or compile with "
                                         "llama4-compile and name the .l4x file.");
  fs::path folder = base / "llama4";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return ioError(folder.string(), "cannot be made: " + error.message());
  return folder;
}

Result<fs::path> compilerPath() {
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  fs::path compiler = self.parent_path() / "llama4-compile";
  if (error || ::access(compiler.c_str(), X_OK) != 0)
    return Status::error(StatusKind::NotFound, compiler.string() +
                                                   ": not found, expected the compiler beside this "
                                                   "program; name a compiled .l4x file instead.");
  return compiler;
}

/// Starts the compiler and waits for it. Its messages go to stderr, as ours.
Status compile(const fs::path &compiler, const fs::path &checkpoint, const fs::path &output) {
  std::string arguments[] = {compiler.string(), checkpoint.string(), "-o", output.string()};
  std::vector<char *> argv;
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO); // stdout is for results
  pid_t child = 0;
  int error = ::posix_spawn(&child, compiler.c_str(), &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0)
    return ioError(compiler.string(), "cannot be started");
  int state = 0;
  while (::waitpid(child, &state, 0) < 0)
    if (errno != EINTR)
      return ioError(compiler.string(), "cannot be waited for");
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
    return {};
  std::string sentence = checkpoint.string() +
                         ": llama4-compile failed, expected it to compile the checkpoint; its own "
                         "message stands above.";
  for (StatusKind kind : {StatusKind::InvalidInput, StatusKind::NotFound, StatusKind::Unavailable,
                          StatusKind::OutOfMemory, StatusKind::Io})
    if (WIFEXITED(state) && WEXITSTATUS(state) == static_cast<int>(kind))
      return Status::error(kind, sentence);
  return Status::internal(sentence);
}

} // namespace

Result<std::string> compiledModelPath(const std::string &model) {
  std::error_code error;
  fs::path path(model);
  if (!fs::is_directory(path, error) && path.extension() != ".gguf")
    return model;
  fs::path checkpoint = fs::canonical(path, error);
  if (error)
    return Status::error(StatusKind::NotFound, model + ": no such file or directory; give a .l4x "
                                                       "file, a .gguf file or a checkpoint "
                                                       "directory.");
  LLAMA4_ASSIGN_OR_RETURN(fs::path compiler, compilerPath());
  LLAMA4_ASSIGN_OR_RETURN(std::string key, cacheKey(checkpoint, compiler));
  LLAMA4_ASSIGN_OR_RETURN(fs::path folder, cacheFolder());
  fs::path output = folder / (checkpoint.stem().string() + "-" + hexDigest(key) + ".l4x");
  if (!fs::exists(output, error)) {
    note("compiling " + checkpoint.string() + " to " + output.string());
    LLAMA4_RETURN_IF_ERROR(compile(compiler, checkpoint, output));
  }
  return output.string();
}

} // namespace llama4::run
