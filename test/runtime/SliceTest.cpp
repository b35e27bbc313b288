//===- SliceTest.cpp - bindings that are columns of wider rows ------------===//

#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/program/Executor.h"
#include "test/runtime/SampleProgram.h"

#include <cmath>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

constexpr uint32_t wide = 64, narrow = 16, bound = 5;
constexpr uint64_t wideRow = rowBytes(ElementType::F32, wide);

/// One kernel that scales 16 columns, three times: from columns 16.. of the input to the arena,
/// there from columns 0.. to columns 16.. of the same rows, and on to columns 32.. of the output.
ArtifactParts sliceParts() {
  ArtifactParts parts = sampleParts();
  ProgramDesc &program = parts.program;
  KernelParam in, out, weight;
  in.columns = out.columns = narrow;
  in.rowBytes = out.rowBytes = wideRow;
  out.access = Access::Write;
  weight.kind = ParamKind::Weight;
  weight.encoding = "float32";
  weight.rowBytes = columns * 4;
  program.kernels = {{"scale_rows", 0, {weight, in, out}, narrow, 0}};
  Entry entry;
  entry.name = entry.function = "slices";
  entry.symbol = "T";
  entry.bound = bound;
  entry.arenaPerSymbol = wideRow;
  entry.inputs.resize(1);
  entry.inputs[0].name = "x";
  entry.inputs[0].columns = wide;
  entry.outputs = entry.inputs;
  constexpr BindingKind transient = BindingKind::Transient;
  Binding scale = {BindingKind::Weight, 1, 0};
  std::vector<int64_t> constants = {narrow, wide};
  GridExpr grid = {4, 1, 0};
  entry.commands = {
      {0, {scale, {BindingKind::Input, 0, 64}, {transient, 0, 0}}, grid, constants, ""},
      {0, {scale, {transient, 0, 0}, {transient, 0, 64}}, grid, constants, ""},
      {0, {scale, {transient, 0, 64}, {BindingKind::Output, 0, 128}}, grid, constants, ""}};
  program.entries = {entry};
  return parts;
}

Result<std::shared_ptr<const Program>> loadTampered(std::function<void(ProgramDesc &)> tamper) {
  std::string path = testPath("slices.l4x");
  ArtifactOptions options;
  options.tamper = std::move(tamper);
  LLAMA4_ASSIGN_OR_RETURN(auto summary,
                          writeArtifact(path, sliceParts(), sampleWeights(), options));
  (void)summary;
  return Program::load(path);
}

TEST(Slices, ReadAndWriteTheirOwnColumns) {
  auto program = loadTampered([](ProgramDesc &) {});
  ASSERT_TRUE(program.ok()) << program.status().message();
  auto device = createCpuDevice({2, "", Pinning::Never}).take();
  auto executable = Executable::create(*program, *device).take();
  alignas(64) float x[bound][wide], y[bound][wide];
  for (uint32_t t = 0; t < bound; ++t)
    for (uint32_t c = 0; c < wide; ++c) {
      x[t][c] = static_cast<float>(100 * t + c);
      y[t][c] = -1;
    }
  l4_step step = {};
  step.symbol = bound;
  void *inputs[] = {x}, *outputs[] = {y};
  Status status = executable->execute(0, step, inputs, outputs, {});
  ASSERT_TRUE(status.ok()) << status.message();
  for (uint32_t t = 0; t < bound; ++t)
    for (uint32_t c = 0; c < wide; ++c) {
      bool written = c >= 32 && c < 48;
      float scale = written ? scaleValue(c - 32) : 0;
      ASSERT_FLOAT_EQ(y[t][c], written ? x[t][c - 16] * scale * scale * scale : -1)
          << t << ", " << c;
    }
}

/// Changes to the second command's tensors, and whether it may then be loaded.
struct Case {
  const char *what;
  uint64_t from, to;
  uint32_t toColumns;
  bool legal;
};

TEST(Slices, MayTouchButNotOverlap) {
  const Case cases[] = {
      {"side by side", 0, 64, 16, true},
      {"the other way round", 64, 0, 16, true},
      {"in place", 64, 64, 16, true},
      {"to the end of the row", 0, 64, 48, true},
      {"into the columns of the next row", 0, 192, 32, false},
      {"between the columns read", 64, 0, 32, false},
      {"from the middle of the columns read", 0, 0, 32, false},
      {"the same columns one row on", 0, wideRow, 16, false},
  };
  for (const Case &c : cases) {
    auto program = loadTampered([&](ProgramDesc &p) {
      p.entries[0].arenaFixed = 2 * wideRow; // room for the shifted ones
      Kernel wider = p.kernels[0];
      wider.symbol = "kv_store"; // any other symbol of the object; it is not run
      wider.params[2].columns = c.toColumns;
      p.kernels.push_back(wider);
      p.entries[0].commands[1].kernel = 1;
      p.entries[0].commands[1].bindings[1].offset = c.from;
      p.entries[0].commands[1].bindings[2].offset = c.to;
    });
    EXPECT_EQ(program.ok(), c.legal) << c.what;
    if (!c.legal && !program.ok())
      EXPECT_NE(program.status().message().find("commands[1].bindings: "), std::string::npos)
          << program.status().message();
  }
}

TEST(Slices, StayInsideTheRowsOfArguments) {
  auto refused = [](const char *field, std::function<void(ProgramDesc &)> tamper) {
    auto program = loadTampered(std::move(tamper));
    ASSERT_FALSE(program.ok()) << field;
    EXPECT_NE(program.status().message().find(field), std::string::npos)
        << program.status().message();
  };
  refused("commands[0].bindings[1].offset",
          [](ProgramDesc &p) { p.entries[0].commands[0].bindings[1].offset = 256; });
  refused("commands[0].bindings[1].offset", [](ProgramDesc &p) {
    p.kernels[0].params[1].columns = 32;
    p.entries[0].commands[0].bindings[1].offset = 192;
  });
  refused("commands[2].bindings[2].offset",
          [](ProgramDesc &p) { p.entries[0].commands[2].bindings[2].offset = 256; });
  // Enough rows for one token, one too few at the bound.
  refused("commands[0].bindings[1].index", [](ProgramDesc &p) {
    p.entries[0].arenaPerSymbol = 4 * wideRow;
    p.kernels[0].params[1].rowsPerSymbol = 2;
    p.entries[0].inputs[0].rowsFixed = bound - 1;
  });
}

} // namespace
} // namespace llama4::test
