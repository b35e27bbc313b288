//===- BatchFile.cpp - requests and answers, one a line -------------------===//

#include "tools/llama4-run/BatchFile.h"

#include "runtime/format/Quoted.h"

#include <filesystem>

namespace llama4::run {

namespace {

constexpr size_t mostLineBytes = 32u << 20;    ///< of a request
constexpr size_t mostAnswerBytes = 256u << 20; ///< with logprobs

using serve::Json;

const std::string *stringAt(const Json &object, const char *name) {
  auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() ? nullptr : found->get_ptr<const std::string *>();
}

/// Reads up to the end of a line, which `line` leaves out, but no more than `most` bytes and one.
/// False at the end of the file or when it can't be read; `isWhole` tells whether an end of line
/// was there.
bool readLine(std::istream &file, size_t most, std::string &line, bool &isWhole) {
  line.clear();
  isWhole = false;
  while (line.size() <= most) {
    const int c = file.get();
    isWhole = c == '\n';
    if (isWhole || !file)
      return isWhole || !line.empty();
    line.push_back(static_cast<char>(c));
  }
  return true;
}

} // namespace

Status BatchReader::wrong(const std::string &what) const {
  return Status::invalidInput(path_ + ":" + std::to_string(line_) + ": " + what);
}

Result<bool> BatchReader::next(BatchRequest &out) {
  if (!file_.is_open())
    return Status::error(StatusKind::NotFound, path_ + ": cannot be opened; expected a file with "
                                                       "a request on each line.");
  std::string line;
  bool isWhole;
  while (line.empty()) {
    if (!readLine(file_, mostLineBytes, line, isWhole)) {
      if (file_.bad())
        return Status::error(StatusKind::Io, path_ + ": cannot be read.");
      return false;
    }
    ++line_;
    if (!line.empty() && line.back() == '\r')
      line.pop_back();
  }
  if (line.size() > mostLineBytes)
    return wrong("found a longer line, expected at most " + std::to_string(mostLineBytes) +
                 " bytes.");
  Json request;
  if (std::string found = serve::parseBounded(line, request); !found.empty())
    return wrong("found " + found + ", expected {\"custom_id\", \"method\", \"url\", \"body\"}.");
  const std::string *id = stringAt(request, "custom_id"), *url = stringAt(request, "url"),
                    *method = stringAt(request, "method");
  if (!id || id->empty() || !url || !method || *method != "POST" || !request.contains("body") ||
      !request["body"].is_object())
    return wrong("found no request, expected {\"custom_id\": \"...\", \"method\": \"POST\", "
                 "\"url\": \"/v1/...\", \"body\": {...}}.");
  out = {*id, *url, serve::jsonText(request["body"])};
  return true;
}

Result<std::unordered_set<std::string>> checkBatch(const std::string &path) {
  std::unordered_set<std::string> ids;
  BatchReader reader(path);
  BatchRequest request;
  while (true) {
    LLAMA4_ASSIGN_OR_RETURN(const bool more, reader.next(request));
    if (!more)
      return ids;
    if (request.url != "/v1/chat/completions" && request.url != "/v1/completions")
      return Status::invalidInput(path + ": " + quoteName(request.id) + ": found the url " +
                                  quoteName(request.url) +
                                  ", expected /v1/chat/completions or /v1/completions.");
    if (!ids.insert(request.id).second)
      return Status::invalidInput(path + ": found the custom_id " + quoteName(request.id) +
                                  " twice, expected another for each request.");
  }
}

Result<std::unordered_set<std::string>> resumeBatch(const std::string &path,
                                                    const std::unordered_set<std::string> &asked) {
  std::unordered_set<std::string> done;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    return done; // nothing yet, or a pipe or device, which keeps nothing
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open())
    return done;
  uint64_t complete = 0; // bytes of whole lines
  std::string line;
  bool isWhole;
  while (readLine(file, mostAnswerBytes, line, isWhole) &&
         (isWhole || line.size() > mostAnswerBytes)) {
    Json answer;
    const std::string wrong = serve::parseBounded(line, answer);
    const std::string *id = stringAt(answer, "custom_id");
    if (!wrong.empty() || !id || !asked.contains(*id))
      return Status::invalidInput(path + ": found a line that answers no request of this batch, "
                                         "expected none; give another file with -o, or remove it.");
    done.insert(*id);
    complete += line.size() + 1;
  }
  file.close();
  if (std::filesystem::file_size(path, error) != complete && !error)
    std::filesystem::resize_file(path, complete, error);
  if (error)
    return Status::error(StatusKind::Io,
                         path + ": cannot be written to (" + error.message() + ").");
  return done;
}

std::string batchLine(const std::string &id, const std::string &requestId,
                      const serve::HttpResponse &response) {
  // The body is JSON on one line already.
  return "{\"id\":\"batch_req_" + requestId + "\",\"custom_id\":" + serve::jsonText(id) +
         ",\"response\":{\"status_code\":" + std::to_string(response.status) +
         ",\"request_id\":\"" + requestId + "\",\"body\":" + response.body + "},\"error\":null}\n";
}

} // namespace llama4::run
