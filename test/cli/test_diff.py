"""llama4-run diff: what it finds between programs, errors of tensors against numpy."""

import json
import os
import shutil
import unittest

from clitest import DATA, compiled, load_file, main, np, run, save_file, temp

SOURCE = os.path.join(DATA, "oracles", "llama3-text-tied")
FLOAT = os.path.join(DATA, "oracles", "llama4-text-f32")  # numpy reads its tensors
ONE = ["--target", "cpu:x86-64-v3", "--compute", "float32"]
TENSOR = "model.layers.0.self_attn.o_proj.weight"


def changed(name, change):
    """The checkpoint with other numbers in one tensor; the largest change."""
    folder = temp(name)
    if not os.path.exists(folder):
        shutil.copytree(FLOAT, folder)
    path = os.path.join(FLOAT, "model.safetensors")
    tensors = load_file(path)
    before = tensors[TENSOR].astype(np.float32)
    tensors[TENSOR] = change(tensors[TENSOR])
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    return folder, float(np.abs(tensors[TENSOR].astype(np.float32) - before).max())


def find(report, what):
    return [one for one in report["differences"] if what in one["what"]]


class Diff(unittest.TestCase):
    def diff(self, a, b, code):
        done = run("diff", a, b, "--json")
        self.assertEqual(done.returncode, code, done.stderr + done.stdout[:500])
        return json.loads(done.stdout)

    def test_equal(self):
        model = compiled(SOURCE, *ONE)
        copy = temp("copy.l4x")
        shutil.copy(model, copy)
        self.assertEqual(self.diff(model, copy, 0), {"equal": True, "differences": []})
        self.assertEqual(run("diff", model, copy).stdout, "")

    def test_one_tensor(self):
        def change(tensor):
            other = tensor.copy()
            other[5, 7] += np.asarray(0.5, tensor.dtype)
            other[1, 2] -= np.asarray(0.125, tensor.dtype)
            return other
        folder, error = changed("changed", change)
        self.assertGreater(error, 0.4)
        report = self.diff(compiled(FLOAT, *ONE), compiled(folder, *ONE), 1)
        self.assertFalse(report["equal"])
        self.assertEqual(len(report["differences"]), 1, report)
        found = find(report, TENSOR)[0]
        self.assertAlmostEqual(found["max_error"], error, delta=1e-6)
        text = run("diff", compiled(FLOAT, *ONE), compiled(folder, *ONE))
        self.assertEqual(text.returncode, 1)
        self.assertIn(TENSOR, text.stdout)

    def test_errors_of_encodings(self):
        """Of q8_0 and q4_1 against the source: as large as numpy says, from its own rounding."""
        plain = compiled(FLOAT, *ONE)
        source = {name: tensor.astype(np.float32) for name, tensor in
                  load_file(os.path.join(FLOAT, "model.safetensors")).items()}
        for encoding, levels, most in (("q8_0", 127, 0.75), ("q4_1", 15, 1.5)):
            report = self.diff(plain, compiled(FLOAT, *ONE, "--quantization-encoding", encoding),
                               1)
            found = [one for one in find(report, "tensor ") if one["b"] == encoding]
            self.assertGreater(len(found), 3)
            self.assertTrue(all("max_error" in one for one in found))
            one = find(report, TENSOR)[0]
            blocks = source[TENSOR].reshape(-1, 32)
            span = (np.abs(blocks).max(1) if encoding == "q8_0" else
                    blocks.max(1) - blocks.min(1)) / levels
            # Half a step of the coarsest block, some more where scales are rounded or searched.
            self.assertGreater(one["max_error"], 0.25 * span.max())
            self.assertLess(one["max_error"], most * span.max())

    def test_options_plan_and_kernels(self):
        report = self.diff(compiled(SOURCE, *ONE),
                           compiled(SOURCE, *ONE, "--max-length", 77, "--max-step-tokens", 9), 1)
        for what in ("options.max_length", "options.max_step_tokens", "entries.step.bound",
                     "entries.step.arena_bytes"):
            self.assertEqual(len(find(report, what)), 1, what)
        self.assertEqual(find(report, "options.max_length")[0]["b"], 77)
        report = self.diff(compiled(SOURCE, *ONE),
                           compiled(SOURCE, "--compute", "float32", "--target",
                                    "cpu:x86-64-v4+vnni"), 1)
        self.assertTrue(find(report, "code"))
        self.assertFalse(find(report, "tensor "))

    def test_template(self):
        folder = temp("template")
        shutil.copytree(SOURCE, folder)
        with open(os.path.join(folder, "chat_template.jinja"), "a", encoding="utf-8") as file:
            file.write("!")
        report = self.diff(compiled(SOURCE, *ONE), compiled(folder, *ONE), 1)
        self.assertEqual([one["what"] for one in report["differences"]], ["chat template (bytes)"])

    def test_refused(self):
        self.assertEqual(run("diff", compiled(SOURCE, *ONE), temp("none.l4x")).returncode, 66)
        self.assertEqual(run("diff", compiled(SOURCE, *ONE)).returncode, 2)


if __name__ == "__main__":
    main()
