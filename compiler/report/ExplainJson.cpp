//===- ExplainJson.cpp - --explain=json -----------------------------------===//
//
// docs/explain.md describes the schema; `version` changes when a field changes its meaning.
//
//===----------------------------------------------------------------------===//

#include "compiler/report/Explain.h"
#include "compiler/report/PlanReport.h"

using namespace llama4;
using nlohmann::ordered_json;

namespace {

constexpr int schemaVersion = 1;

ordered_json workJson(const Work &work) {
  return {{"symbol", work.symbol},
          {"weight_bytes", work.weightBytes},
          {"gathered_bytes", work.gatheredBytes},
          {"activation_bytes", work.activationBytes},
          {"cache_bytes", work.cacheBytes},
          {"bytes", work.bytes()},
          {"macs", work.macs},
          {"flops", work.flops},
          {"seconds", work.seconds}};
}

ordered_json dispatchJson(const Explanation &explanation, const DispatchReport &dispatch,
                          size_t index) {
  ordered_json weights = ordered_json::array(), work = ordered_json::array();
  for (uint32_t weight : dispatch.weights) {
    const Weight &bound = explanation.program->weights[weight];
    weights.push_back({{"name", bound.name}, {"encoding", bound.encoding}, {"bytes", bound.bytes}});
  }
  for (const Work &one : dispatch.work) {
    work.push_back(workJson(one));
    work.back()["bound_by"] = one.boundByMemory ? "memory" : "compute";
  }
  ordered_json json = {{"index", index},
                       {"kernel", dispatch.kernel},
                       {"kind", dispatch.kind},
                       {"core", dispatch.core},
                       {"layer", nullptr},
                       {"sources", dispatch.sources},
                       {"unfused", dispatch.unfused},
                       {"weights", std::move(weights)},
                       {"work", std::move(work)}};
  if (dispatch.layer)
    json["layer"] = *dispatch.layer;
  return json;
}

ordered_json entryJson(const Explanation &explanation, const EntryReport &entry) {
  ordered_json dispatches = ordered_json::array(), totals = ordered_json::array();
  for (size_t i = 0; i < entry.dispatches.size(); ++i)
    dispatches.push_back(dispatchJson(explanation, entry.dispatches[i], i));
  for (const Work &total : entry.totals)
    totals.push_back(workJson(total));
  return {{"name", entry.entry->name},
          {"function", entry.entry->function},
          {"symbol", entry.entry->symbol},
          {"bound", entry.entry->bound},
          {"arena_bytes", entry.entry->arenaBytes()},
          {"totals", std::move(totals)},
          {"dispatches", std::move(dispatches)}};
}

} // namespace

std::string llama4::explanationJson(const Explanation &explanation) {
  const ExplainOptions &options = explanation.options;
  ordered_json entries = ordered_json::array();
  for (const EntryReport &entry : explanation.entries)
    entries.push_back(entryJson(explanation, entry));
  return jsonText({{"version", schemaVersion},
                   {"assumed",
                    {{"read_bytes_per_second", options.readBytes},
                     {"float_macs_per_second_and_core", options.floatMacs},
                     {"int8_macs_per_second_and_core", options.int8Macs},
                     {"cores", options.cores},
                     {"length", options.length}}},
                   {"plan", planJson(*explanation.program, explanation.plan)},
                   {"entries", std::move(entries)}});
}
