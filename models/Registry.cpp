//===- Registry.cpp - the list of architectures ---------------------------===//

#include "models/Registry.h"

#include "models/llama3/Model.h"
#include "models/llama3_vision/Model.h"
#include "models/llama4/Model.h"
#include "runtime/format/Quoted.h"

#include <array>

namespace llama4::models {

namespace {

using Builder = Result<std::unique_ptr<graph::Graph>> (*)(const Checkpoint &, const ModelOptions &);

struct Architecture {
  std::string_view name; ///< in config.json's "architectures"
  Builder build;
};

constexpr std::array<Architecture, 4> kArchitectures = {{
    {"LlamaForCausalLM", llama3::build},
    {"MllamaForConditionalGeneration", llama3_vision::build},
    {"Llama4ForCausalLM", llama4text::build},
    {"Llama4ForConditionalGeneration", llama4text::build},
}};

std::string knownNames() {
  std::string names;
  for (const Architecture &row : kArchitectures)
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

} // namespace

Result<std::unique_ptr<graph::Graph>> buildModel(const Checkpoint &checkpoint,
                                                 const ModelOptions &options) {
  const Config &config = checkpoint.config();
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> names, config.strings("architectures"));
  if (names.size() != 1)
    return config.error("architectures", std::to_string(names.size()) + " names",
                        "one of " + knownNames());
  for (const Architecture &row : kArchitectures) {
    if (row.name != names[0])
      continue;
    LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<graph::Graph> graph, row.build(checkpoint, options));
    for (const std::string &field : config.unreadFields())
      graph->remark(config.file() + ": field " + quoteName(field) +
                    " is not known to this model and has no effect");
    return graph;
  }
  return config.error("architectures", quoteName(names[0]), "one of " + knownNames());
}

} // namespace llama4::models
