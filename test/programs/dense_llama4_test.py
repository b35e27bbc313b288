"""A Llama 4 decoder without experts, compiled: interleaved RoPE, head norms, chunked attention in a
state of its own, attention temperature. The interpreter, which the reference outputs prove, judges."""

import json
import pathlib
import tempfile
import unittest

import numpy as np

from support import DATA, cpu_levels, load_file, run, save_file

SOURCE = DATA / "oracles" / "llama4-text-f32"


def write_dense_checkpoint(folder, **changes):
    """The small Llama 4 configuration with every layer dense, and random weights for it."""
    config = {**json.loads((SOURCE / "config.json").read_text()), **changes}
    config["moe_layers"] = []
    for field in ("interleave_moe_layer_step", "_name_or_path"):
        config.pop(field, None)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(11)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    kv, dim = config["num_key_value_heads"], config["head_dim"]
    inner, vocabulary = config["intermediate_size_mlp"], config["vocab_size"]
    tensors = {}

    def matrix(name, rows, columns):
        values = rng.standard_normal((rows, columns)) * columns ** -0.5
        tensors[name + ".weight"] = values.astype(np.float32)

    def norm(name):
        tensors[name + ".weight"] = (1 + 0.1 * rng.standard_normal(hidden)).astype(np.float32)

    matrix("model.embed_tokens", vocabulary, hidden)
    matrix("lm_head", vocabulary, hidden)
    norm("model.norm")
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        norm(at + "input_layernorm")
        norm(at + "post_attention_layernorm")
        matrix(at + "self_attn.q_proj", heads * dim, hidden)
        matrix(at + "self_attn.k_proj", kv * dim, hidden)
        matrix(at + "self_attn.v_proj", kv * dim, hidden)
        matrix(at + "self_attn.o_proj", hidden, heads * dim)
        matrix(at + "feed_forward.gate_proj", inner, hidden)
        matrix(at + "feed_forward.up_proj", inner, hidden)
        matrix(at + "feed_forward.down_proj", hidden, inner)
    save_file(tensors, str(folder / "model.safetensors"))
    return config


class DenseLlama4(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.config = write_dense_checkpoint(cls.folder / "model")
        chunk = cls.config["attention_chunk_size"]
        rng = np.random.default_rng(3)
        # Five chunks and a bit: chunk borders, pages that are dropped, temperatures that change.
        ids = rng.integers(0, cls.config["vocab_size"] - 20, 5 * chunk + 3).astype(np.int64)
        save_file({"input_ids": ids}, str(cls.folder / "in.safetensors"))
        run("llama4-opt", "--interpret", "--checkpoint", cls.folder / "model", "--in",
            cls.folder / "in.safetensors", "--out", cls.folder / "expected.safetensors")
        cls.expected = load_file(str(cls.folder / "expected.safetensors"))["logits"]
        run("llama4-compile", cls.folder / "model", "-o", cls.folder / "m.l4x", "--compute",
            "float32")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def logits(self, *options):
        run("llama4-run", "invoke", self.folder / "m.l4x", "--in", self.folder / "in.safetensors",
            "--out", self.folder / "out.safetensors", *options)
        return load_file(str(self.folder / "out.safetensors"))["logits"]

    def test_compiled_code_equals_the_interpreter(self):
        for level in cpu_levels():
            found = self.logits("--cpu-level", level)
            np.testing.assert_allclose(found, self.expected, atol=1e-3, err_msg=level)

    def test_the_same_bits_in_chunks_and_with_other_threads(self):
        whole = self.logits()
        for options in (("--prefill-chunk-size", "7"), ("--prefill-chunk-size", "1"),
                        ("--threads", "1"), ("--threads", "3")):
            np.testing.assert_array_equal(self.logits(*options), whole, str(options))


if __name__ == "__main__":
    unittest.main()
