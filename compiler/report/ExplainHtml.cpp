//===- ExplainHtml.cpp - --explain=html -----------------------------------===//
//
// One page that needs nothing but itself: no script, no image, no address. Every text that comes
// from a checkpoint goes through escape(). Layers are rows, dispatches are boxes as wide as their
// share of the slowest layer's time.
//
//===----------------------------------------------------------------------===//

#include "compiler/report/Explain.h"
#include "compiler/report/Names.h"
#include "compiler/report/PlanReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace llama4;

namespace {

constexpr const char *pageHead = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Program</title>
<style>
body { font: 14px/1.4 sans-serif; margin: 1.5em; color: #222; background: #fff; }
h2 { margin-top: 2em; }
table { border-collapse: collapse; }
td, th { padding: 2px 8px; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
td.n { text-align: right; white-space: nowrap; }
pre { background: #f6f6f6; padding: 8px; white-space: pre-wrap; }
small { color: #666; }
.layer { display: flex; align-items: center; height: 18px; margin: 1px 0; }
.layer > b { flex: none; width: 5em; font-weight: normal; text-align: right; padding-right: 8px; }
.layer > div { flex: auto; display: flex; height: 100%; }
.box { display: block; height: 100%; min-width: 2px; box-sizing: border-box;
       border-right: 1px solid #fff; }
.key { display: inline-block; width: 1em; height: 1em; margin: 0 4px 0 12px; }
.embed { background: #8c8c8c; } .row { background: #e0a030; } .linear { background: #3b7dd8; }
.experts { background: #7a4fc0; } .attention { background: #2f9e6e; } .group { background: #c0504d; }
</style>
</head>
<body>
)html";

/// Text as it may stand in an element or a quoted attribute.
std::string escape(llvm::StringRef text) {
  std::string out;
  for (char c : llvm::json::fixUTF8(text)) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return out;
}

class Page {
public:
  explicit Page(const Explanation &explanation) : explanation_(explanation), out_(text_) {}

  std::string write() {
    out_ << pageHead << "<h1>"
         << escape(explanation_.program->model.name.empty() ? explanation_.program->model.family
                                                            : explanation_.program->model.name)
         << "</h1>\n<pre>" << escape(planText(*explanation_.program, explanation_.plan))
         << "</pre>\n";
    writeAssumptions();
    for (const EntryReport &entry : explanation_.entries) {
      out_ << "<h2>" << escape(entry.entry->name) << ": " << entry.dispatches.size()
           << " dispatches</h2>\n";
      for (size_t i = 0; i < entry.symbols.size(); ++i)
        writePicture(entry, i);
      writeTable(entry);
    }
    out_ << "</body>\n</html>\n";
    return std::move(text_);
  }

private:
  void writeAssumptions() {
    const ExplainOptions &options = explanation_.options;
    out_ << llvm::format("<p>Times are a bound from assumed limits, not measured: %.4g GB/s read, "
                         "%.4g GMAC/s in float32 and %.4g GMAC/s in 8 bits a core, %.4g cores; "
                         "attention sees ",
                         options.readBytes / 1e9, options.floatMacs / 1e9, options.int8Macs / 1e9,
                         options.cores)
         << options.length << " tokens.</p>\n<p>";
    for (const char *kind : {"embed", "row", "linear", "experts", "attention", "group", "order"})
      out_ << "<span class=\"key " << kind << "\"></span>" << kind;
    out_ << "</p>\n";
  }

  /// Dispatches that follow each other and belong to one layer.
  static std::vector<std::pair<size_t, size_t>> layersOf(const EntryReport &entry) {
    std::vector<std::pair<size_t, size_t>> layers;
    for (size_t i = 0; i < entry.dispatches.size(); ++i)
      if (i > 0 && entry.dispatches[i].layer == entry.dispatches[i - 1].layer)
        ++layers.back().second;
      else
        layers.emplace_back(i, i + 1);
    return layers;
  }

  void writePicture(const EntryReport &entry, size_t which) {
    const Work &total = entry.totals[which];
    out_ << "<h3>" << escape(entry.entry->symbol) << " = " << total.symbol << " <small>"
         << humanSize(total.bytes()) << ", " << shortCount(total.macs) << " macs, "
         << humanTime(total.seconds) << "</small></h3>\n";
    double longest = 0;
    const std::vector<std::pair<size_t, size_t>> layers = layersOf(entry);
    auto secondsOf = [&](const std::pair<size_t, size_t> &layer) {
      double seconds = 0;
      for (size_t i = layer.first; i < layer.second; ++i)
        seconds += entry.dispatches[i].work[which].seconds;
      return seconds;
    };
    for (const auto &layer : layers)
      longest = std::max(longest, secondsOf(layer));
    for (const auto &layer : layers) {
      out_ << "<div class=\"layer\"><b>";
      if (std::optional<uint32_t> number = entry.dispatches[layer.first].layer)
        out_ << *number;
      out_ << "</b><div>";
      for (size_t i = layer.first; i < layer.second; ++i)
        writeBox(entry, i, which, longest);
      out_ << "</div></div>\n";
    }
  }

  void writeBox(const EntryReport &entry, size_t index, size_t which, double longest) {
    const DispatchReport &dispatch = entry.dispatches[index];
    const Work &work = dispatch.work[which];
    const double share = longest > 0 ? 100 * work.seconds / longest : 0;
    out_ << "<span class=\"box " << dispatch.kind
         << "\" style=\"width:" << llvm::format("%.3f%%", share) << "\" title=\"" << index << ' '
         << escape(dispatch.kernel + ": " + llvm::join(dispatch.sources, " + ")) << ", "
         << humanSize(work.bytes()) << ", " << humanTime(work.seconds) << "\"></span>";
  }

  void writeTable(const EntryReport &entry) {
    out_ << "<table>\n<tr><th>#</th><th>kernel</th><th>computes; why no more</th><th>weights</th>";
    for (uint64_t symbol : entry.symbols)
      out_ << "<th>bytes, macs, time at " << escape(entry.entry->symbol) << " = " << symbol
           << "</th>";
    out_ << "</tr>\n";
    for (size_t i = 0; i < entry.dispatches.size(); ++i)
      writeRow(entry.dispatches[i], i);
    out_ << "</table>\n";
  }

  void writeRow(const DispatchReport &dispatch, size_t index) {
    out_ << "<tr class=\"dispatch\"><td class=\"n\">" << index << "</td><td>"
         << escape(dispatch.kernel) << "<br><small>"
         << escape(dispatch.core.empty() ? dispatch.kind : dispatch.core) << "</small></td><td>"
         << escape(llvm::join(dispatch.sources, " + "));
    for (const std::string &reason : dispatch.unfused)
      out_ << "<br><small>" << escape(reason) << "</small>";
    out_ << "</td><td>" << escape(llvm::join(encodingsOf(explanation_, dispatch), ", "));
    for (uint32_t weight : dispatch.weights)
      out_ << "<br><small>" << escape(explanation_.program->weights[weight].name) << "</small>";
    out_ << "</td>";
    for (const Work &work : dispatch.work)
      out_ << "<td class=\"n\">" << humanSize(work.bytes()) << "<br>" << shortCount(work.macs)
           << "<br>" << humanTime(work.seconds) << (work.boundByMemory ? " memory" : " compute")
           << "</td>";
    out_ << "</tr>\n";
  }

  const Explanation &explanation_;
  std::string text_;
  llvm::raw_string_ostream out_;
};

} // namespace

std::string llama4::explanationHtml(const Explanation &explanation) {
  return Page(explanation).write();
}
