// Templates of the tests and of the oracles; overlaid sections; the smallest sections.
#include "test/fuzz/SeedFiles.h"

#include <nlohmann/json.hpp>

std::vector<std::string> llama4::fuzz::seeds() {
  std::vector<std::string> inputs = {readData("oracles/llama3-text-tied/chat_template.jinja")};
  auto cases = nlohmann::json::parse(readData("templates/cases.json"), nullptr, false);
  for (const auto &one : cases) {
    std::string text = one["template"].get<std::string>();
    if (std::find(inputs.begin(), inputs.end(), text) == inputs.end())
      inputs.push_back(std::move(text));
  }
  const std::string &first = inputs[0];
  inputs.push_back("\xfe" + std::string("\x10\0\1\x20\0\2", 6) + first);
  return inputs;
}
