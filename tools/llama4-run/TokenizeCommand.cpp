//===- TokenizeCommand.cpp - llama4-run tokenize --------------------------===//

#include "runtime/base/File.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Prompt.h"

namespace llama4::run {

namespace {

struct TokenizeOptions {
  std::string model, textFile, messages;
  bool parseSpecial = false, addBos = false;
};

Status run(const TokenizeOptions &options) {
  if (options.textFile.empty() == options.messages.empty())
    return Status::error(StatusKind::Usage, "found both or none of --text-file and --messages, "
                                            "expected exactly one.");
  LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const Program> program, loadModel(options.model));
  LLAMA4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, openTokenizer(*program));
  std::vector<int32_t> ids;
  if (!options.messages.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(nlohmann::ordered_json chat, readMessages(options.messages));
    LLAMA4_ASSIGN_OR_RETURN(ids, encodeChat(*program, tokenizer, chat));
  } else {
    LLAMA4_ASSIGN_OR_RETURN(std::string text, readTextFile(options.textFile, 1u << 30));
    ids = tokenizer.encode(text, {.parseSpecial = options.parseSpecial, .addBos = options.addBos});
  }
  std::fputs(printIds(ids).c_str(), stdout);
  return {};
}

} // namespace

void addTokenize(CLI::App &app, Action &action) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App *command = app.add_subcommand("tokenize", "print the token ids of a text or a chat");
  addModel(*command, options->model);
  command->add_option("-f,--text-file,--file", options->textFile, "plain text")->group("Text");
  command
      ->add_option("--messages", options->messages,
                   "JSON: a list of messages, or an object with messages and tools")
      ->group("Text");
  command
      ->add_flag("--parse-special", options->parseSpecial,
                 "control tokens in the text become control tokens")
      ->group("Text");
  command->add_flag("--add-bos", options->addBos, "put BOS in front")->group("Text");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
