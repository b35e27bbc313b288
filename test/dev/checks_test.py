"""Each check of tools/dev sees the violation it is for, and lets correct text pass."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools/dev"))
import include_order  # noqa: E402
import limits  # noqa: E402
import mutate  # noqa: E402

KNOWN = {"runtime/base/Status.h", "runtime/engine/Engine.h", "runtime/text/Tokenizer.h",
         "runtime/text/build/Writer.h", "compiler/driver/Driver.h", "dialects/lm/Lm.h",
         "dialects/lm/Shape.h", "models/llama3/Model.h"}


class IncludeOrder(unittest.TestCase):
    def check(self, path, line):
        return include_order.check_file(path, "// banner\n" + line + "\n", KNOWN)

    def assert_clean(self, path, line):
        self.assertEqual(self.check(path, line), [])

    def assert_found(self, path, line, words):
        found = self.check(path, line)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:2: "), found)
        self.assertIn(words, found[0])

    def test_arrows(self):
        self.assert_clean("runtime/engine/Engine.cpp", '#include "runtime/base/Status.h"')
        self.assert_clean("compiler/graph/Graph.h", '#include "dialects/lm/Shape.h"')
        self.assert_clean("compiler/driver/Driver.cpp", '#include "models/llama3/Model.h"')
        against = "against the arrows"
        self.assert_found("runtime/text/Bpe.cpp", '#include "runtime/engine/Engine.h"', against)
        self.assert_found("runtime/text/Bpe.cpp", '#include "runtime/text/build/Writer.h"', against)
        self.assert_found("runtime/base/File.cpp", '#include "compiler/driver/Driver.h"', against)
        self.assert_found("passes/lm/Quantize.cpp", '#include "compiler/driver/Driver.h"', against)
        self.assert_found("compiler/graph/Graph.h", '#include "dialects/lm/Lm.h"', against)
        self.assert_found("dialects/lm/A.td", 'include "compiler/driver/Driver.h"', against)

    def test_compiler_free_rooms(self):
        self.assert_clean("passes/lm/Quantize.cpp", '#include "mlir/Pass/Pass.h"')
        for path in ("runtime/base/File.cpp", "compiler/graph/Graph.h", "models/llama3/Model.h",
                     "compiler/checkpoint/Gguf.cpp", "dialects/lm/Shape.h"):
            self.assert_found(path, '#include "llvm/ADT/STLExtras.h"', "no MLIR or LLVM")
            self.assert_found(path, "#include <mlir/IR/Value.h>", "no MLIR or LLVM")

    def test_paths(self):
        self.assert_clean("dialects/lm/Lm.h", '#include "dialects/lm/LmOps.h.inc"')
        self.assert_found("runtime/base/File.cpp", '#include "Status.h"', "project root")
        self.assert_found("novelty/File.cpp", '#include "runtime/base/Status.h"', "no known room")

    def test_instruction_sets(self):
        self.assert_clean("compiler/microkernels/cpu/Simd.h", "#include <immintrin.h>")
        self.assert_clean("runtime/device/cpu/Levels.cpp", '__builtin_cpu_supports("avx2")')
        words = "names an instruction set"
        self.assert_found("runtime/device/cpu/CpuDevice.cpp", "#include <immintrin.h>", words)
        self.assert_found("runtime/engine/Sampler.cpp", "x = _mm256_add_ps(x, y);", words)
        self.assert_found("runtime/engine/Sampler.cpp", '__builtin_cpu_supports("avx2")', words)

    def test_the_table_has_no_cycle(self):
        for room in include_order.ROOMS:
            for other in include_order.reachable(room, include_order.ROOMS) - {room}:
                self.assertNotIn(room, include_order.reachable(other, include_order.ROOMS))


class Limits(unittest.TestCase):
    def test_lines(self):
        text = "int x;\n" * 501
        self.assertEqual(len(limits.check_text("runtime/base/A.cpp", text)[0]), 1)
        self.assertEqual(limits.check_text("dialects/lm/A.cpp", text)[0], [])
        self.assertEqual(len(limits.check_text("dialects/lm/A.cpp", "int x;\n" * 801)[0]), 1)

    def test_open_ends(self):
        mark = "TO" + "DO"
        self.assertEqual(len(limits.check_text("a.cpp", f"// {mark}: later\n")[0]), 1)
        self.assertEqual(limits.check_text("a.cpp", f"// {mark}(#12): later\n")[0], [])

    def test_machine_paths(self):
        self.assertEqual(len(limits.check_text("a.md", "see /wor" + "k/main\n")[0]), 1)
        self.assertEqual(len(limits.check_text("a.md", "-B /tmp/buil" + "d-x/\n")[0]), 1)
        self.assertEqual(limits.check_text("a.md", "see framework/main and ./work/\n")[0], [])

    def test_links(self):
        self.assertEqual(len(limits.check_text("docs/a.md", "[a](../nowhere.md)\n")[0]), 1)
        self.assertEqual(limits.check_text("docs/a.md", "[a](../README.md#x)\n")[0], [])
        self.assertEqual(limits.check_text("a.md", "[a](https://example.org/b)\n")[0], [])

    def test_long_functions_are_warnings(self):
        body = "  ++x;\n" * 59
        found, warnings = limits.check_text("a.cpp", "void f(int x) {\n" + body + "}\n")
        self.assertEqual((found, len(warnings)), ([], 1))
        table = "const int kTable[] = {\n" + "  (1),\n" * 90 + "};\n"
        self.assertEqual(limits.check_text("a.cpp", table), ([], []))

    def test_bytes(self):
        self.assertEqual(len(limits.check_sizes({"a": 6 << 20})), 1)
        self.assertEqual(len(limits.check_sizes({f"f{i}": 4 << 20 for i in range(16)})), 1)
        self.assertEqual(limits.check_sizes({"a": 5 << 20}), [])
        self.assertEqual(limits.check_sizes({"models/demo/m/model.safetensors": 12_000_000}), [])
        self.assertEqual(len(limits.check_sizes({"models/demo/m/model.safetensors": 12_000_001})), 1)


class Mutations(unittest.TestCase):
    def make(self, **changes):
        fields = {"name": "x", "file": "a.cpp", "before": "a < b", "after": "a > b",
                  "program": "a_test", "test": "A.*"}
        return mutate.Mutation(**{**fields, **changes})

    def test_each_fits_the_sources(self):
        self.assertEqual(mutate.check_all(mutate.read_mutations()), [])

    def test_what_does_not_fit_is_named(self):
        self.assertIsNone(self.make().check("if (a < b)"))
        self.assertIn("0 times", self.make().check("if (a <= b)"))
        self.assertIn("2 times", self.make().check("a < b, a < b"))
        self.assertIn("not there", self.make().check(None))
        self.assertIn("changes nothing", self.make(after="a < b").check("a < b"))
        self.assertIn("one of them only", self.make(lit="a.mlir").check("a < b"))
        self.assertIn("what to build", self.make(program="", test="", ctest="c").check("a < b"))

    def test_files_of_the_copy(self):
        with tempfile.TemporaryDirectory() as folder:
            source, work = os.path.join(folder, "source"), os.path.join(folder, "work")
            mutate.write(os.path.join(source, "a/b.cpp"), b"one")
            mutate.write(os.path.join(work, "build/build.ninja"), b"")
            mutate.write(os.path.join(work, "tree/a/b.cpp"), b"left mutated")
            mutate.write(os.path.join(work, "tree/gone.cpp"), b"gone")
            copy = mutate.Copy(work, 1, source)
            self.assertEqual(mutate.content(os.path.join(copy.root, "a/b.cpp")), b"one")
            self.assertFalse(os.path.exists(os.path.join(copy.root, "gone.cpp")))


class Binaries(unittest.TestCase):
    def check(self, folder):
        return subprocess.run([os.path.join(ROOT, "tools/dev/check.sh"), "--binaries", folder],
                              capture_output=True, text=True, check=False)

    def test_what_a_program_links(self):
        built = os.environ.get("LLAMA4_BINARY_DIR")
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.check(folder).returncode, 1)  # nothing there
            os.mkdir(os.path.join(folder, "bin"))
            program = os.path.join(folder, "bin/llama4-run")
            os.symlink("/bin/true", program)
            self.assertEqual(self.check(folder).returncode, 0)
            if not built:
                self.skipTest("LLAMA4_BINARY_DIR is not set")
            os.remove(program)
            os.symlink(os.path.join(built, "llama4-opt"), program)
            result = self.check(folder)
            self.assertEqual(result.returncode, 1)
            self.assertIn("must link no compiler", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
