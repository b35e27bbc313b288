"""Compares the checkpoint readers with the reference packages of Python.

usage: crosscheck.py PROBE DATA_FOLDER

- safetensors: files of the reference writer read the same; of 4000 damaged files none that the
  reference refuses is accepted, and what both accept has the same tensors.
- GGUF: files of the reference writer with every tensor type and kind of metadata decode to the same
  float32 values; LLAMA4_SMOLLM2 names a real file to compare as well.
"""

import glob
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib

try:
    import gguf
    import numpy as np
    import safetensors
    import safetensors.numpy
except ImportError as missing:
    print(f"skipped: {missing}; the readers were not compared with the reference packages")
    sys.exit(77)

PROBE, DATA = sys.argv[1:3]
DTYPES = {"F32": "f32", "F16": "f16", "BF16": "bf16", "F64": "f64", "F8_E4M3": "f8_e4m3",
          "F8_E5M2": "f8_e5m2", "BOOL": "bool", "I8": "i8", "U8": "u8", "I16": "i16",
          "U16": "u16", "I32": "i32", "U32": "u32", "I64": "i64", "U64": "u64"}


def probe(files):
    """The probe's line for each (kind, bytes)."""
    data = b"".join(kind.encode() + struct.pack("<Q", len(raw)) + raw for kind, raw in files)
    run = subprocess.run([PROBE], input=data, stdout=subprocess.PIPE, check=True)
    lines = run.stdout.decode().splitlines()
    assert len(lines) == len(files), (len(lines), len(files))
    return lines


def parse(line):
    """{name: (dtype, shape, offset, bytes, checksum)} of a "read" line, or None if refused."""
    if line.startswith("refused "):
        return None
    tensors = {}
    for word in line.split("read", 1)[1].replace(", ", ",").split():
        name, dtype, shape, offset, size, crc = word.split(":")
        shape = [int(x) for x in shape.strip("[]").split(",") if x]
        tensors[bytes.fromhex(name).decode()] = (dtype, shape, int(offset), int(size), int(crc))
    return tensors


def reference_safetensors(raw):
    """{name: (dtype, shape, bytes)} by the reference reader, or None if it refuses."""
    try:
        return {name: (DTYPES.get(t["dtype"]), t["shape"], bytes(t["data"]))
                for name, t in safetensors.deserialize(raw)}
    except safetensors.SafetensorError:
        return None


def check_safetensors():
    rng = random.Random(5)
    seeds = [open(p, "rb").read() for p in glob.glob(DATA + "/gguf_blocks/*.safetensors")]
    seeds.append(safetensors.numpy.save(
        {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b.c": np.array(3, np.float32),
         "empty": np.zeros((0, 4), np.float16), "flag": np.array([True, False])},
        {"format": "pt"}))
    for line, raw in zip(probe([("s", s) for s in seeds]), seeds):
        assert parse(line) is not None, line
    pieces = [b"0", b"1", b"9", b",", b":", b"[", b"]", b"{", b"}", b'"', b"\\", b" ", b"-", b".",
              b"e", b"\xff", b"\0", b"null", b"18446744073709551615", b"BF16", b"__metadata__",
              b'"shape":[1],', b'"dtype":"U8",']
    mutants = []
    small = seeds[-1]
    for _ in range(4000):
        head = struct.unpack("<Q", small[:8])[0]
        text = bytearray(small[8:8 + head])
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            at = rng.randrange(len(text))
            piece = rng.choice(pieces)
            text[at:at + rng.choice([0, 1, len(piece)])] = piece
        data = small[8 + head:]
        if rng.random() < 0.1:
            data = data[:-1] if rng.random() < 0.5 else data + b"x"
        mutants.append(struct.pack("<Q", len(text)) + bytes(text) + data)
    mutants += [small[:n] for n in range(len(small))]
    counts = [0, 0, 0]
    for line, raw in zip(probe([("s", m) for m in mutants]), mutants):
        mine, theirs = parse(line), reference_safetensors(raw)
        assert theirs is not None or mine is None, ("accepted what the reference refuses", raw, line)
        counts[0 if mine is None and theirs is None else 1 if mine is None else 2] += 1
        if mine is None:
            continue
        assert mine.keys() == theirs.keys(), (mine, theirs)
        for name, (dtype, shape, offset, size, _) in mine.items():
            assert (dtype, shape, raw[offset:offset + size]) == theirs[name], name
    assert counts[2] > 100, counts
    print(f"safetensors: {len(mutants)} damaged files: refused by both {counts[0]}, by us alone "
          f"{counts[1]}, read alike {counts[2]}")


def reference_gguf(path):
    """{name: (dtype, shape, crc of the float32 values)} by gguf-py."""
    tensors = {}
    for t in gguf.GGUFReader(path).tensors:
        plain = t.tensor_type.name in ("F64", "I8", "I16", "I32", "I64")
        values = t.data if plain else gguf.quants.dequantize(t.data, t.tensor_type)
        tensors[t.name] = (t.tensor_type.name.lower(), [int(x) for x in reversed(t.shape)],
                           zlib.crc32(np.ascontiguousarray(values).tobytes()))
    return tensors


def check_gguf():
    rng = np.random.default_rng(3)
    paths = [os.environ["LLAMA4_SMOLLM2"]] if os.environ.get("LLAMA4_SMOLLM2") else []
    with tempfile.TemporaryDirectory() as folder:
        paths.append(os.path.join(folder, "all.gguf"))
        w = gguf.GGUFWriter(paths[-1], "llama")
        w.add_uint8("a", 1)
        w.add_array("strings", ["x", "", "\u00e9"])
        w.add_array("floats", [1.5, 2.5])
        w.add_bool("yes", True)
        w.add_int64("long", -5)
        types = gguf.GGMLQuantizationType
        for kind in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16"):
            x = rng.standard_normal((3, 5, 64)).astype(np.float32)
            w.add_tensor(kind, gguf.quants.quantize(x, types[kind]), raw_dtype=types[kind])
        for kind in ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"):
            block = gguf.GGML_QUANT_SIZES[types[kind]][1]
            raw = rng.integers(0, 0x3c, (4, 2 * block), dtype=np.uint8)
            w.add_tensor(kind, raw, raw_dtype=types[kind])
        for kind in (np.float32, np.float64, np.int8, np.int16, np.int32, np.int64):
            w.add_tensor(kind.__name__, np.arange(7).astype(kind))
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        lines = probe([("g", open(p, "rb").read()) for p in paths])
        for path, line in zip(paths, lines):
            mine, theirs = parse(line), reference_gguf(path)
            assert mine is not None, line
            assert {n: (t[0], t[1], t[4]) for n, t in mine.items()} == theirs, path
            print(f"GGUF: {os.path.basename(path)}: {len(mine)} tensors alike")


check_safetensors()
check_gguf()
