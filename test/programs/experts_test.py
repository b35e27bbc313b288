"""Mixtures of experts that no reference case has, compiled: one to three experts a token, few and many
experts, widths that fill no panel, every encoding. The interpreter judges; it runs the same dump of
lm with the named ops, the compiled code what the passes made of them."""

import pathlib
import tempfile
import unittest

import numpy as np

from support import cpu_levels, load_file, relative_error, run, save_file, write_checkpoint


def module(experts, top, hidden, inner, element, options):
    """An entry that routes, runs the experts and adds them to its input."""
    up, down = f"tensor<{experts}x{inner}x{hidden}x{element}>", f"tensor<{experts}x{hidden}x{inner}x{element}>"
    rows = f"tensor<?x{hidden}xf32>"
    ids, scores = f"tensor<?x{top}xi32>", f"tensor<?x{top}xf32>"
    return f"""module attributes {{lm.options = {{{options}}}}} {{
  lm.param @n : tensor<{hidden}xf32> from #lm.source<"n">
  lm.param @r : tensor<{experts}x{hidden}xf32> from #lm.source<"r">
  lm.param @g : {up} from #lm.source<"gate_up", transpose = true>
  lm.param @u : {up} from #lm.source<"gate_up", transpose = true, first_row = {inner}>
  lm.param @d : {down} from #lm.source<"down.*", per_expert = true>
  func.func @main(%x: {rows} {{lm.name = "x"}}) -> {rows}
      attributes {{lm.entry = #lm.entry<"T", bound = 256>}} {{
    %n = lm.load_param @n : tensor<{hidden}xf32>
    %r = lm.load_param @r : tensor<{experts}x{hidden}xf32>
    %g = lm.load_param @g : {up}
    %u = lm.load_param @u : {up}
    %d = lm.load_param @d : {down}
    %h = lm.rms_norm %x, %n {{eps = 1.0e-5 : f32}} : {rows}, tensor<{hidden}xf32>
    %l = lm.linear %h, %r : {rows}, tensor<{experts}x{hidden}xf32> -> tensor<?x{experts}xf32>
    %ids, %scores = lm.route %l top {top} : tensor<?x{experts}xf32> -> {ids}, {scores}
    %y = lm.experts %h, %ids, %scores, %g, %u, %d : {rows}, {ids}, {scores}, {up}, {down}
    %z = lm.add %x, %y : {rows}
    return %z : {rows}
  }}
}}
"""


# experts, experts a token, hidden, inner, rows of the step
SHAPES = [(1, 1, 64, 32, 5), (4, 2, 64, 96, 70), (5, 3, 96, 64, 33), (16, 1, 64, 32, 200),
          (16, 16, 32, 32, 9), (3, 2, 40, 24, 17), (64, 1, 32, 32, 1)]


class Experts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def prepare(self, shape, element, options):
        experts, _, hidden, inner, rows = shape
        rng = np.random.default_rng(hash(shape) % 1000)

        def normal(*extents):
            return rng.standard_normal(extents).astype(np.float32) * extents[-1] ** -0.5

        tensors = {"n": np.ones(hidden, np.float32), "r": normal(experts, hidden) * 4,
                   "gate_up": normal(experts, hidden, 2 * inner) * 2}
        for expert in range(experts):
            tensors[f"down.{expert}"] = normal(hidden, inner)
        write_checkpoint(self.folder / "model", tensors)
        save_file({"x": rng.standard_normal((rows, hidden)).astype(np.float32)},
                  str(self.folder / "in.safetensors"))
        text = module(*shape[:4], element, options)
        (self.folder / "m.mlir").write_text(text)

    def output(self, *options):
        run("llama4-run", "invoke", self.folder / "m.l4x", "--entry", "main", "--in",
            self.folder / "in.safetensors", "--out", self.folder / "out.safetensors", *options)
        return load_file(str(self.folder / "out.safetensors"))["out0"]

    def interpreted(self, source):
        run("llama4-opt", source, "--interpret", "--entry", "main", "--checkpoint", self.folder / "model",
            "--in", self.folder / "in.safetensors", "--out", self.folder / "ref.safetensors")
        return load_file(str(self.folder / "ref.safetensors"))["out0"]

    def check(self, shape, element, options, tolerance):
        self.prepare(shape, element, options)
        expected = self.interpreted(self.folder / "m.mlir")
        run("llama4-compile", "--from-phase", "lm", self.folder / "m.mlir", "--checkpoint",
            self.folder / "model", "-o", self.folder / "m.l4x")
        # What the passes made of it, in the interpreter: grouped linears and row work.
        (self.folder / "opt.mlir").write_text(
            run("llama4-compile", "--from-phase", "lm", self.folder / "m.mlir", "--checkpoint",
                self.folder / "model", "--dump-phase=lm-opt").stdout)
        planned = self.interpreted(self.folder / "opt.mlir")
        for level in cpu_levels():
            found = self.output("--cpu-level", level)
            self.assertLess(relative_error(found, planned), 2e-5, f"{shape} {element} {level}")
            self.assertLess(relative_error(found, expected), tolerance, f"{shape} {element} {level}")
        one = self.output("--threads", 1)
        for threads in (2, 3):
            np.testing.assert_array_equal(self.output("--threads", threads), one)

    def test_float32(self):
        for shape in SHAPES:
            self.check(shape, "f32", 'compute = "float32"', 2e-5)

    def test_encodings(self):
        for shape in SHAPES[1:5]:
            for element in ("bf16", "!lm.block<q8_0>", "!lm.block<q4_1>", "!lm.block<q5_0>"):
                with self.subTest(shape=shape, element=element):
                    self.check(shape, element, 'compute = "float32"', 2e-5)

    def test_rows_rounded(self):
        for shape in SHAPES[1:4]:
            for element in ("bf16", "!lm.block<q8_0>"):
                # A rounded row may move a gate; the numbers stay near those of exact rows.
                self.check(shape, element, 'compute = "bfloat16"', 0.02)


if __name__ == "__main__":
    unittest.main()
