//===- StopStrings.cpp - ends a text where a stop string begins -----------===//

#include "runtime/engine/StopStrings.h"

#include "runtime/format/Quoted.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace llama4 {

Result<StopStrings> StopStrings::create(std::vector<std::string> strings) {
  constexpr size_t mostBytes = 4096;
  StopStrings result;
  for (std::string &string : strings) {
    if (string.empty() || string.size() > mostBytes || !text::isValidUtf8(string))
      return Status::error(StatusKind::Usage, "stop string: found " + quoteName(string) +
                                                  ", expected 1 to 4096 bytes of UTF-8.");
    Stop stop;
    stop.failure.assign(string.size(), 0);
    for (size_t i = 1, border = 0; i < string.size(); ++i) {
      while (border > 0 && string[i] != string[border])
        border = stop.failure[border - 1];
      border += string[i] == string[border];
      stop.failure[i] = border;
    }
    stop.text = std::move(string);
    result.stops_.push_back(std::move(stop));
  }
  return result;
}

void StopStrings::advance(Stop &stop, char byte) {
  while (stop.length > 0 && stop.text[stop.length] != byte)
    stop.length = stop.failure[stop.length - 1];
  stop.length += stop.text[stop.length] == byte;
}

void StopStrings::add(std::string_view piece, std::string &out) {
  if (matched_)
    return;
  size_t longest = 0;
  for (char byte : piece) {
    held_ += byte;
    longest = 0;
    size_t complete = 0;
    for (Stop &stop : stops_) {
      advance(stop, byte);
      longest = std::max(longest, stop.length);
      if (stop.length == stop.text.size())
        complete = std::max(complete, stop.length);
    }
    if (complete != 0) {
      matched_ = true;
      out.append(held_, 0, held_.size() - complete);
      held_.clear();
      return;
    }
  }
  if (piece.empty())
    return;
  out.append(held_, 0, held_.size() - longest);
  held_.erase(0, held_.size() - longest);
}

void StopStrings::finish(std::string &out) {
  out += held_;
  held_.clear();
  for (Stop &stop : stops_)
    stop.length = 0;
}

} // namespace llama4
