//===- Names.h - how reports write numbers ----------------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_REPORT_NAMES_H
#define LLAMA4_COMPILER_REPORT_NAMES_H

#include <cstdint>
#include <string>

namespace llama4 {

/// "98.4 MB": bytes in powers of 1000.
std::string humanSize(uint64_t bytes);

/// "109B", "135M": three digits.
std::string shortCount(uint64_t count);

/// "12.3 us", "4.56 ms".
std::string humanTime(double seconds);

} // namespace llama4

#endif // LLAMA4_COMPILER_REPORT_NAMES_H
