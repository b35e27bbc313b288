//===- TemplateCompiler.h - Jinja source to a chat-template section *- C++ -*-===//
//
// Compile time only. The language is the part of Jinja that chat templates use, with the settings
// of the Hugging Face library (trim_blocks, lstrip_blocks, break and continue, the `generation`
// block). What is not supported is an error here, never a surprise when a request comes.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATECOMPILER_H
#define LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATECOMPILER_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <string_view>
#include <vector>

namespace llama4::text {

/// Compiles a template. Errors (InvalidInput): syntax, or a statement, filter, test, method or
/// function that is not supported, each by name and with the line.
Result<std::vector<std::byte>> compileTemplate(std::string_view source);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATECOMPILER_H
