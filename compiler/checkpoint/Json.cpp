//===- Json.cpp - JSON files of a checkpoint, read as hostile -------------===//

#include "compiler/checkpoint/Json.h"

#include "runtime/format/Quoted.h"

#include <vector>

namespace llama4 {
namespace {

using nlohmann::json;

/// Builds a DOM and stops at the first offence, so that neither depth nor duplicates cost anything.
class DomHandler final : public nlohmann::json_sax<json> {
public:
  json root;
  std::string problem; ///< what was found, empty while all is well

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t &) override { return add(value); }
  bool string(string_t &value) override { return add(std::move(value)); }
  bool binary(binary_t &) override { return fail("binary data"); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t &value) override {
    key_ = value;
    if (stack_.back()->contains(key_))
      return fail("the key " + quoteName(key_) + " twice in one object");
    return true;
  }
  bool parse_error(std::size_t position, const std::string &,
                   const nlohmann::detail::exception &) override {
    return fail("text that is not JSON near byte " + std::to_string(position) +
                " (NaN and Infinity are not JSON either)");
  }

private:
  bool fail(std::string what) {
    if (problem.empty())
      problem = std::move(what);
    return false;
  }
  /// Puts a value where the parse stands and returns its place.
  json *place(json value) {
    if (stack_.empty())
      return &(root = std::move(value));
    json &parent = *stack_.back();
    if (parent.is_object())
      return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json container) {
    if (stack_.size() == kJsonMaxDepth)
      return fail("nesting deeper than " + std::to_string(kJsonMaxDepth) + " levels");
    // A container stays open until it is complete, so no sibling can move it in the meantime.
    stack_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  std::vector<json *> stack_; ///< the containers that are open
  std::string key_;
};

} // namespace

Result<json> parseJsonObject(std::string_view text, const std::string &file) {
  // The JSON library takes a NUL byte for the end of its input.
  if (text.find('\0') != std::string_view::npos)
    return Status::invalidInput(file + ": found a NUL byte, expected JSON text; fetch the file "
                                       "again.");
  DomHandler handler;
  bool parsed = json::sax_parse(text.begin(), text.end(), &handler);
  if (!parsed || !handler.problem.empty())
    return Status::invalidInput(file + ": found " + handler.problem +
                                ", expected a JSON object; correct the file.");
  if (!handler.root.is_object())
    return Status::invalidInput(file + ": found JSON that is no object, expected {...}; correct "
                                       "the file.");
  return std::move(handler.root);
}

} // namespace llama4
