#!/usr/bin/env python3
"""Records the errors that the reference quantizers make on rows that a test can make again.

Writes test/data/quantizers/errors.json: {case: {encoding: root mean square error}}. The error is the
smaller one of the package `gguf` (which knows the simple encodings) and of llama.cpp's own library
without importance weights, both decoded by `gguf`. Rows are made by make_rows(), which
test/pack/QuantizeTest.cpp repeats operation by operation.

  python3 tools/dev/quantizer_cases.py > test/data/quantizers/errors.json   (needs llama-cpp-python)
"""
import ctypes
import glob
import json
import os
import sys

import gguf
import numpy as np

ROWS, COLUMNS = 8, 1024
CASES = ["normal", "heavy", "shifted", "positive", "negative", "outliers", "tiny", "large", "sparse",
         "uneven", "constant", "ramp"]
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


def main():
    library = ggml_library()
    result = {}
    for case in CASES:
        rows = make_rows(case)
        errors = result[case] = {}
        for name, dtype in TYPES.items():
            errors[name] = rms(rows, ggml_quantize(library, rows, dtype), dtype)
            if not name.endswith("_k"):
                errors[name] = min(errors[name], rms(rows, gguf.quants.quantize(rows, dtype), dtype))
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
