//===- BatchFile.h - requests and answers, one a line ------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_BATCHFILE_H
#define LLAMA4_TOOLS_LLAMA4_RUN_BATCHFILE_H

#include "runtime/base/Status.h"
#include "runtime/serve/Http.h"
#include "runtime/serve/Json.h"

#include <fstream>
#include <string>
#include <unordered_set>

namespace llama4::run {

/// One line of a batch's input: {"custom_id", "method": "POST", "url", "body"}.
struct BatchRequest {
  std::string id;
  std::string url;
  std::string body; ///< JSON
};

/// Reads a batch's input line by line; empty lines are passed over.
class BatchReader {
public:
  explicit BatchReader(std::string path) : path_(std::move(path)), file_(path_) {}
  /// The next request; false at the end. Errors: NotFound (no such file), Io, InvalidInput (a line
  /// that is no request; names the line).
  Result<bool> next(BatchRequest &out);

private:
  Status wrong(const std::string &what) const;

  std::string path_;
  std::ifstream file_;
  size_t line_ = 0;
};

/// All ids of a batch's input. Errors: those of BatchReader; InvalidInput (an id comes twice, a
/// URL that is none of /v1/chat/completions and /v1/completions).
Result<std::unordered_set<std::string>> checkBatch(const std::string &path);

/// The ids that an earlier run has answered. A last line that is not complete is cut off; what is
/// not there answers nothing. Errors: InvalidInput (a line is no answer, or answers none of
/// `asked`; nothing was changed), Io.
Result<std::unordered_set<std::string>> resumeBatch(const std::string &path,
                                                    const std::unordered_set<std::string> &asked);

/// The line that answers a request.
std::string batchLine(const std::string &id, const std::string &requestId,
                      const serve::HttpResponse &response);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_BATCHFILE_H
