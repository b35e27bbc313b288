//===- ChatAnswer.cpp - what /v1/chat/completions answers -----------------===//

#include "runtime/serve/Answer.h"

#include <ctime>

namespace llama4::serve {

namespace {

class ChatAnswer : public Answer {
public:
  using Answer::Answer;

protected:
  Json head(bool chunk) const override {
    return {{"id", "chatcmpl-" + call().requestId},
            {"object", chunk ? "chat.completion.chunk" : "chat.completion"},
            {"created", created_},
            {"model", call().model}};
  }

  Json wholeChoice(uint32_t index, const Choice &choice) override {
    Json logprobs;
    if (!choice.logprobs.empty())
      logprobs = logprobsOf(choice.logprobs);
    return {{"index", index},
            {"message", {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}}},
            {"logprobs", logprobs},
            {"finish_reason", finishText(choice.finish)}};
  }

  std::vector<Json> pieces(uint32_t index, const Choice &choice, std::string_view text,
                           const TokenLogprobs *logprobs,
                           std::optional<FinishReason> finish) override {
    std::vector<Json> all;
    if (!choice.begun)
      all.push_back(piece(index, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr));
    if (!text.empty() || logprobs)
      all.push_back(
          piece(index, {{"content", text}}, logprobs ? logprobsOf({*logprobs}) : Json(), nullptr));
    if (finish)
      all.push_back(piece(index, Json::object(), nullptr, finishText(finish)));
    return all;
  }

private:
  static Json piece(uint32_t index, Json delta, Json logprobs, Json finish) {
    return {{"index", index},
            {"delta", std::move(delta)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }

  Json tokenJson(const TokenLogprob &token) const {
    bool broken = false;
    std::string text = tokenText(token.id, broken);
    Json bytes = Json::array();
    for (char byte : model().tokenizer().bytesOf(token.id))
      bytes.push_back(static_cast<unsigned char>(byte));
    return {{"token", std::move(text)},
            {"logprob", finite(token.logprob)},
            {"bytes", std::move(bytes)}};
  }

  Json logprobsOf(const std::vector<TokenLogprobs> &tokens) const {
    Json content = Json::array();
    for (const TokenLogprobs &token : tokens) {
      Json item = tokenJson(token.chosen);
      item["top_logprobs"] = Json::array();
      for (const TokenLogprob &other : token.top)
        item["top_logprobs"].push_back(tokenJson(other));
      content.push_back(std::move(item));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  const int64_t created_ = static_cast<int64_t>(std::time(nullptr));
};

} // namespace

std::shared_ptr<Answer> makeChatAnswer(const AnswerHost &host, Answer::Call call,
                                       std::shared_ptr<Exchange> exchange) {
  return std::make_shared<ChatAnswer>(host, std::move(call), std::move(exchange));
}

} // namespace llama4::serve
