//===- Requests.h - the bodies that routes take ------------------*- C++ -*-===//
//
// Each is read from the fields of a JSON object, and described by what it asks of an empty one:
// the description of the API and the fields that are known are the ones that are read.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_REQUESTS_H
#define LLAMA4_RUNTIME_SERVE_REQUESTS_H

#include "runtime/serve/GenerationFields.h"

namespace llama4::serve {

/// What each read() does: what is wrong is told by fields.error(); pointers go into the object of
/// the fields.
struct ChatRequest {
  GenerationFields generation;
  std::string model;
  const Json *messages = nullptr;
  void read(Fields &fields, const ServedModel &served);
};

struct CompletionRequest {
  GenerationFields generation;
  std::string model;
  bool echo = false;
  bool scoresOnly = false; ///< max_tokens 0: the prompt comes back and nothing is generated
  std::vector<std::vector<int32_t>> prompts;
  void read(Fields &fields, const ServedModel &served);
};

struct TokenizeRequest {
  const Json *messages = nullptr; ///< or
  std::string text;
  bool parseSpecial = true, addSpecial = true;
  void read(Fields &fields, const ServedModel &served);
};

struct DetokenizeRequest {
  std::vector<int32_t> ids;
  void read(Fields &fields, const ServedModel &served);
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_REQUESTS_H
