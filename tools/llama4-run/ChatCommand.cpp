//===- ChatCommand.cpp - llama4-run chat ----------------------------------===//
//
// A conversation on a terminal or through a pipe: a line is a turn of the user, a line that begins
// with a slash is a command. Every turn's prompt is the whole chat; what the cache knows of it is
// not processed again.
//
//===----------------------------------------------------------------------===//

#include "runtime/base/File.h"
#include "runtime/engine/Batcher.h"
#include "runtime/format/Quoted.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Conversation.h"
#include "tools/llama4-run/Interrupt.h"
#include "tools/llama4-run/LineEditor.h"
#include "tools/llama4-run/SamplingOptions.h"

#include <chrono>
#include <cstdio>

namespace llama4::run {

namespace {

using Number = unsigned long long;

struct ChatOptions {
  ModelOptions model;
  std::string system;
  ImageOptions images; ///< of the first turn
  uint64_t maxNewTokens = 0, maxLength = 0;
  SamplingOptions sampling;
  bool noHistory = false;
};

/// One conversation with one engine.
class Chat {
public:
  Chat(const ChatOptions &options, const Program &program, text::Tokenizer tokenizer,
       Engine &engine)
      : options_(options), tokenizer_(std::move(tokenizer)), engine_(engine),
        batcher_(engine, batcherOptions(program)), conversation_(program, tokenizer_),
        lines_(options.noHistory ? "" : chatHistoryPath()) {}

  /// Talks until the input ends.
  Status talk();

private:
  BatcherOptions batcherOptions(const Program &program) const;
  Status start();
  Status take(const std::string &line, bool &ends);
  Status answer(const std::string &text);
  Result<ScheduledRequest> makeRequest() const;
  Status generate(ScheduledRequest request, std::string &text);
  Status save(const std::string &path) const;

  const ChatOptions &options_;
  const text::Tokenizer tokenizer_;
  Engine &engine_;
  Batcher batcher_;
  Conversation conversation_;
  LineEditor lines_;
  SamplingParameters sampling_;
  uint64_t turns_ = 0;
};

BatcherOptions Chat::batcherOptions(const Program &program) const {
  BatcherOptions options;
  options.stopIds = allStopIds(program, tokenizer_);
  options.prefillChunk = options_.model.prefillChunk;
  options.tokenizer = &tokenizer_;
  return options;
}

Status Chat::start() {
  LLAMA4_ASSIGN_OR_RETURN(sampling_,
                          samplingParameters(options_.sampling, engine_.program().desc()));
  conversation_.setSystem(options_.system);
  for (const std::string &source : options_.images.sources)
    LLAMA4_RETURN_IF_ERROR(conversation_.addImage(source, options_.images.alpha));
  return {};
}

Status Chat::save(const std::string &path) const {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok())
    return Status::error(StatusKind::Io, file.status().message());
  const std::string text = dumpJson(conversation_.json()) + "\n";
  LLAMA4_RETURN_IF_ERROR(file->write(std::as_bytes(std::span(text))));
  return file->commit();
}

/// The whole chat as a request.
Result<ScheduledRequest> Chat::makeRequest() const {
  LLAMA4_ASSIGN_OR_RETURN(ImagePrompt prompt, conversation_.prompt());
  if (prompt.ids.size() >= engine_.maxLength())
    return Status::error(StatusKind::Usage,
                         format("the chat: found %zu tokens, expected fewer than %llu; begin anew "
                                "with /reset, or allow more with --max-length.",
                                prompt.ids.size(), static_cast<Number>(engine_.maxLength())));
  ScheduledRequest request;
  const uint64_t room = engine_.maxLength() - prompt.ids.size();
  request.maxNewTokens = options_.maxNewTokens ? std::min(options_.maxNewTokens, room) : 0;
  request.sampling = sampling_;
  request.sampling.seed += turns_; // a turn is not drawn like the one before
  request.stopStrings = options_.sampling.stop;
  request.prompt = std::move(prompt.ids);
  request.images = std::move(prompt.images);
  return request;
}

/// Prints the answer as it comes; Ctrl-C ends it where it is.
Status Chat::generate(ScheduledRequest request, std::string &text) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  Clock::time_point first = begin;
  const uint64_t prompt = request.prompt.size(), id = ++turns_;
  uint64_t tokens = 0, known = 0;
  Status status;
  auto listener = [&](const RequestEvent &event) {
    if (!event.status.ok()) {
      status = event.status;
      return;
    }
    if (event.token && tokens++ == 0)
      first = Clock::now();
    known = std::max(known, event.cachedTokens);
    text += event.text;
    std::fwrite(event.text.data(), 1, event.text.size(), stdout);
    std::fflush(stdout);
  };
  LLAMA4_RETURN_IF_ERROR(batcher_.check(request));
  batcher_.add(id, std::move(request), listener);
  (void)takeInterrupt();
  Status step;
  while (!batcher_.idle()) {
    if (takeInterrupt() || !step.ok())
      batcher_.cancel(id);
    else
      step = batcher_.step();
  }
  LLAMA4_RETURN_IF_ERROR(step);
  LLAMA4_RETURN_IF_ERROR(status);
  std::printf("\n");
  std::fflush(stdout);
  if (!lines_.isTerminal())
    return {};
  const double wait = std::chrono::duration<double>(first - begin).count();
  const double rest = std::chrono::duration<double>(Clock::now() - first).count();
  std::fprintf(stderr,
               "[%llu tokens, %.1f tokens/s; first after %.2f s, %llu of %llu prompt tokens "
               "known]\n",
               static_cast<Number>(tokens),
               rest > 0 && tokens > 1 ? static_cast<double>(tokens - 1) / rest : 0.0, wait,
               static_cast<Number>(known), static_cast<Number>(prompt));
  return {};
}

/// A turn of the user and the answer; the turn is taken back where there is none.
Status Chat::answer(const std::string &text) {
  LLAMA4_RETURN_IF_ERROR(conversation_.ask(text));
  std::string said;
  Result<ScheduledRequest> request = makeRequest();
  Status status = request.ok() ? generate(request.take(), said) : request.status();
  if (status.ok())
    conversation_.answer(said);
  else
    conversation_.takeBack();
  return status;
}

Status Chat::take(const std::string &line, bool &ends) {
  if (line.empty())
    return {};
  if (line[0] != '/')
    return answer(line);
  if (line.starts_with("//"))
    return answer(line.substr(1));
  const std::string command = line.substr(0, line.find(' '));
  const size_t begin = line.find_first_not_of(' ', command.size());
  const std::string argument = begin == std::string::npos ? "" : line.substr(begin);
  if (command == "/help") {
    std::fputs("/help             this list\n"
               "/image SOURCE     a picture for the next question: a path or a URL\n"
               "/system TEXT      another system message; without a text, none\n"
               "/reset            forget what was said\n"
               "/save FILE        write the chat as JSON\n"
               "/exit             end; also Ctrl-D\n"
               "A line that ends in \\ goes on; // begins a line with one slash; Ctrl-C stops an "
               "answer.\n",
               stderr);
  } else if (command == "/image" && !argument.empty()) {
    return conversation_.addImage(argument, options_.images.alpha);
  } else if (command == "/system") {
    conversation_.setSystem(argument);
  } else if (command == "/reset") {
    conversation_.reset();
  } else if (command == "/save" && !argument.empty()) {
    return save(argument);
  } else if (command == "/exit") {
    ends = true;
  } else {
    return Status::error(StatusKind::Usage,
                         "found " + quoteName(line) +
                             ", expected one of /help, /image SOURCE, /system TEXT, /reset, /save "
                             "FILE, /exit.");
  }
  return {};
}

Status Chat::talk() {
  LLAMA4_RETURN_IF_ERROR(start());
  watchInterrupts();
  if (lines_.isTerminal())
    std::fputs("/help lists the commands, Ctrl-D ends\n", stderr);
  bool warned = false;
  for (bool ends = false; !ends;) {
    std::string line;
    const LineEditor::End end = lines_.read("> ", line);
    if (end == LineEditor::End::Closed || (end == LineEditor::End::Interrupted && warned))
      break;
    warned = end == LineEditor::End::Interrupted;
    if (warned) {
      std::fputs("Ctrl-C again, or Ctrl-D, ends\n", stderr);
      continue;
    }
    Status status = take(line, ends);
    if (!status.ok() && !lines_.isTerminal())
      return status; // a script hears of it
    if (!status.ok())
      note("error: " + status.message());
  }
  return {};
}

Status runChat(const ChatOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  limits.maxLength = options.maxLength;
  limits.maxSequences = 1;
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  LLAMA4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, openTokenizer(*session.program));
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  Chat chat(options, *session.program, std::move(tokenizer), *engine);
  return chat.talk();
}

} // namespace

void addChat(CLI::App &app, Action &action) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App *command = app.add_subcommand("chat", "talk with a model, turn by turn");
  addModelOptions(*command, options->model);
  command
      ->add_option("-c,--max-length,--ctx-size,--max-model-len", options->maxLength,
                   "tokens of the whole chat at most (default: as compiled)")
      ->group("Machine");
  command->add_flag("--no-history", options->noHistory, "don't read or write the file of lines")
      ->group("Machine");
  command->add_option("--system,--system-prompt", options->system, "the system message")
      ->group("Prompt");
  addImageOptions(*command, options->images);
  command
      ->add_option("-n,--max-new-tokens,--n-predict,--predict,--max-tokens", options->maxNewTokens,
                   "tokens of an answer at most (default: as many as fit)")
      ->group("Generation");
  addSamplingOptions(*command, options->sampling);
  command->callback([options, &action] { action = [options] { return runChat(*options); }; });
}

} // namespace llama4::run
