//===- CompletionAnswer.cpp - what /v1/completions answers ----------------===//

#include "runtime/serve/Answer.h"

#include <ctime>

namespace llama4::serve {

namespace {

/// Characters of valid UTF-8.
size_t charactersOf(std::string_view text) {
  size_t count = 0;
  for (char c : text)
    count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

class CompletionAnswer : public Answer {
public:
  CompletionAnswer(const AnswerHost &host, Call call, std::shared_ptr<Exchange> exchange,
                   std::vector<Echo> echoes, uint32_t choicesPerPrompt)
      : Answer(host, std::move(call), std::move(exchange)), echoes_(std::move(echoes)),
        choicesPerPrompt_(choicesPerPrompt) {}

protected:
  Json head(bool) const override {
    return {{"id", "cmpl-" + call().requestId},
            {"object", "text_completion"},
            {"created", created_},
            {"model", call().model}};
  }

  Json wholeChoice(uint32_t index, const Choice &choice) override {
    const Echo *echo = echoOf(index);
    return item(index, echo, (echo ? echo->text : std::string()) + choice.text,
                choice.promptLogprobs, choice.logprobs, choice.finish);
  }

  std::vector<Json> pieces(uint32_t index, const Choice &choice, std::string_view text,
                           const TokenLogprobs *logprobs,
                           std::optional<FinishReason> finish) override {
    const Echo *echo = choice.begun ? nullptr : echoOf(index);
    const std::string whole = (echo ? echo->text : std::string()) + std::string(text);
    if (whole.empty() && !logprobs && !finish)
      return {};
    std::vector<TokenLogprobs> tokens;
    if (logprobs)
      tokens.push_back(*logprobs);
    return {item(index, echo, whole, choice.promptLogprobs, tokens, finish)};
  }

private:
  const Echo *echoOf(uint32_t index) const {
    const size_t prompt = index / choicesPerPrompt_;
    return prompt < echoes_.size() ? &echoes_[prompt] : nullptr;
  }

  /// `echo`: the prompt, where the item begins with it.
  Json item(uint32_t index, const Echo *echo, const std::string &text,
            const std::vector<TokenLogprobs> &prompt, const std::vector<TokenLogprobs> &answer,
            std::optional<FinishReason> finish) {
    Json logprobs;
    if ((echo && !echo->ids.empty()) || !answer.empty())
      logprobs = logprobsOf(index, echo, prompt, answer);
    return {{"index", index},
            {"text", text},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", finishText(finish)}};
  }

  /// Tokens that are no text by themselves are named by their bytes.
  std::string nameOf(int32_t id) const {
    bool broken = false;
    std::string text = tokenText(id, broken);
    if (!broken)
      return text;
    constexpr char hex[] = "0123456789abcdef";
    text = "bytes:";
    for (char c : model().tokenizer().bytesOf(id)) {
      const auto byte = static_cast<unsigned char>(c);
      text += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    }
    return text;
  }

  /// The four lists of a choice's tokens.
  struct Lists {
    Json names = Json::array(), values = Json::array(), top = Json::array(),
         offsets = Json::array();
  };

  /// Adds a token; nothing is known of a prompt's first (`value` is null).
  void add(Lists &lists, int32_t id, const TokenLogprobs *value, size_t &offset) const {
    lists.names.push_back(nameOf(id));
    lists.values.push_back(value ? Json(finite(value->chosen.logprob)) : Json());
    lists.offsets.push_back(offset);
    bool broken = false;
    offset += model().tokenizer().isSpecial(id) ? 0 : charactersOf(tokenText(id, broken));
    Json others;
    if (value) {
      others = Json::object();
      for (const TokenLogprob &other : value->top)
        others[nameOf(other.id)] = finite(other.logprob);
    }
    lists.top.push_back(std::move(others));
  }

  Json logprobsOf(uint32_t index, const Echo *echo, const std::vector<TokenLogprobs> &prompt,
                  const std::vector<TokenLogprobs> &answer) {
    if (offsets_.size() <= index)
      offsets_.resize(index + 1, 0);
    Lists lists;
    for (size_t i = 0; echo && i < echo->ids.size(); ++i)
      add(lists, echo->ids[i], i == 0 || i > prompt.size() ? nullptr : &prompt[i - 1],
          offsets_[index]);
    for (const TokenLogprobs &token : answer)
      add(lists, token.chosen.id, &token, offsets_[index]);
    return {{"tokens", std::move(lists.names)},
            {"token_logprobs", std::move(lists.values)},
            {"top_logprobs", std::move(lists.top)},
            {"text_offset", std::move(lists.offsets)}};
  }

  const int64_t created_ = static_cast<int64_t>(std::time(nullptr));
  std::vector<Echo> echoes_;
  const uint32_t choicesPerPrompt_;
  std::vector<size_t> offsets_; ///< of the next token, per choice
};

} // namespace

std::shared_ptr<Answer> makeCompletionAnswer(const AnswerHost &host, Answer::Call call,
                                             std::shared_ptr<Exchange> exchange,
                                             std::vector<Echo> echoes, uint32_t choicesPerPrompt) {
  return std::make_shared<CompletionAnswer>(host, std::move(call), std::move(exchange),
                                            std::move(echoes), choicesPerPrompt);
}

} // namespace llama4::serve
