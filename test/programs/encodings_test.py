"""Encodings from the command line to the tokens: GGUF files whose tensors have several block types, the
policy of llama4-compile, rows too narrow for the blocks asked for. The interpreter judges, which reads
GGUF blocks by the reference outputs of their own."""

import json
import pathlib
import sys
import tempfile
import unittest

import numpy as np

from support import cpu_levels, load_file, relative_error, run, save_file

try:
    import gguf
except ImportError:
    print("skipped: no gguf package")
    sys.exit(77)

HIDDEN, INNER, LAYERS, VOCABULARY, HEADS, KV = 256, 512, 2, 96, 8, 2
TYPES = gguf.GGMLQuantizationType
# Bytes of a block, its columns, and where its float16 scales stand.
BLOCKS = {TYPES.Q4_0: (18, 32, [0]), TYPES.Q4_1: (20, 32, [0, 2]), TYPES.Q5_0: (22, 32, [0]),
          TYPES.Q5_1: (24, 32, [0, 2]), TYPES.Q8_0: (34, 32, [0]), TYPES.Q2_K: (84, 256, [80, 82]),
          TYPES.Q3_K: (110, 256, [108]), TYPES.Q4_K: (144, 256, [0, 2]),
          TYPES.Q5_K: (176, 256, [0, 2]), TYPES.Q6_K: (210, 256, [208])}
# Magnitude of the scales that gives values of about 1 / sqrt(256).
SCALES = {TYPES.Q4_0: 0.008, TYPES.Q4_1: 0.008, TYPES.Q5_0: 0.004, TYPES.Q5_1: 0.004,
          TYPES.Q8_0: 0.0005, TYPES.Q2_K: 0.004, TYPES.Q3_K: 0.0008, TYPES.Q4_K: 0.0002,
          TYPES.Q5_K: 0.0001, TYPES.Q6_K: 0.00003}


def random_blocks(rng, kind, rows, columns):
    """Valid blocks of random quants; scales and minima are small numbers."""
    size, width, scales = BLOCKS[kind]
    blocks = rng.integers(0, 256, (rows, columns // width, size), dtype=np.uint8)
    for at in scales:
        value = rng.uniform(0.5, 1.5, (rows, columns // width)) * SCALES[kind]
        blocks[..., at:at + 2] = value.astype(np.float16)[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def write_gguf(path, kind_of):
    """A small llama whose matrices have the types that `kind_of` says."""
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)

    def matrix(name, rows, columns):
        kind = kind_of(name)
        if kind in BLOCKS:
            writer.add_tensor(name, random_blocks(rng, kind, rows, columns), raw_dtype=kind)
        else:
            values = rng.standard_normal((rows, columns)).astype(np.float32) * columns ** -0.5
            writer.add_tensor(name, values.astype(np.float16 if kind == TYPES.F16 else np.float32))

    def vector(name):
        writer.add_tensor(name, (1 + 0.1 * rng.standard_normal(HIDDEN)).astype(np.float32))

    matrix("token_embd.weight", VOCABULARY, HIDDEN)
    matrix("output.weight", VOCABULARY, HIDDEN)
    vector("output_norm.weight")
    side = HIDDEN // HEADS * KV
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        vector(at + "attn_norm.weight")
        vector(at + "ffn_norm.weight")
        for name, rows, columns in (("attn_q", HIDDEN, HIDDEN), ("attn_k", side, HIDDEN),
                                    ("attn_v", side, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
                                    ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN),
                                    ("ffn_down", HIDDEN, INNER)):
            matrix(f"{at}{name}.weight", rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def mixed(name):
    """As files called Q4_K_M are: values and down projections have more bits."""
    if name == "token_embd.weight":
        return TYPES.Q4_K
    return TYPES.Q6_K if any(k in name for k in ("attn_v", "ffn_down", "output.weight")) else TYPES.Q4_K


class Encodings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        ids = np.random.default_rng(1).integers(0, VOCABULARY, 37).astype(np.int64)
        save_file({"input_ids": ids}, str(cls.folder / "in.safetensors"))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def compile(self, source, *options):
        done = run("llama4-compile", source, "-o", self.folder / "m.l4x", *options)
        return done.stderr

    def logits(self, *options):
        run("llama4-run", "invoke", self.folder / "m.l4x", "--in", self.folder / "in.safetensors",
            "--out", self.folder / "out.safetensors", *options)
        return load_file(str(self.folder / "out.safetensors"))["logits"]

    def interpreted(self, *source):
        run("llama4-opt", "--interpret", *source, "--in", self.folder / "in.safetensors", "--out",
            self.folder / "ref.safetensors")
        return load_file(str(self.folder / "ref.safetensors"))["logits"]

    def encodings(self):
        info = json.loads(run("llama4-run", "inspect", self.folder / "m.l4x", "--json").stdout)
        return {weight["name"]: weight["encoding"] for weight in info["weights"]}

    def test_every_type_of_gguf(self):
        native = {TYPES.Q4_0: "q4_0", TYPES.Q4_1: "q4_1", TYPES.Q5_0: "q5_0", TYPES.Q8_0: "q8_0",
                  TYPES.Q4_K: "q4_k", TYPES.Q6_K: "q6_k"}
        higher = {TYPES.Q5_1: "q6_k", TYPES.Q2_K: "q4_k", TYPES.Q3_K: "q4_k", TYPES.Q5_K: "q6_k"}
        for kind, encoding in {**native, **higher}.items():
            with self.subTest(kind=kind.name):
                path = self.folder / "m.gguf"
                write_gguf(path, lambda name, kind=kind: kind)
                warning = self.compile(path, "--compute", "float32")
                stored = set(self.encodings().values())
                self.assertEqual(stored, {encoding, "float32"})
                # What no kernel reads is converted to the next higher encoding, and said so.
                self.assertEqual("doesn't have" in warning, kind in higher, warning)
                expected = self.interpreted("--checkpoint", path)
                self.assertGreater(np.abs(expected).max(), 0.1)
                for level in cpu_levels():
                    self.assertLess(relative_error(self.logits("--cpu-level", level), expected),
                                    1e-4, level)

    def test_mixed_file(self):
        path = self.folder / "mixed.gguf"
        write_gguf(path, mixed)
        self.compile(path, "--compute", "float32")
        self.assertEqual(set(self.encodings().values()), {"q4_k", "q6_k", "float32"})
        exact = self.interpreted("--checkpoint", path)
        for level in cpu_levels():
            self.assertLess(relative_error(self.logits("--cpu-level", level), exact), 1e-4)
        self.compile(path)
        whole = self.logits()
        self.assertLess(relative_error(whole, exact), 0.05)
        for options in (("--prefill-chunk-size", "7"), ("--prefill-chunk-size", "1"),
                        ("--threads", "1"), ("--threads", "3")):
            np.testing.assert_array_equal(self.logits(*options), whole, str(options))

    def test_groups_of_128(self):
        """Rows whose scales stand for 128 columns, beside readers of the same row that want others."""
        path = self.folder / "f32.gguf"
        write_gguf(path, lambda name: TYPES.F32)
        policy = ("--quantization-encoding", "int4_g128", "--encoding-for", "q_proj|gate_proj=q4_0",
                  "--encoding-for", "k_proj=bfloat16")
        exact = self.interpreted("--checkpoint", path)
        # Each level rounds attention in its own way, which may move a row's quants.
        for compute, tolerance in (("float32", 1e-4), ("bfloat16", 5e-2)):
            with self.subTest(compute=compute):
                options = (*policy, "--compute", compute)
                self.compile(path, *options)
                self.assertEqual(set(self.encodings().values()),
                                 {"int4_g128", "q4_0", "bfloat16", "float32"})
                # The interpreter runs what the passes made of the model, with weights as packed.
                (self.folder / "opt.mlir").write_text(
                    run("llama4-compile", path, *options, "--dump-phase=lm-opt").stdout)
                planned = self.interpreted(self.folder / "opt.mlir", "--checkpoint", path)
                self.assertLess(relative_error(planned, exact), 0.5)
                for level in cpu_levels():
                    whole = self.logits("--cpu-level", level)
                    self.assertLess(relative_error(whole, planned), tolerance, level)
                for more in (("--prefill-chunk-size", "7"), ("--prefill-chunk-size", "1"),
                             ("--threads", "1"), ("--threads", "3")):
                    np.testing.assert_array_equal(self.logits("--cpu-level", level, *more), whole,
                                                  str(more))

    def test_policy(self):
        path = self.folder / "f32.gguf"
        write_gguf(path, lambda name: TYPES.F32)
        exact = self.interpreted("--checkpoint", path)
        errors = {}
        for encoding in ("q8_0", "q6_k", "q5_0", "q4_k", "q4_1", "q4_0", "int4_g128"):
            self.compile(path, "--compute", "float32", "--quantization-encoding", encoding)
            self.assertEqual(set(self.encodings().values()), {encoding, "float32"})
            errors[encoding] = relative_error(self.logits(), exact)
        # More bits, less error.
        self.assertLess(errors["q8_0"], errors["q6_k"])
        self.assertLess(errors["q6_k"], errors["q5_0"])
        self.assertLess(errors["q5_0"], min(errors["q4_k"], errors["q4_1"], errors["q4_0"]))
        self.assertLess(max(errors.values()), 0.5)
        for bits, encoding in ((4, "q4_k"), (8, "q8_0")):
            self.compile(path, "--isq", bits)
            self.assertEqual(set(self.encodings().values()), {encoding, "float32"})
        rules = self.folder / "policy.txt"
        rules.write_text("# more bits where it matters\nffn_down|down_proj = q8_0\n\nv_proj=bfloat16\n"
                         .replace(" = ", "="))
        self.compile(path, "--isq", 4, "--encoding-policy", rules, "--encoding-for",
                     "layers.1.*v_proj=q6_k")
        for name, encoding in self.encodings().items():
            wanted = "q4_k"
            if "norm" in name:
                wanted = "float32"
            elif "down_proj" in name:
                wanted = "q8_0"
            elif "v_proj" in name:
                wanted = "q6_k" if "layers.1" in name else "bfloat16"
            self.assertEqual(encoding, wanted, name)

    def test_bits_in_the_plan(self):
        path = self.folder / "f32.gguf"
        write_gguf(path, lambda name: TYPES.F32)
        bits = {"q8_0": 8.5, "q6_k": 6.5625, "q5_0": 5.5, "q4_k": 4.5, "q4_1": 5.0, "q4_0": 4.5}
        for encoding, asked in bits.items():
            plan = json.loads(run("llama4-compile", path, "--plan-only", "--json",
                                  "--quantization-encoding", encoding).stdout)
            found = plan["encodings"][encoding]
            self.assertLess(abs(found["bytes"] * 8 / found["parameters"] / asked - 1), 0.02)

    def test_refused(self):
        path = self.folder / "f32.gguf"
        write_gguf(path, lambda name: TYPES.F32)
        for options, text in ((("--isq", "5"), "expected one of 4, 8"),
                              (("--isq", "4", "--quantization-encoding", "q8_0"), "expected one of them"),
                              (("--encoding-for", "q4_k"), "expected REGEX=FORMAT"),
                              (("--encoding-for", "nothing_like_it=q4_k"), "of no matrix"),
                              (("--encoding-for", "(=q4_k"), "no regular expression"),
                              (("--encoding-for", "proj=q3_k"), "expected as-stored, float32")):
            done = run("llama4-compile", path, "-o", self.folder / "x.l4x", *options, check=False)
            self.assertIn(done.returncode, (2, 65), options)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
