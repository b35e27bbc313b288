"""Llama 4 as a GGUF file gives the logits of the same values in the Hugging Face layout.

The file is written with the gguf package, with the keys, names and orders that converters for
llama.cpp give: experts split and [E, out, in], no permutation of query and key rows, rotary scaling
as the tensor rope_freqs.weight. What such a file can't say (chunk, NoPE layers, qk norm,
temperature) is set in the other form to what readers of these files take for granted.
"""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import gguf
    import numpy as np
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}; Llama 4 as GGUF was not compared")
    sys.exit(77)

BIN = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"])
ORACLE = pathlib.Path(os.environ["LLAMA4_TEST_DATA"]) / "oracles/llama4-text-f32"
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "bf16": gguf.GGMLQuantizationType.BF16,
         "q8_0": gguf.GGMLQuantizationType.Q8_0}
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "feed_forward.router": "ffn_gate_inp",
    "feed_forward.shared_expert.gate_proj": "ffn_gate_shexp",
    "feed_forward.shared_expert.up_proj": "ffn_up_shexp",
    "feed_forward.shared_expert.down_proj": "ffn_down_shexp",
}
TOP_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_tensors(tensors):
    """(GGUF name, values as GGUF orders them, name and way back to the other form)."""
    for name, values in sorted(tensors.items()):
        module = name.removesuffix(".weight")
        if module in TOP_NAMES:
            yield TOP_NAMES[module] + ".weight", values, name, lambda parts: parts[0]
            continue
        layer, rest = module.removeprefix("model.layers.").split(".", 1)
        block = f"blk.{layer}."
        if rest == "feed_forward.experts.gate_up_proj":
            gate, up = np.split(values.swapaxes(1, 2), 2, axis=1)
            yield block + "ffn_gate_exps.weight", gate, name, None
            yield (block + "ffn_up_exps.weight", up, name,
                   lambda parts: np.concatenate(parts, axis=1).swapaxes(1, 2))
        elif rest == "feed_forward.experts.down_proj":
            yield (block + "ffn_down_exps.weight", values.swapaxes(1, 2), name,
                   lambda parts: parts[0].swapaxes(1, 2))
        else:
            yield block + LAYER_NAMES[rest] + ".weight", values, name, lambda parts: parts[0]


def rope_factors(rope, head_dim):
    """The divisors of the frequencies that the scaling "llama3" means."""
    factors = []
    original = rope["original_max_position_embeddings"]
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        if wavelength < original / rope["high_freq_factor"]:
            factors.append(1.0)
        elif wavelength > original / rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = ((original / wavelength - rope["low_freq_factor"])
                      / (rope["high_freq_factor"] - rope["low_freq_factor"]))
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


def convert(source, target, kind, change=lambda writer: None):
    """Writes the checkpoint `source` as GGUF; returns its tensors with the values that remained."""
    config = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(str(target), "llama4")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size_mlp"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_expert_count(config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_expert_feed_forward_length(config["intermediate_size"])
    writer.add_interleave_moe_layer_step(config["interleave_moe_layer_step"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"][0])
    change(writer)
    writer.add_tensor("rope_freqs.weight",
                      rope_factors(config["rope_parameters"], config["head_dim"]))
    remained, parts = {}, []
    for name, values, origin, back in gguf_tensors(load_file(str(source / "model.safetensors"))):
        values = np.ascontiguousarray(values)
        if kind == "f32" or values.ndim == 1 or "gate_inp" in name:
            writer.add_tensor(name, values)
        else:
            blocks = gguf.quants.quantize(values, TYPES[kind])
            writer.add_tensor(name, blocks, raw_dtype=TYPES[kind])
            values = gguf.quants.dequantize(blocks, TYPES[kind]).reshape(values.shape)
        parts.append(values)
        if back:
            remained[origin] = np.ascontiguousarray(back(parts))
            parts = []
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return remained


def opt(*arguments):
    return subprocess.run([str(BIN / "llama4-opt"), *map(str, arguments)], capture_output=True,
                          text=True, check=False)


class Llama4Gguf(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.source = self.folder / "source"
        shutil.copytree(ORACLE, self.source)
        config = json.loads((self.source / "config.json").read_text())
        config.update({"attention_chunk_size": 8192, "floor_scale": 8192, "attn_scale": 0.1,
                       "max_position_embeddings": 10485760})
        (self.source / "config.json").write_text(json.dumps(config))

    def logits(self, checkpoint, inputs):
        save_file(inputs, str(self.folder / "in.safetensors"))
        out = self.folder / "out.safetensors"
        done = opt("--interpret", "--checkpoint", checkpoint, "--in",
                   self.folder / "in.safetensors", "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        return load_file(str(out))["logits"]

    def compare(self, kind):
        file = self.folder / "model.gguf"
        save_file(convert(self.source, file, kind), str(self.source / "model.safetensors"))
        ids = np.arange(3, 603, 13, dtype=np.int64)
        inputs = {"input_ids": ids}
        found, wanted = self.logits(file, inputs), self.logits(self.source, inputs)
        self.assertGreater(wanted.std(), 0.5)
        worst = np.abs(found - wanted).max()
        print(f"{kind}: worst difference {worst:.1e}")
        self.assertLessEqual(worst, 2e-4)

    def test_f32(self):
        self.compare("f32")

    def test_bf16(self):
        self.compare("bf16")

    def test_q8_0(self):
        self.compare("q8_0")

    def test_stored_formats_are_kept(self):
        file = self.folder / "model.gguf"
        convert(self.source, file, "q8_0")
        graph = opt("--import", file, "--graph").stdout
        for line in ("experts.up_proj.weight: q8_0[4, 64, 64] from \"blk.3.ffn_up_exps.weight\" ",
                     "q_proj.weight: q8_0[96, 64] from \"blk.0.attn_q.weight\" ",
                     "attn_scale 0.100000001 floor_scale 8192 "):
            self.assertTrue(line in graph, line)
        self.assertEqual(graph.count(" chunk 8192 :"), 3)
        self.assertEqual(graph.count("= qk_norm "), 6)

    def test_what_the_architecture_does_not_have_is_refused(self):
        file = self.folder / "model.gguf"
        for change, part in (
                (lambda w: w.add_sliding_window(0), "llama4.attention.sliding_window"),
                (lambda w: w.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX),
                 "llama4.expert_gating_func"),
                (lambda w: w.add_rope_scaling_factor(4.0), "llama4.rope.scaling.factor")):
            convert(self.source, file, "f32", change)
            done = opt("--import", file, "--graph")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
