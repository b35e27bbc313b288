//===- CheckField.h - the small rules CheckProgram is made of ----*- C++ -*-===//
//
// Internal to the check: each helper tests one rule about one field and, when it is broken, says
// the field's path, what was found and what was expected.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_CHECKFIELD_H
#define LLAMA4_RUNTIME_FORMAT_CHECKFIELD_H

#include "runtime/base/Checked.h"
#include "runtime/base/Status.h"
#include "runtime/format/CheckProgram.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/Quoted.h"

#include <string>
#include <string_view>
#include <unordered_set>

namespace llama4::check {

inline std::string atIndex(const std::string &field, size_t index) {
  return field + "[" + std::to_string(index) + "]";
}

inline Status badField(const std::string &field, std::string_view found,
                       std::string_view expected) {
  return Status::invalidInput(field + ": found " + std::string(found) + ", expected " +
                              std::string(expected) +
                              "; the file is damaged or was written wrongly, compile it again.");
}

/// low <= value <= high.
inline Status inRange(const std::string &field, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high)
    return {};
  std::string expected = low == high   ? std::to_string(low)
                         : value < low ? "at least " + std::to_string(low)
                                       : "at most " + std::to_string(high);
  return badField(field, std::to_string(value), expected);
}

inline Status aligned(const std::string &field, uint64_t value, uint64_t alignment) {
  if (value % alignment == 0)
    return {};
  return badField(field, std::to_string(value), "a multiple of " + std::to_string(alignment));
}

/// A name has at least one byte and is not endless.
inline Status nameIsGood(const std::string &field, const std::string &name) {
  return inRange(field + " (bytes)", name.size(), 1, limits::maxNameBytes);
}

/// Something of `bytes` bytes at `offset` stands at the first aligned place after `end`, and
/// inside a section of `sectionBytes`.
inline Status follows(const std::string &at, uint64_t offset, uint64_t bytes, uint64_t end,
                      uint64_t alignment, uint64_t sectionBytes) {
  std::optional<uint64_t> place = checkedAlign(end, alignment);
  if (!place || offset != *place)
    return badField(at + ".offset", std::to_string(offset),
                    place ? std::to_string(*place) : "an offset below 2^64");
  if (bytes == 0 || !rangeInside(offset, bytes, sectionBytes))
    return badField(at + ".bytes", std::to_string(bytes) + " at " + std::to_string(offset),
                    "a range inside the section of " + std::to_string(sectionBytes) + " bytes");
  return {};
}

/// The names given so far in one table.
class Names {
public:
  Status add(const std::string &field, const std::string &name) {
    LLAMA4_RETURN_IF_ERROR(nameIsGood(field, name));
    if (!seen_.insert(name).second)
      return badField(field, quoteName(name) + " twice", "different names");
    return {};
  }

private:
  std::unordered_set<std::string> seen_;
};

/// One entry with its commands; the tables it points into have been checked (CheckEntry.cpp).
Status checkEntry(const std::string &at, const ProgramDesc &program, const Entry &entry);

/// Grids and facts about pictures, in themselves (CheckImages.cpp); before the entries.
Status checkImages(const ProgramDesc &program);
/// The ids of images are in the tables that checked entries look them up in.
Status checkImageTokens(const ProgramDesc &program);

} // namespace llama4::check

#endif // LLAMA4_RUNTIME_FORMAT_CHECKFIELD_H
