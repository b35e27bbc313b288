//===- ImageSources.cpp - where pictures of requests may come from --------===//

#include "runtime/serve/ImageSources.h"

#include "runtime/image/Source.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace llama4::serve {

namespace {

/// Closes what it holds.
struct File {
  int descriptor = -1;
  explicit File(int descriptor) : descriptor(descriptor) {}
  File(const File &) = delete;
  ~File() {
    if (descriptor >= 0)
      ::close(descriptor);
  }
};

Status notThere() {
  return Status::error(StatusKind::NotFound, "found no such file in the folder for media, expected "
                                             "a picture there.");
}

int openBeneath(int root, const std::string &path) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK; // a pipe must not hold the thread
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
}

Result<std::string> readAll(int descriptor, uint64_t size) {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::read(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return Status::error(StatusKind::Io, "found a file that cannot be read to its end, expected "
                                           "a picture.");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

/// The path behind file:// or as it is.
std::string_view pathOf(std::string_view reference) {
  constexpr std::string_view scheme = "file://";
  if (reference.starts_with(scheme))
    reference.remove_prefix(scheme.size());
  return reference;
}

bool isUrl(std::string_view reference) {
  return reference.find("://") != std::string_view::npos && !reference.starts_with("file://");
}

Result<std::string> readReference(const ImageRules &rules, const std::string &reference,
                                  const image::ImageLimits &limits) {
  if (reference.starts_with("data:") || isUrl(reference)) {
    if (image::isHttpUrl(reference) && !rules.remote)
      return Status::error(StatusKind::Usage,
                           "found a URL, expected a data: URL: this server fetches nothing.");
    const image::FetchRules fetch{.hosts = rules.hosts};
    return image::readImageSource(reference, limits, &fetch);
  }
  if (rules.mediaRoot.empty())
    return Status::error(StatusKind::Usage,
                         "found the path of a file, expected a data: URL: this server opens none.");
  return readBeneath(rules.mediaRoot, pathOf(reference), limits.maxBytes);
}

} // namespace

Result<std::string> readBeneath(const std::string &root, std::string_view path, uint64_t maxBytes) {
  const std::string folder = root.ends_with('/') ? root : root + "/";
  if (path.starts_with(folder))
    path.remove_prefix(folder.size());
  if (path.empty() || path.starts_with('/') || path.find('\0') != std::string_view::npos)
    return notThere();
  const File base(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (base.descriptor < 0)
    return Status::error(StatusKind::Io, "found no folder for media, expected the one that the "
                                         "server was started with.");
  const File file(openBeneath(base.descriptor, std::string(path)));
  if (file.descriptor < 0)
    return notThere();
  struct stat facts = {};
  if (::fstat(file.descriptor, &facts) != 0 || !S_ISREG(facts.st_mode))
    return notThere();
  if (static_cast<uint64_t>(facts.st_size) > maxBytes)
    return Status::invalidInput("found a file of " + std::to_string(facts.st_size) +
                                " bytes, expected at most " + std::to_string(maxBytes) +
                                "; scale the picture down.");
  return readAll(file.descriptor, static_cast<uint64_t>(facts.st_size));
}

std::optional<ApiError> loadImages(const ImageRules &rules, const ImagePreparer &preparer,
                                   std::span<const ImageReference> references,
                                   std::vector<PreparedImage> &out) {
  image::DecodeOptions options;
  options.alpha = rules.alpha;
  auto load = [&](const std::string &reference) -> Result<PreparedImage> {
    LLAMA4_ASSIGN_OR_RETURN(const std::string bytes,
                            readReference(rules, reference, options.limits));
    LLAMA4_ASSIGN_OR_RETURN(const image::RgbImage picture,
                            image::decodeImage(std::as_bytes(std::span(bytes)), options));
    return preparer.prepare(picture);
  };
  for (const ImageReference &one : references) {
    Result<PreparedImage> image = load(one.reference);
    if (!image.ok())
      return ApiError{400, one.param + ": " + image.status().message(), one.param, {}};
    out.push_back(std::move(*image));
  }
  return std::nullopt;
}

} // namespace llama4::serve
