//===- LineEditor.cpp - a line at a time from a person or a pipe ----------===//

#include "tools/llama4-run/LineEditor.h"

#include "tools/llama4-run/Interrupt.h"

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <filesystem>
#include <histedit.h>
#include <iostream>
#include <sys/stat.h>
#include <unistd.h>

namespace llama4::run {

namespace {

/// A character of stdin for libedit: 1, 0 at the end, -1 at an interrupt or error. Bytes that are
/// no character come one by one, as U+FFFD.
int readKey(EditLine *, wchar_t *key) {
  std::mbstate_t state = {};
  while (true) {
    if (!waitForInput(STDIN_FILENO))
      return -1;
    char byte = 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count <= 0)
      return static_cast<int>(count);
    const size_t used = std::mbrtowc(key, &byte, 1, &state);
    if (used == static_cast<size_t>(-2))
      continue;
    if (used == static_cast<size_t>(-1))
      *key = 0xFFFD;
    return 1;
  }
}

} // namespace

/// libedit on stdin and stderr.
struct LineEditor::Terminal {
  explicit Terminal(std::string path) : file(std::move(path)) {
    // libedit works on wide characters; what it gives back is UTF-8.
    if (!std::setlocale(LC_CTYPE, "C.UTF-8"))
      std::setlocale(LC_CTYPE, "");
    editor = el_init("llama4-run", stdin, stderr, stderr);
    history = history_init();
    HistEvent event;
    ::history(history, &event, H_SETSIZE, 1000);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!file.empty())
      ::history(history, &event, H_LOAD, file.c_str());
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, &Terminal::showPrompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, ::history, history);
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_GETCFN, &readKey);
  }
  ~Terminal() {
    HistEvent event;
    if (!file.empty()) {
      const mode_t old = umask(077);
      ::history(history, &event, H_SAVE, file.c_str());
      umask(old);
    }
    history_end(history);
    el_end(editor);
  }
  static char *showPrompt(EditLine *editor) {
    Terminal *self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }

  EditLine *editor = nullptr;
  ::History *history = nullptr;
  std::string file, prompt;
};

LineEditor::LineEditor(std::string history) {
  if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
    terminal_ = std::make_unique<Terminal>(std::move(history));
}

LineEditor::~LineEditor() = default;

LineEditor::End LineEditor::readOne(const char *prompt, std::string &line) {
  line.clear();
  if (!terminal_)
    return std::getline(std::cin, line) ? End::Line : End::Closed;
  terminal_->prompt = prompt;
  int count = 0;
  const char *text = el_gets(terminal_->editor, &count);
  if (takeInterrupt()) {
    std::fputc('\n', stderr);
    el_reset(terminal_->editor);
    return End::Interrupted;
  }
  if (!text || count <= 0)
    return End::Closed;
  line.assign(text, static_cast<size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
    line.pop_back();
  return End::Line;
}

LineEditor::End LineEditor::read(const char *prompt, std::string &line) {
  End end = readOne(prompt, line);
  while (end == End::Line && line.ends_with('\\')) {
    std::string more;
    end = readOne("... ", more);
    line.back() = '\n';
    line += more;
  }
  if (end == End::Line && terminal_ && !line.empty()) {
    HistEvent event;
    ::history(terminal_->history, &event, H_ENTER, line.c_str());
  }
  return end;
}

std::string chatHistoryPath() {
  namespace fs = std::filesystem;
  const char *state = std::getenv("XDG_STATE_HOME"), *home = std::getenv("HOME");
  fs::path folder;
  if (state && *state)
    folder = fs::path(state) / "llama4";
  else if (home && *home)
    folder = fs::path(home) / ".local" / "state" / "llama4";
  else
    return "";
  std::error_code error;
  fs::create_directories(folder, error);
  return error ? "" : (folder / "chat_history").string();
}

} // namespace llama4::run
