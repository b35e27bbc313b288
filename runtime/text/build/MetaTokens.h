//===- MetaTokens.h - the control tokens that tiktoken files lack *- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_METATOKENS_H
#define LLAMA4_RUNTIME_TEXT_BUILD_METATOKENS_H

#include "runtime/text/build/TokenizerBuilder.h"

#include <string>
#include <vector>

namespace llama4::text {

/// The control tokens of a family in the order of their ids, which follow those of the file. An
/// empty string stands for an id that has no token.
std::vector<std::string> metaSpecialTokens(TiktokenFamily family);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_METATOKENS_H
