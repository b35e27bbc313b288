//===- TemplateOps.h - names of filters, tests, methods, functions *- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_TEMPLATEOPS_H
#define LLAMA4_RUNTIME_TEXT_TEMPLATEOPS_H

#include "runtime/text/TemplateFormat.h"

#include <optional>
#include <string_view>

namespace llama4::text {

/// The operation with this name or one of its other names; nothing for one that is not supported.
std::optional<TemplateFilter> findFilter(std::string_view name);
std::optional<TemplateTest> findTest(std::string_view name);
std::optional<TemplateMethod> findMethod(std::string_view name);
std::optional<TemplateFunction> findFunction(std::string_view name);

/// The name of an operation, for messages.
const char *nameOf(TemplateFilter filter);
const char *nameOf(TemplateMethod method);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEMPLATEOPS_H
