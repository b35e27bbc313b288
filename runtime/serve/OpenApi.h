//===- OpenApi.h - the API described for programs ----------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_OPENAPI_H
#define LLAMA4_RUNTIME_SERVE_OPENAPI_H

#include "runtime/serve/Json.h"

#include <span>

namespace llama4::serve {

/// The JSON schema of a body, from what its reader asked of the fields.
Json schemaOf(std::span<const FieldNote> notes);

/// The schemas that descriptions refer to as #/components/schemas/NAME: those of answers, and
/// Error.
Json answerSchemas();

/// The description of a response: of the schema `name`, or of text where it is empty.
Json responseOf(const std::string &description, const std::string &name);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_OPENAPI_H
