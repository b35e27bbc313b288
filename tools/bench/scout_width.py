#!/usr/bin/env python3
"""A model of Llama 4 Scout's full width and few layers, nothing on disk: compile and decode.

    tools/bench/scout_width.py [--layers 2] [--encoding q4_1] [--seconds 60] [--bin build/bin]

Prints how long the compile took, what a decode step reads and its speed. Ends with 1 when the compile
takes longer than --seconds, or when a decode step reads more of the experts than those that its token
chose. Weights are made up (random:1); the model takes about 0.7 GB a layer and 1.3 GB besides in
q4_1.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from shapes import compile_config, shape

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(program, *arguments):
    done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"{program} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--encoding", default="q4_1")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "bin")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = shape("scout", num_hidden_layers=options.layers)
        start = time.monotonic()
        compile_config(config, folder / "m.l4x", options.bin / "llama4-compile", options.encoding,
                       options=("--max-length", 4096))
        seconds = time.monotonic() - start
        report = json.loads(run(options.bin / "llama4-run", "bench", folder / "m.l4x", "--json",
                                "--profile", "--prompt-tokens", 64, "--new-tokens", 16, "--runs", 3,
                                "--threads", options.threads))
    decode = report["decode"]["tokens_per_second"]
    read = report["decode_step_bytes"]["weights"]
    print(f"compile: {seconds:.1f} s for {options.layers} layers in {options.encoding}")
    print(f"decode: {decode['median']:.1f} tokens/s with {options.threads} threads, "
          f"{read / 1e6:.0f} MB of weights a step, {read * decode['median'] / 1e9:.1f} GB/s")
    # One expert of 16, the shared expert and attention in every layer, and the head.
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    weights = options.layers * (2 * 3 * hidden * inner + 2 * hidden * hidden + 2 * 1024 * hidden
                                + 16 * hidden * 4) + config["vocab_size"] * hidden
    bits = {"float32": 32, "bfloat16": 16, "q8_0": 8.5, "q6_k": 6.5625, "q5_0": 5.5, "q4_k": 4.5,
            "q4_1": 5, "q4_0": 4.5, "int4_g128": 4.15625}[options.encoding]
    if seconds > options.seconds or read > weights * bits / 8 * 1.02:
        sys.exit("too slow, or more experts read than the one that a token chose")


if __name__ == "__main__":
    main()
