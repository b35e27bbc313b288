//===- ReportsTest.cpp - programs with experts, described -----------------===//

#include "compiler/report/PlanReport.h"
#include "runtime/format/HostMemory.h"
#include "test/runtime/SampleProgram.h"
#include "tools/llama4-run/Inspect.h"

#include <gtest/gtest.h>

namespace llama4::test {
namespace {

std::shared_ptr<const Program> loadExperts() {
  const std::string path = testPath("reports.l4x");
  auto summary = writeArtifact(path, expertParts(), expertWeights());
  EXPECT_TRUE(summary.ok()) << summary.status().message();
  auto program = Program::load(path);
  EXPECT_TRUE(program.ok()) << program.status().message();
  return program.ok() ? program.take() : nullptr;
}

/// The first line with `part`.
std::string lineWith(const std::string &text, const std::string &part) {
  const size_t place = text.find(part);
  if (place == std::string::npos)
    return "none with " + part;
  const size_t begin = text.rfind('\n', place) + 1;
  return text.substr(begin, text.find('\n', place) - begin);
}

TEST(Reports, PlanCountsTheParametersOfAllMatrices) {
  const ProgramDesc program = expertParts().program;
  const uint64_t parameters = vocab * columns + columns + experts * columns;
  auto json = nlohmann::json::parse(planReport(program, true));
  EXPECT_EQ(json["parameters"], parameters);
  EXPECT_EQ(json["encodings"]["float32"]["parameters"], parameters);
  EXPECT_EQ(json["encodings"]["float32"]["tensors"], 3);
  EXPECT_NE(planReport(program, false).find(std::to_string(parameters) + " parameters"),
            std::string::npos);
}

TEST(Reports, PlanBoundsAllOfTheProcess) {
  const ProgramDesc program = expertParts().program;
  const MemoryPlan plan = planMemory(program);
  EXPECT_EQ(plan.host, hostBytes);
  EXPECT_GT(plan.host, 0u);
  EXPECT_EQ(plan.memory, plan.weights.bytes + plan.arena + plan.step + plan.cache + plan.host);
  auto json = nlohmann::json::parse(planReport(program, true));
  EXPECT_EQ(json["memory_bytes"]["host"], plan.host);
  EXPECT_EQ(json["memory_bytes"]["all"], plan.memory);
  const std::string text = planReport(program, false);
  EXPECT_TRUE(lineWith(text, "host  ").starts_with("host         25.17 MB for everything else"))
      << text;
  EXPECT_NE(lineWith(text, "memory  ").find(" + host 25.17 MB = "), std::string::npos) << text;
}

TEST(Reports, InspectNamesTheMatricesOfExperts) {
  std::shared_ptr<const Program> program = loadExperts();
  ASSERT_TRUE(program);
  const auto json = run::inspectJson(*program);
  EXPECT_EQ(json["weights"][2]["matrices"], experts);
  EXPECT_FALSE(json["weights"][0].contains("matrices"));
  EXPECT_EQ(json["kernels"][7]["experts"], experts);
  EXPECT_FALSE(json["kernels"][6].contains("experts"));
  const std::string text = run::inspectText(*program);
  EXPECT_TRUE(lineWith(text, "\"experts\"").ends_with("\"experts\", 9 matrices"))
      << lineWith(text, "\"experts\"");
  EXPECT_TRUE(lineWith(text, "\"table\"").ends_with("\"table\"")) << lineWith(text, "\"table\"");
}

} // namespace
} // namespace llama4::test
