"""Llama 4 checkpoints whose experts are FP8 numbers with scales, and checkpoints without weights."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from tensors import write_safetensors
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

BIN = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"])
ORACLE = pathlib.Path(os.environ["LLAMA4_TEST_DATA"]) / "oracles/llama4-text-f32"
QUANTIZATION = {
    "quant_method": "compressed-tensors", "format": "float-quantized",
    "config_groups": {"group_0": {
        "targets": ["Linear"], "input_activations": None,
        "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "dynamic": False}}},
    "ignore": ["re:.*self_attn.*", "re:.*router$", "re:.*shared_expert.*", "lm_head"]}
SCOUT = {
    "architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text", "vocab_size": 202048, "hidden_size": 5120,
        "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_hidden_layers": 48,
        "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "num_local_experts": 16, "num_experts_per_tok": 1, "interleave_moe_layer_step": 1,
        "max_position_embeddings": 10485760, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
        "no_rope_layers": [], "use_qk_norm": True, "attention_chunk_size": 8192,
        "bos_token_id": 200000, "eos_token_id": [200001, 200007, 200008],
        "torch_dtype": "bfloat16"},
    "vision_config": {
        "model_type": "llama4_vision_model", "hidden_size": 1408, "intermediate_size": 5632,
        "num_hidden_layers": 34, "num_attention_heads": 16, "num_channels": 3, "image_size": 336,
        "patch_size": 14, "pixel_shuffle_ratio": 0.5, "projector_input_dim": 4096,
        "projector_output_dim": 4096, "vision_output_dim": 4096, "rope_theta": 10000},
    "image_token_index": 200092, "torch_dtype": "bfloat16"}
MAVERICK = {**SCOUT, "text_config": {**SCOUT["text_config"], "num_local_experts": 128,
                                     "interleave_moe_layer_step": 2, "use_qk_norm": False,
                                     "rope_scaling": None, "max_position_embeddings": 1048576}}


def e4m3(byte):
    """The number of an e4m3 byte, from its definition."""
    sign, exponent, mantissa = -1 if byte & 0x80 else 1, byte >> 3 & 15, byte & 7
    if exponent == 0:
        return sign * mantissa * 2.0 ** -9
    return sign * (8 + mantissa) * 2.0 ** (exponent - 10)


FINITE = np.array([b for b in range(256) if b & 0x7f != 0x7f], np.uint8)
NUMBERS = np.array([e4m3(int(b)) for b in FINITE], np.float32)
ORDER = np.argsort(NUMBERS, kind="stable")


def to_fp8(values):
    """Bytes, scales per row, and the values that they stand for."""
    scale = (np.abs(values).max(axis=1, keepdims=True) / 448).astype(np.float32)
    index = np.searchsorted(NUMBERS[ORDER], values / scale).clip(0, len(FINITE) - 1)
    chosen = FINITE[ORDER][index]
    return chosen, scale, NUMBERS[ORDER][index] * scale


def run(tool, *arguments):
    done = subprocess.run([str(BIN / tool), *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(f"{tool} {' '.join(map(str, arguments))}: {done.stderr}")
    return done


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def checkpoint(self, name, config):
        folder = self.folder / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        return folder


class Fp8(Folder):
    def setUp(self):
        super().setUp()
        config = json.loads((ORACLE / "config.json").read_text())
        self.plain = self.checkpoint("plain", config)
        self.fp8 = self.checkpoint("fp8", {**config, "quantization_config": QUANTIZATION})
        stored, plain = {}, {}
        for name, values in load_file(str(ORACLE / "model.safetensors")).items():
            module = name.rsplit(".", 1)[0]
            if not module.endswith(".experts"):
                plain[name] = values
                stored[name] = ("F32", values)
                continue
            matrices = values.swapaxes(1, 2)
            parts = {"down_proj": matrices} if name.endswith("down_proj") else dict(
                zip(("gate_proj", "up_proj"), np.split(matrices, 2, axis=1)))
            for part, experts in parts.items():
                for expert, matrix in enumerate(experts):
                    weight = f"{module}.{expert}.{part}.weight"
                    chosen, scale, plain[weight] = to_fp8(matrix)
                    stored[weight] = ("F8_E4M3", chosen)
                    stored[weight + "_scale"] = ("F32", scale)
        write_safetensors(self.fp8 / "model.safetensors", stored)
        save_file({name: np.ascontiguousarray(values, np.float32)
                   for name, values in plain.items()}, str(self.plain / "model.safetensors"))

    def logits(self, checkpoint):
        golden = ORACLE / "golden/prefill.p45.safetensors"
        out = self.folder / "out.safetensors"
        run("llama4-opt", "--interpret", "--checkpoint", checkpoint, "--in", golden, "--out", out)
        return load_file(str(out))["logits"]

    def test_values_are_numbers_times_scales(self):
        found, wanted = self.logits(self.fp8), self.logits(self.plain)
        self.assertGreater(wanted.std(), 0.5)
        np.testing.assert_array_equal(found, wanted)

    def test_parameters_take_the_compute_type(self):
        for compute, element in (("float32", "f32"), ("bfloat16", "bf16"), (None, "bf16")):
            options = ("--compute", compute) if compute else ()
            done = run("llama4-compile", self.fp8, "--dump-phase=lm", *options)
            experts = re.findall(r"lm\.param @\S*\.experts\.\S+ : tensor<4x64x64x(\w+)> from "
                                 r"<\"\S+\", per_expert = true, scale = \"\S+_scale\">",
                                 done.stdout)
            self.assertEqual(experts, [element] * 12, compute)
            # What is stored in a format of the artifact keeps it.
            self.assertRegex(done.stdout, r"q_proj\.weight\S* : tensor<96x64xf32>")
            self.assertRegex(done.stderr, "48 tensors are stored as f8_e4m3, which the artifact "
                                          f"doesn't have; they become {element}\n")


class WithoutWeights(Folder):
    def test_published_shapes_are_declared_in_seconds(self):
        for name, config, layers in (("scout", SCOUT, 48), ("maverick", MAVERICK, 24)):
            folder = self.checkpoint(name, config)
            count = config["text_config"]["num_local_experts"]
            begin = time.monotonic()
            done = run("llama4-compile", folder, "--dump-phase=lm", "--synthetic-weights",
                       "random:1")
            print(f"{name}: {time.monotonic() - begin:.1f} s")
            self.assertLess(time.monotonic() - begin, 5)
            experts = re.findall(
                rf"lm\.param @\S*experts\.up_proj\.weight : tensor<{count}x8192x5120xbf16> from "
                r"<\"language_model\.model\.layers\.\d+\.feed_forward\.experts\.gate_up_proj\", "
                r"transpose = true, first_row = 8192>", done.stdout)
            self.assertEqual(len(experts), layers)


if __name__ == "__main__":
    unittest.main()
