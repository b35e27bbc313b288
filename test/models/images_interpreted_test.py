"""llama4-opt --interpret --vision on checkpoints with images, from the pixels of their processors."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

OPT = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"]) / "llama4-opt"
ORACLES = pathlib.Path(os.environ.get("LLAMA4_ORACLES") or
                       pathlib.Path(os.environ["LLAMA4_TEST_DATA"]) / "../../../shared/oracles")
MODELS = ("llama4-vision", "mllama")
if not all((ORACLES / model / "config.json").exists() for model in MODELS):
    print(f"skipped: no reference outputs {' and '.join(MODELS)} (LLAMA4_ORACLES)")
    sys.exit(77)


def interpret(*arguments):
    """The finished process, and the tensors that it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.safetensors"
        done = subprocess.run([str(OPT), "--interpret", *map(str, arguments), "--out", str(out)],
                              capture_output=True, text=True, check=False)
        return done, load_file(str(out)) if out.exists() else {}


class Images(unittest.TestCase):
    def test_logits_of_every_prompt(self):
        for model in MODELS:
            prompts = sorted((ORACLES / model / "golden").glob("prefill.*.safetensors"))
            self.assertGreaterEqual(len(prompts), 4)
            for prompt in prompts:
                with self.subTest(model=model, prompt=prompt.name):
                    done, found = interpret("--vision", "--checkpoint", ORACLES / model, "--in",
                                            prompt)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    expected = load_file(str(prompt))["logits"]
                    self.assertLess(np.abs(found["logits"] - expected).max(), 2e-4)

    def test_fused_forms(self):
        """Passes that know nothing of images keep what the towers compute."""
        passes = ("--lm-plan-moe", "--lm-fuse-linear", "--lm-form-rows", "--lm-fuse-rows",
                  "--lm-fuse-epilogue")
        for model, prompt in (("llama4-vision", "tiled"), ("mllama", "twoturn")):
            with self.subTest(model=model), tempfile.TemporaryDirectory() as folder:
                declared, fused = (pathlib.Path(folder) / name for name in ("a.mlir", "b.mlir"))
                for command in (["--import", ORACLES / model, "--vision"],
                                [*passes, declared, "-o", fused]):
                    done = subprocess.run([str(OPT), *map(str, command)], capture_output=True,
                                          text=True, check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if command[0] == "--import":
                        declared.write_text(done.stdout)
                self.assertLess(fused.read_text().count("lm.linear"),
                                declared.read_text().count("lm.linear"))
                golden = ORACLES / model / f"golden/prefill.{prompt}.safetensors"
                done, found = interpret(fused, "--vision", "--checkpoint", ORACLES / model, "--in",
                                        golden)
                self.assertEqual(done.returncode, 0, done.stderr)
                expected = load_file(str(golden))["logits"]
                self.assertLess(np.abs(found["logits"] - expected).max(), 2e-4)

    def test_features_alone(self):
        golden = ORACLES / "llama4-vision/golden/prefill.tiled.safetensors"
        pixels = load_file(str(golden))
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "in.safetensors"
            save_file({"pixels": pixels["pixel_values"][:3]}, str(source))
            done, found = interpret("--vision", "--entry", "encode_image", "--checkpoint",
                                    ORACLES / "llama4-vision", "--in", source)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(found["out0"].shape, (3, 4, 96))
        self.assertLess(np.abs(found["out0"].reshape(12, 96) - pixels["projected"][:12]).max(),
                        1e-4)

    def test_without_the_option_only_text_is_there(self):
        golden = ORACLES / "llama4-vision/golden/prefill.text.safetensors"
        done, found = interpret("--checkpoint", ORACLES / "llama4-vision", "--in", golden)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(np.abs(found["logits"] - load_file(str(golden))["logits"]).max(), 2e-4)
        done, _ = interpret("--entry", "encode_image", "--checkpoint", ORACLES / "llama4-vision",
                            "--in", golden)
        self.assertEqual(done.returncode, 65)
        self.assertIn('found no entry "encode_image"', done.stderr)


if __name__ == "__main__":
    unittest.main()
