#!/usr/bin/env python3
"""Records the errors that the reference quantizers make on rows that a test can make again.

Writes errors.json: {case: {encoding: root mean square error}}. The error is the smaller one of the
package `gguf` (which knows the simple encodings) and of llama.cpp's own library without importance
weights, both decoded by `gguf`; of int4_g128 that of plain rounding, as checkpoints of such groups
are often made. Rows are made by make_rows(), which test/pack/QuantizeTest.cpp
repeats operation by operation; rows of a model are read from SmolLM2-135M-Instruct.Q4_1.gguf, whose
blocks go to smollm2.safetensors as they are.

  python3 tools/dev/quantizer_cases.py MODEL.gguf test/data/quantizers   (needs llama-cpp-python)
"""
import ctypes
import glob
import json
import os
import sys

import gguf
import numpy as np
from safetensors.numpy import save_file

ROWS, COLUMNS = 8, 1024
CASES = ["normal", "heavy", "shifted", "positive", "negative", "outliers", "tiny", "large", "sparse",
         "uneven", "constant", "ramp"]
# Tensors of the model and their types there; of each ROWS * COLUMNS elements from the middle.
TENSORS = {"token_embd.weight": "Q8_0", "blk.0.attn_q.weight": "Q4_1",
           "blk.0.ffn_down.weight": "Q4_1", "blk.14.ffn_up.weight": "Q4_1",
           "blk.29.attn_output.weight": "Q4_1", "blk.29.ffn_down.weight": "Q4_1"}
TYPES = {"q4_0": gguf.GGMLQuantizationType.Q4_0, "q4_1": gguf.GGMLQuantizationType.Q4_1,
         "q5_0": gguf.GGMLQuantizationType.Q5_0, "q8_0": gguf.GGMLQuantizationType.Q8_0,
         "q4_k": gguf.GGMLQuantizationType.Q4_K, "q6_k": gguf.GGMLQuantizationType.Q6_K}


def make_rows(case):
    """ROWS * COLUMNS floats; every step is exact or rounded once in double precision."""
    state = CASES.index(case) + 1
    out = []
    for i in range(ROWS * COLUMNS):
        z = -6.0
        for _ in range(12):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            z += (state >> 40) * 2.0**-24
        out.append({
            "normal": z, "heavy": z * z * z, "shifted": z + 3.0, "positive": abs(z),
            "negative": -abs(z), "outliers": z * 20.0 if i % 97 == 0 else z, "tiny": z * 2.0**-16,
            "large": z * 1024.0, "sparse": z if i % 11 == 0 else 0.0,
            "uneven": z * (1 + i // 16 % 13), "constant": 0.7109375,
            "ramp": (i % COLUMNS - 300) * 0.015625,
        }[case])
    return np.array(out, dtype=np.float64).astype(np.float32).reshape(ROWS, COLUMNS)


def read_rows(reader, name):
    """The blocks of ROWS * COLUMNS elements of a tensor, and their values."""
    (tensor,) = [tensor for tensor in reader.tensors if tensor.name == name]
    assert tensor.tensor_type.name == TENSORS[name], tensor.tensor_type
    elements, size = gguf.GGML_QUANT_SIZES[tensor.tensor_type]
    blocks, data = ROWS * COLUMNS // elements, tensor.data.reshape(-1)
    start = (data.size // size - blocks) // 2 * size
    part = data[start:start + blocks * size].copy()
    return part, gguf.quants.dequantize(part, tensor.tensor_type).reshape(ROWS, COLUMNS)


def ggml_library():
    import llama_cpp
    folder = os.path.dirname(llama_cpp.__file__)
    library = ctypes.CDLL(glob.glob(os.path.join(folder, "lib", "libggml-base.so"))[0])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library


def ggml_quantize(library, rows, dtype):
    block, size = gguf.GGML_QUANT_SIZES[dtype]
    out = np.zeros((rows.shape[0], rows.shape[1] // block * size), dtype=np.uint8)
    library.ggml_quantize_chunk(
        ctypes.c_int(int(dtype)), rows.ctypes.data_as(ctypes.c_void_p),
        out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), ctypes.c_int64(rows.shape[0]),
        ctypes.c_int64(rows.shape[1]), None)
    return out


def rms(rows, packed, dtype):
    decoded = gguf.quants.dequantize(packed, dtype).reshape(rows.shape)
    return float(np.sqrt(np.mean((decoded.astype(np.float64) - rows.astype(np.float64)) ** 2)))


def plain_groups(rows):
    """Groups of 128 rounded to 16 steps of a float16 scale, from the least value or 0 to the largest."""
    groups = rows.reshape(-1, 128)
    least, largest = np.minimum(groups.min(1), 0), np.maximum(groups.max(1), 0)
    scale = ((largest - least) / np.float32(15)).astype(np.float16).astype(np.float32)[:, None]
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    zero = np.clip(np.rint(-least[:, None] * inverse), 0, 15)
    decoded = (np.clip(np.rint(groups * inverse), -zero, 15 - zero) * scale).reshape(rows.shape)
    return float(np.sqrt(np.mean((decoded.astype(np.float64) - rows.astype(np.float64)) ** 2)))


def errors_of(library, rows):
    errors = {}
    for name, dtype in TYPES.items():
        errors[name] = rms(rows, ggml_quantize(library, rows, dtype), dtype)
        if not name.endswith("_k"):
            errors[name] = min(errors[name], rms(rows, gguf.quants.quantize(rows, dtype), dtype))
    errors["int4_g128"] = plain_groups(rows)
    return errors


def main():
    model, folder = sys.argv[1:]
    library, reader = ggml_library(), gguf.GGUFReader(model)
    result = {case: errors_of(library, make_rows(case)) for case in CASES}
    blocks = {}
    for name in TENSORS:
        blocks[name], rows = read_rows(reader, name)
        result[name] = errors_of(library, rows)
    save_file(blocks, os.path.join(folder, "smollm2.safetensors"))
    with open(os.path.join(folder, "errors.json"), "w", encoding="ascii") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
