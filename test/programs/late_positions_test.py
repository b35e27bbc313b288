"""A whole Llama 4 model at positions up to 10,485,759, the last that Scout is published for.

The tokens before the first one of a step have keys and values of zero, which `invoke` gives them; a
computation in double precision, written here and held against the interpreter at low positions,
says what the logits are. Rotations, temperatures, chunk borders, page numbers and the ten million
scores of a layer that sees everything are those of the late positions.
"""

import pathlib
import tempfile
import unittest

import numpy as np

from dense_llama4_test import write_dense_checkpoint
from support import cpu_levels, load_file, run, save_file

LENGTH = 10 << 20
# One head of keys and values: the layer that sees everything has a cache of 1.3 GB, which is
# reserved, read as zeros and never written.
CHANGES = {"max_position_embeddings": LENGTH, "num_key_value_heads": 1, "head_dim": 16,
           "floor_scale": 8192}


class Model:
    """The decoder in float64, from its checkpoint."""

    def __init__(self, folder, config):
        self.config = config
        self.tensors = {name: tensor.astype(np.float64)
                        for name, tensor in load_file(str(folder / "model.safetensors")).items()}

    def linear(self, x, name):
        return x @ self.tensors[name + ".weight"].T

    def norm(self, x, name=None):
        scaled = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return scaled * self.tensors[name + ".weight"] if name else scaled

    def angles(self, positions):
        """[tokens, 1, head_dim / 2]; every step rounded to float32, as transformers does: at ten
        million the fastest angles have no more than their whole part."""
        rope, dim, one = self.config["rope_parameters"], self.config["head_dim"], np.float32(1)
        exponents = (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)).astype(np.float64)
        frequencies = one / (rope["rope_theta"] ** exponents).astype(np.float32)
        waves = one / frequencies * (np.float32(2) * np.float32(np.pi))
        original, factor, low, high = (np.float32(rope[name]) for name in (
            "original_max_position_embeddings", "factor", "low_freq_factor", "high_freq_factor"))
        blend = (original / waves - low) / (high - low)
        mixed = (one - blend) * frequencies / factor + blend * frequencies
        frequencies = np.where(waves > original / low, frequencies / factor,
                               np.where(waves >= original / high, mixed, frequencies))
        angles = positions.astype(np.float32)[:, None, None] * frequencies
        assert angles.dtype == np.float32
        return angles.astype(np.float64)

    def rotate(self, x, positions):
        angles = self.angles(positions)
        turned = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)
        return np.stack((turned.real, turned.imag), -1).reshape(x.shape)

    def attention(self, x, positions, layer):
        config, tokens = self.config, len(positions)
        at = f"model.layers.{layer}.self_attn."
        q, k, v = (self.linear(x, f"{at}{name}_proj").reshape(tokens, -1, config["head_dim"])
                   for name in "qkv")
        chunk = None
        if config["no_rope_layers"][layer]:
            q, k = (self.norm(self.rotate(part, positions)) for part in (q, k))
            chunk = config["attention_chunk_size"]
        else:
            steps = np.floor((positions + 1) / config["floor_scale"])
            q = q * (1 + config["attn_scale"] * np.log(1 + steps))[:, None, None]
        out = np.empty_like(q)
        for t, position in enumerate(positions):
            start = position // chunk * chunk if chunk else 0
            seen = [u for u in range(t + 1) if positions[u] >= start]
            zeros = max(0, positions[0] - start)  # tokens that nobody computed
            scores = np.einsum("hd,ud->hu", q[t], k[seen, 0]) * config["head_dim"] ** -0.5
            most = np.maximum(scores.max(-1, keepdims=True), 0)
            weights = np.exp(scores - most)
            total = weights.sum(-1, keepdims=True) + zeros * np.exp(-most)
            out[t] = (weights / total) @ v[seen, 0]
        return self.linear(out.reshape(tokens, -1), at + "o_proj")

    def logits(self, ids, first):
        positions = first + np.arange(len(ids), dtype=np.int64)
        x = self.tensors["model.embed_tokens.weight"][ids]
        for layer in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{layer}."
            x = x + self.attention(self.norm(x, at + "input_layernorm"), positions, layer)
            y = self.norm(x, at + "post_attention_layernorm")
            gate = self.linear(y, at + "feed_forward.gate_proj")
            up = self.linear(y, at + "feed_forward.up_proj")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * up, at + "feed_forward.down_proj")
        return self.linear(self.norm(x, "model.norm"), "lm_head")


class LatePositions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.config = write_dense_checkpoint(cls.folder / "model", **CHANGES)
        cls.model = Model(cls.folder / "model", cls.config)
        run("llama4-compile", cls.folder / "model", "-o", cls.folder / "m.l4x", "--compute",
            "float32", "--max-length", LENGTH)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def path(self, name):
        return str(self.folder / name)

    def invoke(self, entry, inputs, *options, check=True):
        save_file(inputs, self.path("in.safetensors"))
        done = run("llama4-run", "invoke", self.path("m.l4x"), "--entry", entry, "--in",
                   self.path("in.safetensors"), "--out", self.path("out.safetensors"), *options,
                   check=check)
        return load_file(self.path("out.safetensors"))["out0"] if check else done

    def compiled(self, entry, ids, first, *options):
        positions = first + np.arange(len(ids), dtype=np.int64)
        hidden = self.invoke(entry, {"ids": ids, "positions": positions}, *options)
        rows = np.arange(len(ids), dtype=np.int64)
        return self.invoke("logits", {"hidden": hidden, "rows": rows}, *options)

    def ids(self, count):
        rng = np.random.default_rng(count)
        return rng.integers(0, self.config["vocab_size"] - 20, count).astype(np.int64)

    def test_the_computation_is_the_interpreters(self):
        ids = self.ids(2 * self.config["attention_chunk_size"] + 5)
        save_file({"input_ids": ids}, self.path("in.safetensors"))
        run("llama4-opt", "--interpret", "--checkpoint", self.folder / "model", "--in",
            self.path("in.safetensors"), "--out", self.path("expected.safetensors"))
        expected = load_file(self.path("expected.safetensors"))["logits"]
        np.testing.assert_allclose(self.model.logits(ids, 0), expected, atol=1e-3)

    def test_up_to_the_last_position(self):
        # Three tokens inside the last chunk; five across the border in front of it, which is also
        # a border of pages; the last position alone, as decoding does it.
        last = LENGTH // self.config["attention_chunk_size"] - 1
        border = last * self.config["attention_chunk_size"]
        for entry, first, count in (("step", LENGTH - 3, 3), ("step", border - 2, 5),
                                    ("step_decode", LENGTH - 1, 1)):
            ids = self.ids(count)
            expected = self.model.logits(ids, first)
            # What is seen there differs from what a lower position sees.
            self.assertGreater(np.abs(expected - self.model.logits(ids, 0)).max(), 0.1)
            for level in cpu_levels():
                found = self.compiled(entry, ids, first, "--cpu-level", level)
                np.testing.assert_allclose(found, expected, atol=1e-3,
                                           err_msg=f"{entry} {first} {level}")

    def test_positions_that_cannot_be(self):
        ids = self.ids(3)
        for positions in ([0, 1, 3], [-1, 0, 1], [LENGTH - 2, LENGTH - 1, LENGTH], [5, 6]):
            done = self.invoke("step", {"ids": ids, "positions": np.array(positions)},
                               check=False)
            self.assertEqual(done.returncode, 65, done.stderr)
            self.assertIn('"positions"', done.stderr)


if __name__ == "__main__":
    unittest.main()
