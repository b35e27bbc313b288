//===- ConfigDocument.h - what all views of a configuration share -*- C++ -*-===//
//
// Private to Config.cpp and ConfigGguf.cpp.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_CONFIGDOCUMENT_H
#define LLAMA4_COMPILER_CHECKPOINT_CONFIGDOCUMENT_H

#include "compiler/checkpoint/Config.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace llama4 {

struct Config::Document {
  std::string file;
  nlohmann::json root;                       ///< an object
  std::map<std::string, std::string> origin; ///< path -> the GGUF key it was made from
  std::set<std::string> read;                ///< paths read, opened or acknowledged
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_CONFIGDOCUMENT_H
