//===- Names.cpp - how reports write numbers ------------------------------===//

#include "compiler/report/Names.h"

#include <cstdio>
#include <iterator>

std::string llama4::humanSize(uint64_t bytes) {
  constexpr const char *units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  char text[64];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return text;
}

std::string llama4::shortCount(uint64_t count) {
  constexpr const char *units[] = {"", "K", "M", "B", "T"};
  auto value = static_cast<double>(count);
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  char text[64];
  std::snprintf(text, sizeof(text), "%.3g%s", value, units[unit]);
  return text;
}

std::string llama4::humanTime(double seconds) {
  const bool small = seconds < 1e-3;
  char text[64];
  std::snprintf(text, sizeof(text), small ? "%.2f us" : "%.2f ms", seconds * (small ? 1e6 : 1e3));
  return text;
}
