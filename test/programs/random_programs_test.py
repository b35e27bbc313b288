"""Programs that belong to no model compile, run, and agree with the interpreter."""

import concurrent.futures
import os
import pathlib
import tempfile
import unittest

from support import (RandomProgram, cpu_levels, load_file, relative_error, run, save_file,
                     write_checkpoint)

SEEDS = 50
# float32: the order of sums differs. bfloat16: a rounding near a tie of 8-bit or bf16 activations
# falls the other way where the sums before it differ in the last bit.
TOLERANCE = {"float32": 2e-4, "bfloat16": 3e-2}


class RandomPrograms(unittest.TestCase):
    def check(self, seed, compute):
        program = RandomProgram(seed, compute)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_checkpoint(folder / "weights", program.tensors)
            (folder / "lm.mlir").write_text(program.text)
            save_file(program.inputs, str(folder / "in.safetensors"))
            # The reference runs what the passes must keep: the program after quantization.
            run("llama4-opt", "--lm-quantize", folder / "lm.mlir", "-o", folder / "ref.mlir")
            run("llama4-opt", "--interpret", folder / "ref.mlir", "--checkpoint",
                folder / "weights", "--entry", "main", "--in", folder / "in.safetensors", "--out",
                folder / "expected.safetensors")
            expected = load_file(str(folder / "expected.safetensors"))
            run("llama4-compile", "--from-phase", "lm", folder / "lm.mlir", "--checkpoint",
                folder / "weights", "-o", folder / "program.l4x")
            for level in cpu_levels():
                run("llama4-run", "invoke", folder / "program.l4x", "--entry", "main", "--in",
                    folder / "in.safetensors", "--out", folder / "out.safetensors", "--cpu-level",
                    level)
                found = load_file(str(folder / "out.safetensors"))
                self.assertEqual(sorted(found), sorted(expected))
                for key in expected:
                    self.assertEqual(found[key].shape, expected[key].shape)
                    error = relative_error(found[key], expected[key])
                    self.assertLess(error, TOLERANCE[compute],
                                    f"seed {seed}, {compute}, {level}, {key}\n{program.text}")

    def check_all(self, compute):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            done = [pool.submit(self.check, seed, compute) for seed in range(SEEDS)]
        for seed, result in enumerate(done):
            with self.subTest(seed=seed):
                result.result()

    def test_float32(self):
        self.check_all("float32")

    def test_fast(self):
        self.check_all("bfloat16")


if __name__ == "__main__":
    unittest.main()
