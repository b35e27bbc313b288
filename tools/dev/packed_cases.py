#!/usr/bin/env python3
"""Records matrices that the package compressed-tensors packed, and the values it reads from them.

    python3 -m venv P && P/bin/pip install compressed-tensors==0.20.0
    P/bin/python tools/dev/packed_cases.py test/data/packed

cases.safetensors holds for each case the tensors of a checkpoint (CASE.weight_packed, _scale,
_shape, where there are zero points _zero_point) and CASE.values, what the package's decompress()
makes of them with the scales widened to float32, so that it rounds each product once.
`w4_g128_sym_bf16.rounded` is what it makes with the scales as they are stored. config.json holds the
package's own quantization_config of each case. The package is under the Apache License 2.0.
"""
import json
import os
import sys

import torch
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file

ROWS = 11  # no multiple of the 8 zero points of a word
# bits, columns of a group (None: a scale for each row), symmetric, type of scales, columns
CASES = {
    "w4_g128_sym_bf16": (4, 128, True, torch.bfloat16, 256),
    "w4_g128_asym_bf16": (4, 128, False, torch.bfloat16, 256),
    "w4_g128_sym_f16": (4, 128, True, torch.float16, 256),
    "w4_g64_sym_f16": (4, 64, True, torch.float16, 256),
    "w4_g32_asym_bf16": (4, 32, False, torch.bfloat16, 256),
    "w4_channel_asym_f16": (4, None, False, torch.float16, 256),
    "w4_channel_sym_f32": (4, None, True, torch.float32, 41),
    "w8_g64_sym_bf16": (8, 64, True, torch.bfloat16, 256),
    "w8_channel_asym_f16": (8, None, False, torch.float16, 256),
}


def scheme_of(bits, group, symmetric):
    return QuantizationScheme(
        targets=["Linear"], format="pack-quantized",
        weights={"num_bits": bits, "type": "int", "symmetric": symmetric,
                 "strategy": "group" if group else "channel", "group_size": group})


def record(name, bits, group, symmetric, dtype, columns):
    torch.manual_seed(sum(name.encode()))
    # Not centred, so that zero points differ; rows of different size.
    size = torch.linspace(0.005, 0.2, ROWS)[:, None]
    weight = ((torch.randn(ROWS, columns) + 0.4) * size).to(dtype)
    scheme = scheme_of(bits, group, symmetric)
    groups = weight.reshape(ROWS, -1, group or columns)
    scale, zero = calculate_qparams(groups.amin(2), groups.amax(2), scheme.weights)
    state = {"weight": weight, "weight_scale": scale.to(dtype),
             "weight_zero_point": zero.round().to(torch.int8)}
    stored = PackedQuantizationCompressor.compress(state, scheme)
    exact = {**stored, "weight_scale": stored["weight_scale"].to(torch.float32)}
    tensors = {key: stored[key].contiguous() for key in stored}
    tensors["values"] = PackedQuantizationCompressor.decompress(exact, scheme)["weight"]
    assert tensors["values"].dtype == torch.float32
    if name == "w4_g128_sym_bf16":
        tensors["rounded"] = PackedQuantizationCompressor.decompress(stored, scheme)["weight"]
    config = QuantizationConfig(config_groups={"group_0": scheme}, format="pack-quantized",
                                quantization_status="compressed", ignore=["lm_head"])
    return ({f"{name}.{key}": value.contiguous() for key, value in tensors.items()},
            config.model_dump(mode="json"))


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    tensors, configs = {}, {}
    for name, case in CASES.items():
        found, configs[name] = record(name, *case)
        tensors.update(found)
    save_file(tensors, os.path.join(folder, "cases.safetensors"))
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(configs, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
