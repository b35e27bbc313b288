//===- ServiceTest.cpp - the service over an engine that fails ------------===//

#include "runtime/serve/Service.h"

#include "compiler/emit/ArtifactWriter.h"
#include "runtime/base/File.h"
#include "runtime/text/build/TokenizerBuilder.h"
#include "test/engine/ImageModel.h"

#include <future>
#include <gtest/gtest.h>

namespace llama4::serve {
namespace {

/// Does what another device does until a certain submission, which fails, as do all after it.
class FaultyDevice : public Device {
public:
  FaultyDevice(std::unique_ptr<Device> inner, uint64_t failsAt)
      : inner_(std::move(inner)), failsAt_(failsAt) {}
  std::string_view target() const override { return inner_->target(); }
  std::string describe() const override { return inner_->describe(); }
  Result<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) override {
    return inner_->allocate(bytes);
  }
  Result<std::unique_ptr<DeviceBuffer>> import(std::span<const std::byte> bytes) override {
    return inner_->import(bytes);
  }
  Status write(DeviceBuffer &buffer, uint64_t offset, std::span<const std::byte> from) override {
    return inner_->write(buffer, offset, from);
  }
  Status read(const DeviceBuffer &buffer, uint64_t offset, std::span<std::byte> to) override {
    return inner_->read(buffer, offset, to);
  }
  Result<std::unique_ptr<CodeModule>> loadCode(std::span<const CodeView> objects) override {
    return inner_->loadCode(objects);
  }
  Status reserveScratch(uint64_t bytes) override { return inner_->reserveScratch(bytes); }
  Status submit(std::span<const Dispatch> list, std::span<uint64_t> nanoseconds) override {
    if (++submissions_ >= failsAt_)
      return Status::internal("the device: found a canary, expected none.");
    return inner_->submit(list, nanoseconds);
  }
  Status wait() override { return inner_->wait(); }
  uint64_t submissions() const { return submissions_; }

private:
  std::unique_ptr<Device> inner_;
  const uint64_t failsAt_;
  std::atomic<uint64_t> submissions_ = 0;
};

/// Keeps what a client would see.
class KeptExchange : public Exchange {
public:
  struct Seen {
    int status = 0;
    std::string body;
    int ends = 0; ///< of the response; 1 is right
  };
  void respond(HttpResponse response) override {
    seen_->status = seen_->status ? seen_->status : response.status;
    seen_->body += response.body;
    finish();
  }
  void begin(HttpResponse head) override { seen_->status = head.status; }
  void prepare(HttpResponse) override {}
  void write(std::string piece) override { seen_->body += piece; }
  void end() override { finish(); }
  void onGone(std::function<void()>) override {}

  /// Waits for the end of the response.
  Seen get() {
    if (done_.get_future().wait_for(std::chrono::seconds(100)) != std::future_status::ready)
      ADD_FAILURE() << "a request was never answered";
    return *seen_;
  }

private:
  void finish() {
    if (++seen_->ends == 1)
      done_.set_value();
  }
  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
  std::promise<void> done_;
};

class ServiceTest : public testing::Test {
protected:
  static void SetUpTestSuite() { program_ = load(test::tinyProgram()); }
  /// With a tokenizer of another model, whose ids are mostly beyond the vocabulary.
  static std::shared_ptr<const Program> load(ProgramDesc program) {
    ArtifactParts parts;
    parts.program = std::move(program);
    parts.code = {readTextFile(LLAMA4_TINY_KERNELS, 1u << 20).take()};
    const std::string json = LLAMA4_TEST_DATA "/oracles/llama3-text-tied/tokenizer.json";
    const auto section = text::buildFromHfJson(readTextFile(json, 1 << 26).take(), "").take();
    parts.tokenizer.assign(reinterpret_cast<const char *>(section.data()), section.size());
    const std::string path = testing::TempDir() + "service_test.l4x";
    EXPECT_TRUE(
        writeArtifact(path, std::move(parts), [](size_t, WeightSink &) { return Status(); }).ok());
    return Program::load(path).take();
  }
  static void TearDownTestSuite() { program_.reset(); }

  std::unique_ptr<Service> serve(uint64_t failsAt) { return serve(failsAt, program_); }
  std::unique_ptr<Service> serve(uint64_t failsAt, std::shared_ptr<const Program> program) {
    service_.reset();
    device_ = std::make_unique<FaultyDevice>(test::tinyDevice(2), failsAt);
    SchedulerOptions options;
    auto scheduler =
        Scheduler::create(Engine::create(program, *device_, {}).take(), std::move(options)).take();
    return std::make_unique<Service>(ServedModel::create(program, {}).take(), std::move(scheduler),
                                     ServiceOptions());
  }
  std::shared_ptr<KeptExchange> ask(Service &service, const std::string &method,
                                    const std::string &path, const std::string &body = {}) {
    auto exchange = std::make_shared<KeptExchange>();
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    if (std::optional<HttpResponse> refusal = service.checkHead(request))
      exchange->respond(std::move(*refusal));
    else
      service.handle(std::move(request), exchange);
    return exchange;
  }

  static inline std::shared_ptr<const Program> program_;
  std::unique_ptr<FaultyDevice> device_;
  std::unique_ptr<Service> service_; // ends before the device
};

/// Whichever submission fails: who is affected is told so, each exactly once, the others have the
/// right answer, and the server says that it cannot go on.
TEST_F(ServiceTest, AFaultOfTheEngineIsLoud) {
  const std::string prompts[] = {"[1,2,3]", "[4]", "[7,8,9,10,11,12,13]", "[2,2]"};
  auto bodyOf = [](const std::string &prompt, bool stream) {
    return "{\"prompt\":" + prompt + ",\"max_tokens\":12,\"temperature\":0,\"ignore_eos\":true" +
           (stream ? ",\"stream\":true}" : "}");
  };
  std::vector<Json> right;
  service_ = serve(UINT64_MAX);
  for (const std::string &prompt : prompts)
    right.push_back(Json::parse(
        ask(*service_, "POST", "/v1/completions", bodyOf(prompt, false))->get().body)["choices"]);
  size_t faults = 0, answers = 0;
  for (uint64_t k = 1; k <= 200; ++k) {
    service_ = serve(k);
    std::vector<std::shared_ptr<KeptExchange>> asked;
    for (size_t i = 0; i < 8; ++i)
      asked.push_back(ask(*service_, "POST", "/v1/completions", bodyOf(prompts[i / 2], i % 2)));
    size_t failures = 0;
    for (size_t i = 0; i < asked.size(); ++i) {
      const KeptExchange::Seen seen = asked[i]->get();
      EXPECT_EQ(seen.body.find("canary"), std::string::npos);
      const bool failed = seen.status != 200 || seen.body.find("\"error\"") != std::string::npos;
      failures += failed;
      EXPECT_TRUE(seen.status == 200 || seen.status == 500 || seen.status == 503) << seen.status;
      if (failed)
        continue;
      ++answers;
      if (i % 2 == 0)
        EXPECT_EQ(Json::parse(seen.body)["choices"], right[i / 2]);
      else
        EXPECT_TRUE(seen.body.ends_with("data: [DONE]\n\n")) << seen.body;
    }
    const bool isFault = device_->submissions() >= k;
    EXPECT_EQ(failures != 0, isFault) << k;
    EXPECT_EQ(service_->health().ok(), !isFault);
    EXPECT_EQ(ask(*service_, "GET", "/readyz")->get().status, isFault ? 503 : 200);
    EXPECT_EQ(ask(*service_, "GET", "/livez")->get().status, 200);
    faults += isFault;
  }
  EXPECT_GT(faults, 20u);
  EXPECT_GT(answers, 20u);
}

/// The states of /livez, /health and /readyz: it runs, drains, has failed.
TEST_F(ServiceTest, Health) {
  service_ = serve(UINT64_MAX);
  auto statuses = [&] {
    std::vector<int> all;
    for (const char *path : {"/livez", "/health", "/readyz"})
      all.push_back(ask(*service_, "GET", path)->get().status);
    all.push_back(ask(*service_, "POST", "/v1/completions", R"({"prompt":[1],"max_tokens":1})")
                      ->get()
                      .status);
    return all;
  };
  EXPECT_EQ(statuses(), (std::vector{200, 200, 200, 200}));
  service_->beginDrain();
  EXPECT_EQ(statuses(), (std::vector{200, 503, 503, 503}));
  service_ = serve(1);
  EXPECT_EQ(ask(*service_, "POST", "/v1/completions", R"({"prompt":[1]})")->get().status, 500);
  EXPECT_EQ(statuses(), (std::vector{200, 503, 503, 503}));
}

/// Prompts of text alone, in every form: marks of pictures have no pictures, ids are the model's.
TEST_F(ServiceTest, PromptsThatAreNoTextAreRefused) {
  const std::string mark = std::to_string(test::llama4ImageToken);
  const std::string patch = std::to_string(test::llama4PatchToken);
  const std::string behind = std::to_string(test::mllamaImageToken); // the first no id of a text
  const std::string noMarks =
      "prompt: found 0 images for 1 marks <|image|> in the prompt, expected "
      "as many; give the missing images.";
  auto noId = [](const std::string &id) {
    return "prompt: found the token id " + id + ", expected 0 to 23 of the model's vocabulary";
  };
  struct Case {
    std::string prompt, message; ///< empty: it is answered
  };
  auto check = [&](ImageFamily family, const std::vector<Case> &cases) {
    const bool isPlain = family == ImageFamily::None;
    service_ = serve(UINT64_MAX, isPlain ? program_ : load(test::imageProgram(family)));
    for (const Case &one : cases) {
      const KeptExchange::Seen seen =
          ask(*service_, "POST", "/v1/completions",
              "{\"prompt\":" + one.prompt + ",\"max_tokens\":2,\"ignore_eos\":true}")
              ->get();
      EXPECT_EQ(seen.status, one.message.empty() ? 200 : 400) << one.prompt << seen.body;
      if (one.message.empty() || seen.status != 400)
        continue;
      const Json error = Json::parse(seen.body)["error"];
      EXPECT_EQ(error["param"], "prompt");
      EXPECT_TRUE(error["message"].get<std::string>().starts_with(one.message)) << error;
    }
  };
  const std::string forms = "prompt: expected a string, a list of token ids, or";
  check(ImageFamily::Llama4, {{"[1,2]", ""},
                              {"[1," + mark + ",2]", noMarks},
                              {"[[1],[1," + mark + "]]", noMarks},
                              {"[1," + patch + "," + patch + "]",
                               "prompt: found 2 tokens <|patch|> in the prompt, expected one for "
                               "each of the 0 feature rows"},
                              {"[[1,2],[" + behind + "]]", noId(behind)}});
  check(ImageFamily::Mllama, {{"[1," + mark + "]", ""},
                              {"[1," + behind + "]", noMarks},
                              {"[[1],[1," + behind + "]]", noMarks},
                              {"[25]", noId("25")}});
  check(ImageFamily::None, {{"[1," + mark + "," + patch + "]", ""},
                            {"[1," + behind + "]", noId(behind)},
                            {"[-1]", noId("-1")},
                            {"[18446744073709551615]", forms},
                            {"\"a text\"", "prompt: found the token id"},
                            {"[1,1.5]", forms},
                            {"[1,\"a\"]", forms},
                            {"{}", forms}});
}

/// Ids beside the prompt: the error says which field has which id that is none of the model's.
TEST_F(ServiceTest, IdsBeyondTheVocabularyAreNamed) {
  service_ = serve(UINT64_MAX);
  struct Case {
    std::string field, value, message; ///< empty: it is answered
  };
  const std::string id = ", expected a token id from 0 to 23 of the model's vocabulary.";
  const std::string bias = ", expected a number from -100 to 100.";
  const Case cases[] = {
      {"stop_token_ids", "[0,23]", ""},
      {"stop_token_ids", "[1,24]", "found 24" + id},
      {"stop_token_ids", "[18446744073709551615]", "found 18446744073709551615" + id},
      {"stop_token_ids", "[-1]", "found -1" + id},
      {"stop_token_ids", "[1.5]", "found 1.5" + id},
      {"stop_token_ids", "[\"a\"]", "found \"a\"" + id},
      {"stop_token_ids", "[[1]]", "found array" + id},
      {"stop_token_ids", "7", "expected a list of at most 16 token ids."},
      {"logit_bias", R"({"0":1,"23":-100})", ""},
      {"logit_bias", R"({"1":1,"24":1})", "found \"24\"" + id},
      {"logit_bias", R"({"4294967297":1})", "found \"4294967297\"" + id},
      {"logit_bias", R"({"-1":1})", "found \"-1\"" + id},
      {"logit_bias", R"({"05":1})", "found \"05\"" + id},
      {"logit_bias", R"({"":1})", "found \"\"" + id},
      {"logit_bias", "{\"" + std::string(50, 'x') + "\":1}",
       "found \"" + std::string(40, 'x') + "...\"" + id},
      {"logit_bias", R"({"5":101})", "found 101 for the id 5" + bias},
      {"logit_bias", R"({"5":null})", "found null for the id 5" + bias},
      {"logit_bias", "[]",
       "expected an object of at most 1024 token ids, each with a number from -100 to 100."}};
  for (const Case &one : cases) {
    const KeptExchange::Seen seen =
        ask(*service_, "POST", "/v1/completions",
            "{\"prompt\":[1],\"max_tokens\":2,\"" + one.field + "\":" + one.value + "}")
            ->get();
    EXPECT_EQ(seen.status, one.message.empty() ? 200 : 400) << one.value << seen.body;
    if (one.message.empty() || seen.status != 400)
      continue;
    const Json error = Json::parse(seen.body)["error"];
    EXPECT_EQ(error["param"], one.field);
    EXPECT_EQ(error["message"], one.field + ": " + one.message);
    EXPECT_EQ(error["type"], "invalid_request_error");
  }
}

/// What the description says a route reads is what it reads.
TEST_F(ServiceTest, DescriptionIsOfTheFieldsThatAreRead) {
  service_ = serve(UINT64_MAX);
  const Json description = service_->openApi();
  const Json &fields = description["paths"]["/v1/completions"]["post"]["requestBody"]["content"]
                                  ["application/json"]["schema"]["properties"];
  for (const char *name : {"prompt", "temperature", "stop", "echo", "logprobs", "n", "user"})
    EXPECT_TRUE(fields.contains(name)) << name;
  EXPECT_FALSE(fields.contains("tools"));
  EXPECT_EQ(fields["n"], Json::parse(R"({"type":["integer","null"],"minimum":1,"maximum":16})"));
  EXPECT_EQ(description["paths"]["/livez"]["get"]["security"], Json::parse("[{}]"));
  for (const char *name : {"prompt", "stop", "logit_bias", "stop_token_ids", "stream_options"})
    EXPECT_FALSE(fields[name].empty()) << name;
}

/// An owner that has failed ends the server.
TEST(HttpServer, EndsWhenItsOwnerFails) {
  struct Owner : ServerOwner {
    std::optional<HttpResponse> checkHead(const HttpRequest &) override { return HttpResponse(); }
    void handle(HttpRequest, std::shared_ptr<Exchange>) override {}
    HttpResponse refuse(int, const std::string &) override { return {}; }
    void beginDrain() override {}
    bool isIdle() const override { return true; }
    Status health() const override { return Status::internal("it failed."); }
    void watchBuffers(std::shared_ptr<const ByteBudget>) override {}
  } owner;
  HttpServerOptions options;
  options.port = 0;
  auto server = HttpServer::create(options, owner);
  ASSERT_TRUE(server.ok());
  EXPECT_NE((*server)->port(), 0);
  EXPECT_EQ((*server)->run().message(), "it failed.");
}

} // namespace
} // namespace llama4::serve
