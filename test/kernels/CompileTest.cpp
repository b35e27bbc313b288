//===- CompileTest.cpp - determinism, dumps and errors of compilation -----===//

#include "test/kernels/Harness.h"

#include "runtime/base/File.h"

#include <cstdlib>
#include <elf.h>
#include <unistd.h>

namespace llama4::test {
namespace {

class CompileTest : public LevelTest {
protected:
  static std::string row(const std::string &body) {
    return fill(R"(
cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>):
  %0 = lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    $BODY
    lm.yield %y : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
})",
                {{"BODY", body}});
  }
};

TEST_P(CompileTest, SameBytesEveryTime) {
  const std::string text = row("%y = math.exp %a : f32");
  Result<std::vector<std::byte>> first = compileText(text, GetParam());
  Result<std::vector<std::byte>> second = compileText(text, GetParam());
  ASSERT_TRUE(first.ok()) << first.status().message();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*first, *second);
  const std::string_view bytes(reinterpret_cast<const char *>(first->data()), first->size());
  EXPECT_EQ(bytes.find("llama4-link"), std::string_view::npos) << "no path may be inside";
  const auto *header = reinterpret_cast<const Elf64_Ehdr *>(first->data());
  EXPECT_EQ(header->e_type, ET_DYN);
  EXPECT_EQ(header->e_machine, EM_X86_64);
}

TEST_P(CompileTest, DumpsAreWritten) {
  char folder[] = "/tmp/llama4-dump-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  ASSERT_TRUE(compileText(row("%y = math.exp %a : f32"), GetParam(), folder).ok());
  const std::string stem = std::string(folder) + "/kernels." + GetParam();
  const std::pair<const char *, const char *> expected[] = {
      {".mlir", "math.exp"}, {".ll", "define "}, {".s", "f:"}, {".so", "ELF"}};
  for (const auto &[suffix, word] : expected) {
    Result<std::string> text = readTextFile(stem + suffix, 1 << 20);
    ASSERT_TRUE(text.ok()) << text.status().message();
    EXPECT_NE(text->find(word), std::string::npos) << suffix;
    unlink((stem + suffix).c_str());
  }
  EXPECT_EQ(rmdir(folder), 0);
  Result<std::vector<std::byte>> missing =
      compileText(row("%y = math.exp %a : f32"), GetParam(), std::string(folder));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().kind(), StatusKind::Io);
}

/// A function of a library is an error, not a hole that opens at run time.
TEST_P(CompileTest, NoLibraryFunctions) {
  Result<std::vector<std::byte>> object =
      compileText(row("%y = math.powf %a, %a : f32"), GetParam());
  ASSERT_FALSE(object.ok());
  EXPECT_EQ(object.status().kind(), StatusKind::Internal);
  EXPECT_NE(object.status().message().find("undefined symbol: powf"), std::string::npos)
      << object.status().message();
}

TEST_P(CompileTest, KernelThatCannotBeEmitted) {
  Result<std::vector<std::byte>> object =
      compileText(row("%y = lm.rotate half %a, 20"), GetParam());
  ASSERT_FALSE(object.ok());
  EXPECT_EQ(object.status().kind(), StatusKind::InvalidInput);
  EXPECT_NE(object.status().message().find("rotates heads of 20 columns in rows of 48"),
            std::string::npos)
      << object.status().message();
}

LLAMA4_FOR_ALL_LEVELS(CompileTest);

/// The machine instructions of one linear kernel at a level, whether this machine has it or not.
std::string assemblyOf(const char *activation, const char *weight, const char *core,
                       const std::string &level) {
  char folder[] = "/tmp/llama4-dump-XXXXXX";
  EXPECT_NE(mkdtemp(folder), nullptr);
  const std::string text = fill(R"(
cmd.kernel @f grid affine_map<(T) -> ((T ceildiv 64) * 3)> {
^bb0(%x: tensor<?x1152x$A>, %w: tensor<40x1152x$E>):
  %0 = lm.linear %x, %w core <"$CORE", tokens = 64>
      : tensor<?x1152x$A>, tensor<40x1152x$E> -> tensor<?x40xf32>
  cmd.yield %0 : tensor<?x40xf32>
})",
                                {{"CORE", core}, {"A", activation}, {"E", weight}});
  Result<std::vector<std::byte>> object = compileText(text, level, folder);
  EXPECT_TRUE(object.ok()) << object.status().message();
  const std::string stem = std::string(folder) + "/kernels." + level;
  Result<std::string> assembly = readTextFile(stem + ".s", 1 << 24);
  for (const char *suffix : {".mlir", ".ll", ".s", ".so"})
    unlink((stem + suffix).c_str());
  EXPECT_EQ(rmdir(folder), 0);
  EXPECT_TRUE(assembly.ok());
  return assembly.ok() ? *assembly : "";
}

/// Code for AMX multiplies in tile registers, sets them up and gives them back; other code has
/// none.
TEST(CompileTiles, AreInTheCodeOfTheirLevelOnly) {
  struct Linear {
    const char *activation, *weight, *core, *instruction;
  };
  for (const Linear &linear :
       {Linear{"bf16", "bf16", "l4_linear_bf16_bfloat16", "tdpbf16ps\t"},
        Linear{"!lm.block<q8_32>", "!lm.block<q4_0>", "l4_linear_q8_q4_0", "tdpbsud\t"},
        Linear{"!lm.block<q8_32>", "!lm.block<q8_0>", "l4_linear_q8_q8_0", "tdpbsud\t"},
        Linear{"!lm.block<q8_128>", "!lm.block<int4_g128>", "l4_linear_q8_128_int4_g128",
               "tdpbsud\t"}}) {
    SCOPED_TRACE(linear.core);
    const std::string with =
        assemblyOf(linear.activation, linear.weight, linear.core, "x86-64-v4+vnni+bf16+amx");
    for (const char *word : {linear.instruction, "ldtilecfg\t", "tilerelease"})
      EXPECT_NE(with.find(word), std::string::npos) << word;
    const std::string without =
        assemblyOf(linear.activation, linear.weight, linear.core, "x86-64-v4+vnni+bf16");
    EXPECT_NE(without.find("zmm"), std::string::npos);
    for (const char *word : {linear.instruction, "tmm", "ldtilecfg", "tilerelease"})
      EXPECT_EQ(without.find(word), std::string::npos) << word;
  }
}

} // namespace
} // namespace llama4::test
