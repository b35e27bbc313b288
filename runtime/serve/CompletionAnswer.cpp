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
                   std::vector<std::string> echoes)
      : Answer(host, std::move(call), std::move(exchange)), echoes_(std::move(echoes)) {}

protected:
  Json head(bool) const override {
    return {{"id", "cmpl-" + call().requestId},
            {"object", "text_completion"},
            {"created", created_},
            {"model", call().model}};
  }

  Json wholeChoice(uint32_t index, const Choice &choice) override {
    return item(index, echoOf(index) + choice.text, choice.logprobs, choice.finish);
  }

  std::vector<Json> pieces(uint32_t index, const Choice &choice, std::string_view text,
                           const TokenLogprobs *logprobs,
                           std::optional<FinishReason> finish) override {
    const std::string whole = (choice.begun ? std::string() : echoOf(index)) + std::string(text);
    if (whole.empty() && !logprobs && !finish)
      return {};
    std::vector<TokenLogprobs> tokens;
    if (logprobs)
      tokens.push_back(*logprobs);
    return {item(index, whole, tokens, finish)};
  }

private:
  std::string echoOf(uint32_t index) const {
    return index < echoes_.size() ? echoes_[index] : std::string();
  }

  Json item(uint32_t index, const std::string &text, const std::vector<TokenLogprobs> &tokens,
            std::optional<FinishReason> finish) {
    return {{"index", index},
            {"text", text},
            {"logprobs", tokens.empty() ? Json() : logprobsOf(index, tokens)},
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

  Json logprobsOf(uint32_t index, const std::vector<TokenLogprobs> &tokens) {
    if (offsets_.size() <= index)
      offsets_.resize(index + 1, SIZE_MAX);
    size_t &offset = offsets_[index];
    if (offset == SIZE_MAX)
      offset = charactersOf(echoOf(index));
    Json names = Json::array(), values = Json::array(), top = Json::array(),
         offsets = Json::array();
    for (const TokenLogprobs &token : tokens) {
      names.push_back(nameOf(token.chosen.id));
      values.push_back(finite(token.chosen.logprob));
      offsets.push_back(offset);
      bool broken = false;
      offset += charactersOf(tokenText(token.chosen.id, broken));
      Json others = Json::object();
      for (const TokenLogprob &other : token.top)
        others[nameOf(other.id)] = finite(other.logprob);
      top.push_back(std::move(others));
    }
    return {{"tokens", std::move(names)},
            {"token_logprobs", std::move(values)},
            {"top_logprobs", std::move(top)},
            {"text_offset", std::move(offsets)}};
  }

  const int64_t created_ = static_cast<int64_t>(std::time(nullptr));
  std::vector<std::string> echoes_;
  std::vector<size_t> offsets_; ///< of the next token, per choice
};

} // namespace

std::shared_ptr<Answer> makeCompletionAnswer(const AnswerHost &host, Answer::Call call,
                                             std::shared_ptr<Exchange> exchange,
                                             std::vector<std::string> echoes) {
  return std::make_shared<CompletionAnswer>(host, std::move(call), std::move(exchange),
                                            std::move(echoes));
}

} // namespace llama4::serve
