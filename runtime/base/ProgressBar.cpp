//===- ProgressBar.cpp - a line that is drawn over on a terminal ----------===//

#include "runtime/base/ProgressBar.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace llama4 {

static bool terminalDrawsOver() {
  const char *kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) != 0 && !(kind && std::string_view(kind) == "dumb");
}

ProgressBar::ProgressBar(std::string label, uint64_t total, Unit unit)
    : label_(std::move(label)), total_(total), unit_(unit), shown_(terminalDrawsOver()) {}

ProgressBar::~ProgressBar() {
  if (drawn_)
    std::fputc('\n', stderr);
}

void ProgressBar::show(uint64_t done) {
  if (!shown_)
    return;
  const std::lock_guard lock(mutex_);
  done_ = std::min(done, total_);
  draw();
}

void ProgressBar::add(uint64_t more) {
  if (!shown_)
    return;
  const std::lock_guard lock(mutex_);
  done_ = std::min(done_ + std::min(more, total_), total_);
  draw();
}

void ProgressBar::draw() {
  const auto now = std::chrono::steady_clock::now();
  if (drawn_ && done_ != total_ && now - last_ < std::chrono::milliseconds(100))
    return;
  last_ = now;
  drawn_ = true;
  constexpr size_t width = 40;
  const double share = total_ ? static_cast<double>(done_) / static_cast<double>(total_) : 1;
  const size_t filled = std::min(width, static_cast<size_t>(share * width));
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::string bar = std::string(filled, '#') + std::string(width - filled, ' ');
  const char *space = label_.empty() ? "" : " ";
  if (unit_ == Unit::Bytes)
    std::fprintf(stderr, "\r%s%s[%s] %.1f of %.1f MB, %.0f s", label_.c_str(), space, bar.c_str(),
                 static_cast<double>(done_) / 1e6, static_cast<double>(total_) / 1e6, seconds);
  else
    std::fprintf(stderr, "\r%s%s[%s] %llu of %llu, %.0f s", label_.c_str(), space, bar.c_str(),
                 static_cast<unsigned long long>(done_), static_cast<unsigned long long>(total_),
                 seconds);
  std::fflush(stderr);
}

} // namespace llama4
