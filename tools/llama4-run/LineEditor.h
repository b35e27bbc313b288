//===- LineEditor.h - a line at a time from a person or a pipe ---*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_LINEEDITOR_H
#define LLAMA4_TOOLS_LLAMA4_RUN_LINEEDITOR_H

#include <memory>
#include <optional>
#include <string>

namespace llama4::run {

/// Reads lines from stdin: with editing and a history where it is a terminal, as they are
/// otherwise.
class LineEditor {
public:
  /// `history` is a file that is read at the start and written at the end, readable by its owner
  /// alone; empty: none.
  explicit LineEditor(std::string history);
  ~LineEditor();
  LineEditor(const LineEditor &) = delete;
  LineEditor &operator=(const LineEditor &) = delete;

  /// What a call of read() ended with.
  enum class End { Line, Interrupted, Closed };

  /// The next line without its line break, in `line`. A line that ends in a backslash goes on with
  /// the next one. Interrupted: the line was given up with Ctrl-C. Closed: there is no more.
  End read(const char *prompt, std::string &line);

  /// True where a person sits at the other end.
  bool isTerminal() const { return terminal_ != nullptr; }

private:
  struct Terminal;
  End readOne(const char *prompt, std::string &line);

  std::unique_ptr<Terminal> terminal_;
};

/// Where the history of chats is kept: $XDG_STATE_HOME, or ~/.local/state, and
/// /llama4/chat_history; empty where neither is known.
std::string chatHistoryPath();

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_LINEEDITOR_H
