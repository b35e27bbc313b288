//===- WeightsTest.cpp - the same bits wherever the weights lie -----------===//
//
// One text on engines whose weights are mapped, copied before the first step, and copied beside
// the steps: each logit of each token has the same bits.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Greedy.h"
#include "test/promise/Models.h"

#include <gtest/gtest.h>

namespace llama4::test {
namespace {

class WeightsInMemory : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {
protected:
  void SetUp() override {
    const auto [checkpoint, encoding] = GetParam();
    Result<std::string> path = compileModel(checkpoint, encoding);
    ASSERT_TRUE(path.ok()) << path.status().message();
    path_ = *path;
    device_ = openDevice(2).take();
  }

  /// An engine on a program of its own: pages are the program's.
  std::unique_ptr<Engine> engine(const WeightsOptions &weights) {
    program_ = Program::load(path_).take();
    EngineOptions options;
    options.weights = weights;
    Result<std::unique_ptr<Engine>> engine = Engine::create(program_, *device_, options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return engine.take();
  }

  /// The logits of a prompt's last token and of a greedy answer; `finish` after so many tokens.
  std::vector<float> logitsOf(Engine &engine, size_t finishAfter = ~size_t{0}) {
    std::unique_ptr<Sequence> sequence = engine.createSequence(modelLength).take();
    std::vector<int32_t> tokens = madeUpText(40, engine.vocabSize(), 5);
    std::vector<float> all;
    for (size_t step = 0; step < 30; ++step) {
      EXPECT_TRUE(sequence->append(tokens).ok());
      const auto count = static_cast<uint32_t>(tokens.size());
      const SequenceChunk chunk = {sequence.get(), count};
      EXPECT_TRUE(engine.step({&chunk, 1}).ok());
      const uint32_t row = count - 1;
      EXPECT_TRUE(engine
                      .logits({&row, 1},
                              [&](size_t, std::span<const float> logits) {
                                all.insert(all.end(), logits.begin(), logits.end());
                                tokens = {greedyToken(logits).value_or(0)};
                              })
                      .ok());
      if (step == finishAfter)
        program_->weightPages()->finish();
    }
    return all;
  }

  std::string path_;
  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
};

TEST_P(WeightsInMemory, GiveTheSameBits) {
  using Form = WeightsReport::Form;
  const std::vector<float> mapped = logitsOf(*engine({.form = WeightsForm::Map}));
  EXPECT_EQ(program_->weightsReport().form, Form::Mapped);
  ASSERT_FALSE(mapped.empty());

  EXPECT_EQ(logitsOf(*engine({.form = WeightsForm::Copy})), mapped);
  EXPECT_EQ(program_->weightsReport().form, Form::Copied);
  EXPECT_EQ(program_->weightsReport().copied, program_->weightsBytes());

  // In the middle of the answer, with steps before and after.
  EXPECT_EQ(
      logitsOf(*engine({.form = WeightsForm::Auto, .stepsBeforeCopy = 9, .evenHuge = true}), 20),
      mapped);
  EXPECT_EQ(program_->weightsReport().form, Form::Copied) << program_->weightsReport().reason;
}

TEST_P(WeightsInMemory, StayMappedWhereMemoryIsShort) {
  const std::vector<float> mapped = logitsOf(*engine({.form = WeightsForm::Map}));
  auto little = [] { return uint64_t{100000}; };
  const WeightsOptions options = {
      .form = WeightsForm::Auto, .stepsBeforeCopy = 1, .available = little};
  EXPECT_EQ(logitsOf(*engine(options), 3), mapped);
  const WeightsReport report = program_->weightsReport();
  EXPECT_EQ(report.form, WeightsReport::Form::Mapped);
  EXPECT_TRUE(report.reason.starts_with("memory is short: found ")) << report.reason;

  EngineOptions wanted;
  wanted.weights = {.form = WeightsForm::Copy, .available = little};
  const Status status = Engine::create(program_, *device_, wanted).status();
  EXPECT_EQ(status.kind(), StatusKind::OutOfMemory);
  EXPECT_NE(status.message().find("--weights map"), std::string::npos) << status.message();
}

INSTANTIATE_TEST_SUITE_P(Models, WeightsInMemory,
                         ::testing::Values(std::tuple("llama3-text-tied", "q4_1"),
                                           std::tuple("llama4-text-f32", "bfloat16")),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param)).substr(0, 6);
                         });

} // namespace
} // namespace llama4::test
