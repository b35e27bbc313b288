//===- BoundedJson.cpp - JSON from outside, within bounds -----------------===//

#include "runtime/serve/BoundedJson.h"

#include <unordered_set>
#include <vector>

namespace llama4::serve {

namespace {

/// Builds a value from a parser's events.
class Builder {
public:
  Builder(Json &root, const JsonBounds &bounds) : root_(root), bounds_(bounds) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(double value, const std::string &) { return add(value); }
  bool string(std::string &value) { return add(std::move(value)); }
  bool binary(Json::binary_t &) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string &name) {
    Json &object = *open_.back().value;
    if (object.size() == bounds_.keys)
      wrong_ = "an object with more than " + std::to_string(bounds_.keys) + " keys";
    else if (!open_.back().keys.insert(name).second)
      wrong_ = "an object with the same key twice";
    key_ = name;
    return wrong_.empty();
  }
  bool parse_error(size_t, const std::string &, const nlohmann::detail::exception &) {
    return false;
  }
  const std::string &wrong() const { return wrong_; }

private:
  struct Open {
    Json *value; ///< nothing is added to what holds it before it is closed
    std::unordered_set<std::string> keys;
  };

  Json *place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json &parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto &entries = parent.get_ref<Json::object_t &>();
    entries.push_back({key_, std::move(value)}); // the key is new: key() has looked
    return &entries.back().second;
  }
  bool add(Json value) {
    if (!count())
      return false;
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == bounds_.depth) {
      wrong_ = "JSON nested deeper than " + std::to_string(bounds_.depth);
      return false;
    }
    if (!count())
      return false;
    open_.push_back({place(std::move(value)), {}});
    return true;
  }
  bool count() {
    if (++values_ > bounds_.values)
      wrong_ = "JSON with more than " + std::to_string(bounds_.values) + " values";
    return values_ <= bounds_.values;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json &root_;
  const JsonBounds bounds_;
  std::vector<Open> open_;
  std::string key_;
  std::string wrong_;
  size_t values_ = 0;
};

} // namespace

std::string parseBounded(std::string_view text, Json &out, const JsonBounds &bounds) {
  Builder builder(out, bounds);
  const bool good = Json::sax_parse(text, &builder);
  if (!builder.wrong().empty())
    return builder.wrong();
  return good ? std::string() : "text that is no JSON";
}

void release(Json &value) noexcept {
  if (auto *list = value.get_ptr<Json::array_t *>()) {
    for (Json &item : *list)
      release(item);
    list->clear();
  } else if (auto *object = value.get_ptr<Json::object_t *>()) {
    for (auto &[key, item] : *object)
      release(item);
    object->clear();
  }
  value = nullptr;
}

} // namespace llama4::serve
