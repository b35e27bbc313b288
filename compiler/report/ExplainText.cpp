//===- ExplainText.cpp - --explain=text -----------------------------------===//

#include "compiler/report/Explain.h"
#include "compiler/report/Names.h"
#include "compiler/report/PlanReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llama4;

namespace {

/// "4.10 MB, 2.05M macs, 164.00 us"
std::string workText(const Work &work) {
  return humanSize(work.bytes()) + ", " + shortCount(work.macs) + " macs, " +
         humanTime(work.seconds);
}

void writeDispatch(llvm::raw_ostream &stream, const Explanation &explanation,
                   const DispatchReport &dispatch, size_t index, const std::string &symbol) {
  stream << llvm::format("%5zu  ", index) << dispatch.kernel << " (" << dispatch.kind;
  if (!dispatch.core.empty())
    stream << ", " << dispatch.core;
  for (const std::string &encoding : encodingsOf(explanation, dispatch))
    stream << ", " << encoding;
  stream << ")";
  for (const Work &work : dispatch.work)
    stream << "  " << symbol << "=" << work.symbol << ": " << workText(work)
           << (work.boundByMemory ? " memory" : " compute");
  stream << "\n         is " << llvm::join(dispatch.sources, " + ") << "\n";
  for (const std::string &reason : dispatch.unfused)
    stream << "         " << reason << "\n";
}

} // namespace

std::string llama4::explanationText(const Explanation &explanation) {
  const ExplainOptions &options = explanation.options;
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << planText(*explanation.program, explanation.plan);
  stream << llvm::format("assumed      %.4g GB/s read, %.4g GMAC/s in float32 and %.4g in 8 bits a "
                         "core, %.4g cores, attention over ",
                         options.readBytes / 1e9, options.floatMacs / 1e9, options.int8Macs / 1e9,
                         options.cores)
         << options.length << " tokens; times are a bound from these, not measured\n";
  for (const EntryReport &entry : explanation.entries) {
    stream << "\nentry " << entry.entry->name << ": " << entry.dispatches.size() << " dispatches";
    for (const Work &total : entry.totals)
      stream << "; " << entry.entry->symbol << "=" << total.symbol << ": " << workText(total);
    stream << "\n";
    for (size_t i = 0; i < entry.dispatches.size(); ++i)
      writeDispatch(stream, explanation, entry.dispatches[i], i, entry.entry->symbol);
  }
  return text;
}
