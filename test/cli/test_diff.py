"""llama4-run diff: what it finds between programs, errors of tensors against numpy."""

import json
import os
import shutil
import unittest

from clitest import DATA, compiled, load_file, main, np, run, save_file, temp

try:
    import gguf
except ImportError:
    gguf = None

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


# A matrix of a small model for each block type of GGUF that has a kernel, and its name in programs.
BLOCKS = {"token_embd.weight": ("Q8_0", "model.embed_tokens.weight"),
          "output.weight": ("Q6_K", "lm_head.weight"),
          "blk.0.attn_output.weight": ("Q5_0", "model.layers.0.self_attn.o_proj.weight"),
          "blk.0.ffn_down.weight": ("Q4_K", "model.layers.0.mlp.down_proj.weight"),
          "blk.1.attn_output.weight": ("Q4_1", "model.layers.1.self_attn.o_proj.weight"),
          "blk.1.ffn_down.weight": ("Q4_0", "model.layers.1.mlp.down_proj.weight")}
HIDDEN, INNER, VOCABULARY, HEADS, KV = 256, 512, 89, 8, 2


def random_blocks(rng, kind, rows, columns):
    """Bytes at random, but for the float16 scales."""
    width, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows, columns // width, size), dtype=np.uint8)
    for at in {"Q6_K": [208], "Q4_K": [0, 2], "Q4_1": [0, 2]}.get(kind.name, [0]):
        scale = rng.uniform(-0.01, 0.01, (rows, columns // width)).astype(np.float16)
        blocks[..., at:at + 2] = scale[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def write_gguf(path, change=None):
    """A small llama with the matrices of BLOCKS; where there is `change`, these are what it makes
    of their numbers as the gguf package reads them, in float32. Returns those numbers."""
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)
    shapes = {"token_embd.weight": (VOCABULARY, HIDDEN), "output.weight": (VOCABULARY, HIDDEN),
              "output_norm.weight": (HIDDEN,)}
    side = HIDDEN // HEADS * KV
    for layer in range(2):
        for name, *shape in (("attn_norm", HIDDEN), ("ffn_norm", HIDDEN),
                             ("attn_q", HIDDEN, HIDDEN), ("attn_k", side, HIDDEN),
                             ("attn_v", side, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
                             ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN),
                             ("ffn_down", HIDDEN, INNER)):
            shapes[f"blk.{layer}.{name}.weight"] = tuple(shape)
    numbers = {}
    for name, shape in shapes.items():
        if name not in BLOCKS:
            writer.add_tensor(name, rng.standard_normal(shape).astype(np.float32))
            continue
        kind = gguf.GGMLQuantizationType[BLOCKS[name][0]]
        blocks = random_blocks(rng, kind, *shape)
        numbers[name] = gguf.quants.dequantize(blocks, kind).reshape(shape)
        if change:
            writer.add_tensor(name, change(numbers[name]))
        else:
            writer.add_tensor(name, blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return numbers


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

    @unittest.skipUnless(gguf, "no gguf package")
    def test_blocks_are_read_as_the_gguf_package_does(self):
        """The model in float32 differs where it was changed, by as much, and nowhere else."""
        def change(numbers):
            other = numbers.copy()
            other[7, 3] += 0.25
            other[-1, -1] -= 0.5
            return other
        numbers = write_gguf(temp("blocks.gguf"))
        for same, made in ((True, lambda values: values), (False, change)):
            name = temp(f"float{same}.gguf")
            write_gguf(name, made)
            report = self.diff(compiled(temp("blocks.gguf"), *ONE), compiled(name, *ONE), 1)
            self.assertEqual(len(find(report, "tensor ")), len(BLOCKS))
            for tensor, (kind, name) in BLOCKS.items():
                found = find(report, f"tensor {name}")
                self.assertEqual(len(found), 1, name)
                self.assertEqual((found[0]["a"], found[0]["b"]), (kind.lower(), "float32"))
                expected = np.abs(made(numbers[tensor]).astype(np.float64) - numbers[tensor]).max()
                self.assertEqual(found[0]["max_error"], expected, tensor)

    def test_errors_of_encodings(self):
        """Against the source: as large as numpy says, from its own rounding."""
        plain = compiled(FLOAT, *ONE)
        source = {name: tensor.astype(np.float32) for name, tensor in
                  load_file(os.path.join(FLOAT, "model.safetensors")).items()}
        for encoding, levels, most in (("q8_0", 127, 0.75), ("q4_1", 15, 1.5), ("q4_0", 8, 1.5),
                                       ("q5_0", 16, 1.5), ("bfloat16", 128, 0.75)):
            report = self.diff(plain, compiled(FLOAT, *ONE, "--quantization-encoding", encoding),
                               1)
            found = [one for one in find(report, "tensor ") if one["b"] == encoding]
            self.assertGreater(len(found), 3)
            self.assertTrue(all("max_error" in one for one in found))
            one = find(report, TENSOR)[0]
            blocks = source[TENSOR].reshape(-1, 32)
            span = (blocks.max(1) - blocks.min(1) if encoding == "q4_1" else
                    np.abs(blocks).max(1)) / levels
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
