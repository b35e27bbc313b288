"""The dumps are the program; fusions change speed, not numbers; a new epilogue needs no C++."""

import pathlib
import re
import tempfile
import unittest

import numpy as np

from support import (DATA, cpu_levels, load_file, relative_error, run, save_file, write_checkpoint)

CHECKPOINT = DATA / "oracles" / "llama3-text-tied"
PHASES = ["lm", "lm-opt", "cmd", "plan"]
FUSIONS = ["lm-fuse-linear", "lm-fuse-rows", "lm-fuse-epilogue"]


def dispatches(plan, entry="step"):
    """Dispatches of one entry of a plan dump."""
    body = re.search(rf"cmd\.entry @{entry} (.*?)cmd\.return", plan, re.S).group(1)
    return body.count("cmd.dispatch")


class FromPhase(unittest.TestCase):
    def test_every_phase_gives_the_same_bytes(self):
        for compute in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                run("llama4-compile", CHECKPOINT, "-o", folder / "direct.l4x", "--compute", compute)
                direct = (folder / "direct.l4x").read_bytes()
                for phase in PHASES:
                    dump = run("llama4-compile", CHECKPOINT, "--compute", compute, "--dump-phase",
                               phase).stdout
                    (folder / "dump.mlir").write_text(dump)
                    run("llama4-compile", "--from-phase", phase, folder / "dump.mlir",
                        "--checkpoint", CHECKPOINT, "-o", folder / "again.l4x")
                    self.assertEqual(direct, (folder / "again.l4x").read_bytes(),
                                     f"{compute}: the artifact made from the {phase} dump differs")

    def test_contradicting_options_are_refused(self):
        with tempfile.TemporaryDirectory() as name:
            dump = pathlib.Path(name) / "lm.mlir"
            dump.write_text(run("llama4-compile", CHECKPOINT, "--compute", "float32",
                                "--dump-phase", "lm").stdout)
            for option in (["--compute", "bfloat16"], ["--max-batch-size", "3"],
                           ["--quantization-encoding", "q8_0"], ["--target", "cpu:x86-64-v3"],
                           ["--disable-pass", "lm-fuse-rows"], ["--kv-type", "bfloat16"],
                           ["--library", "onednn"]):
                done = run("llama4-compile", "--from-phase", "lm", dump, "--checkpoint", CHECKPOINT,
                           "-o", pathlib.Path(name) / "x.l4x", *option, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("contradicts", done.stderr)
                self.assertFalse((pathlib.Path(name) / "x.l4x").exists())

    def test_a_changed_dump_is_a_changed_program(self):
        """A dump is input, not decoration: an edit of it shows in the results."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            dump = run("llama4-compile", CHECKPOINT, "--compute", "float32", "--dump-phase",
                       "lm-opt").stdout
            changed = dump.replace("9.99999974E-6", "9.99999974E-1")
            self.assertNotEqual(dump, changed)
            golden = load_file(str(CHECKPOINT / "golden" / "prefill.p5.safetensors"))
            for text, same in ((dump, True), (changed, False)):
                (folder / "dump.mlir").write_text(text)
                run("llama4-compile", "--from-phase", "lm-opt", folder / "dump.mlir",
                    "--checkpoint", CHECKPOINT, "-o", folder / "p.l4x")
                run("llama4-run", "invoke", folder / "p.l4x", "--in",
                    CHECKPOINT / "golden" / "prefill.p5.safetensors", "--out",
                    folder / "out.safetensors")
                logits = load_file(str(folder / "out.safetensors"))["logits"]
                self.assertEqual(np.allclose(logits, golden["logits"], atol=1e-3), same)


class Fusions(unittest.TestCase):
    def test_switching_a_fusion_off_keeps_the_numbers_and_adds_dispatches(self):
        golden = CHECKPOINT / "golden" / "prefill.p45.safetensors"
        expected = load_file(str(golden))["logits"]
        counts = {}
        for disabled in [None, *FUSIONS]:
            options = ["--disable-pass", disabled] if disabled else []
            plan = run("llama4-compile", CHECKPOINT, "--dump-phase", "plan", *options).stdout
            counts[disabled] = dispatches(plan)
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                run("llama4-compile", CHECKPOINT, "--compute", "float32", "-o", folder / "p.l4x",
                    *options)
                run("llama4-run", "invoke", folder / "p.l4x", "--in", golden, "--out",
                    folder / "out.safetensors")
                logits = load_file(str(folder / "out.safetensors"))["logits"]
                np.testing.assert_allclose(logits, expected, atol=2e-4, err_msg=str(disabled))
        print("dispatches of a step:", counts)
        for disabled in FUSIONS:
            self.assertGreater(counts[disabled], counts[None], disabled)

    def test_passes_keep_what_the_interpreter_computes(self):
        """After each pass the interpreter gives the same logits as before it."""
        golden = CHECKPOINT / "golden" / "prefill.p5.safetensors"
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for compute in ("float32", "bfloat16"):
                text = run("llama4-compile", CHECKPOINT, "--compute", compute, "--dump-phase",
                           "lm").stdout
                (folder / "0.mlir").write_text(text)
                run("llama4-opt", "--lm-quantize", "--cse", "--mlir-print-debuginfo",
                    folder / "0.mlir", "-o", folder / "1.mlir")
                expected = self.interpret(folder, folder / "1.mlir", golden)
                passes = []
                for step in ("lm-fuse-linear", "lm-form-rows", "lm-fuse-rows", "lm-fuse-epilogue",
                             "canonicalize", "lm-select-layout", "lm-specialise"):
                    passes.append("--" + step)
                    run("llama4-opt", *passes, folder / "1.mlir", "-o", folder / "2.mlir")
                    logits = self.interpret(folder, folder / "2.mlir", golden)
                    self.assertLess(relative_error(logits, expected), 1e-5, f"{compute}: {step}")

    def interpret(self, folder, module, inputs):
        run("llama4-opt", "--interpret", module, "--checkpoint", CHECKPOINT, "--in", inputs,
            "--out", folder / "out.safetensors")
        return load_file(str(folder / "out.safetensors"))["logits"]


class Epilogue(unittest.TestCase):
    def test_an_epilogue_that_no_model_uses(self):
        """max(x, 0) * c + bias after a linear, written only here."""
        rng = np.random.default_rng(7)
        weight = rng.standard_normal((40, 96)).astype(np.float32)
        bias = rng.standard_normal(40).astype(np.float32)
        x = rng.standard_normal((70, 96)).astype(np.float32)
        text = """
module attributes {lm.options = {compute = "float32"}} {
  lm.param @w : tensor<40x96xf32> from #lm.source<"w">
  lm.param @b : tensor<40xf32> from #lm.source<"b">
  func.func @main(%x: tensor<?x96xf32> {lm.name = "x"}) -> tensor<?x40xf32>
      attributes {lm.entry = #lm.entry<"T", bound = 128>} {
    %w = lm.load_param @w : tensor<40x96xf32>
    %b = lm.load_param @b : tensor<40xf32>
    %y = lm.linear %x, %w : tensor<?x96xf32>, tensor<40x96xf32> -> tensor<?x40xf32> epilogue {
    ^bb0(%e: f32):
      %zero = arith.constant 0.0 : f32
      %c = arith.constant 0.75 : f32
      %m = arith.maximumf %e, %zero : f32
      %s = arith.mulf %m, %c : f32
      %v = lm.element %b : tensor<40xf32>
      %r = arith.addf %s, %v : f32
      lm.yield %r : f32
    }
    return %y : tensor<?x40xf32>
  }
}
"""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_checkpoint(folder / "weights", {"w": weight, "b": bias})
            (folder / "p.mlir").write_text(text)
            save_file({"x": x}, str(folder / "in.safetensors"))
            plan = run("llama4-compile", "--from-phase", "lm", folder / "p.mlir", "--checkpoint",
                       folder / "weights", "--dump-phase", "plan").stdout
            self.assertEqual(dispatches(plan, "main"), 1)
            run("llama4-compile", "--from-phase", "lm", folder / "p.mlir", "--checkpoint",
                folder / "weights", "-o", folder / "p.l4x")
            expected = np.maximum(x.astype(np.float64) @ weight.T, 0) * 0.75 + bias
            for level in cpu_levels():
                run("llama4-run", "invoke", folder / "p.l4x", "--entry", "main", "--in",
                    folder / "in.safetensors", "--out", folder / "out.safetensors", "--cpu-level",
                    level)
                found = load_file(str(folder / "out.safetensors"))["out0"]
                np.testing.assert_allclose(found, expected, atol=2e-5)


class Plan(unittest.TestCase):
    def test_every_dispatch_lists_its_sources_and_holds_one_contraction(self):
        plan = run("llama4-compile", CHECKPOINT, "--dump-phase", "plan").stdout
        sources = re.findall(r"cmd\.dispatch .*? sources (\[.*?\])", plan)
        self.assertEqual(len(sources), plan.count("cmd.dispatch"))
        for listed in sources:
            self.assertRegex(listed, r'^\["[a-z_]+( (model|lm_head)|")', "names op and module")
        for kernel in re.split(r"cmd\.kernel @", plan)[1:]:
            body = kernel.split("cmd.yield")[0]
            contractions = len(re.findall(r"= lm\.(linear|attention) |^ *lm\.linear ", body, re.M))
            self.assertLessEqual(contractions, 1, body)


if __name__ == "__main__":
    unittest.main()
