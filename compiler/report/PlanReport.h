//===- PlanReport.h - what a planned program needs --------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_REPORT_PLANREPORT_H
#define LLAMA4_COMPILER_REPORT_PLANREPORT_H

#include "compiler/report/MemoryPlan.h"

#include <nlohmann/json.hpp>

#include <string>

namespace llama4 {

/// Parameters, weights, transients and cache of a program, read off its description: as lines for
/// people, or as one JSON object. What --plan-only prints.
std::string planReport(const ProgramDesc &program, bool json);

/// The same two as parts of larger reports.
std::string planText(const ProgramDesc &program, const MemoryPlan &plan);
nlohmann::ordered_json planJson(const ProgramDesc &program, const MemoryPlan &plan);

/// A report's JSON as text: UTF-8 whatever names it holds, a line at the end.
std::string jsonText(const nlohmann::ordered_json &json);

} // namespace llama4

#endif // LLAMA4_COMPILER_REPORT_PLANREPORT_H
