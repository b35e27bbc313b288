#!/usr/bin/env python3
"""Ours beside llama.cpp on one GGUF file: prompt and decode speed, interleaved runs, ratios.

  tools/bench/compare.py MODEL.gguf [--threads 1,2] [--prompt 512] [--new 128] [--rounds 5]

llama.cpp is the PyPI package llama-cpp-python, built for this machine:
  CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python
Its decode loop goes through Python, as its users' does; that costs it some percent. One round is
one measurement of each side, one after the other, so that a machine whose speed drifts treats both
alike. Quote the medians of the ratios, not the tokens per second.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ours(program, threads, prompt, new):
    """Tokens per second of a prompt and, from an empty cache, of decoding."""
    rates = []
    for arguments in ((prompt, 1), (1, new)):
        done = subprocess.run(
            [str(ROOT / "build/bin/llama4-run"), "bench", program, "--json", "--runs", "1",
             "--threads", str(threads), "--prompt-tokens", str(arguments[0]), "--new-tokens",
             str(arguments[1])], check=True, capture_output=True, text=True)
        rates.append(json.loads(done.stdout))
    return (rates[0]["prompt"]["tokens_per_second"]["median"],
            rates[1]["decode"]["tokens_per_second"]["median"])


class LlamaCpp:
    def __init__(self, model, threads, prompt):
        from llama_cpp import Llama
        self.model = Llama(model, n_threads=threads, n_threads_batch=threads, n_ctx=1024,
                           n_batch=prompt, verbose=False)

    def measure(self, prompt, new):
        ids = [(i * 7919) % 40000 + 100 for i in range(prompt)]
        self.model.reset()
        start = time.perf_counter()
        self.model.eval(ids)
        prefill = prompt / (time.perf_counter() - start)
        self.model.reset()
        self.model.eval(ids[:1])
        start = time.perf_counter()
        for i in range(new):
            self.model.eval([ids[i % prompt]])
        return prefill, new / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = folder + "/model.l4x"
        subprocess.run([str(ROOT / "build/bin/llama4-compile"), options.model, "-o", program],
                       check=True)
        print("| threads | test | ours tok/s | llama.cpp tok/s | ratio median (min - max) |")
        print("|---|---|---|---|---|")
        for threads in map(int, options.threads.split(",")):
            peer = LlamaCpp(options.model, threads, options.prompt)
            peer.measure(options.prompt, 8)
            rounds = [(ours(program, threads, options.prompt, options.new),
                       peer.measure(options.prompt, options.new)) for _ in range(options.rounds)]
            for index, test in enumerate((f"prompt {options.prompt}", f"decode {options.new}")):
                mine = [r[0][index] for r in rounds]
                theirs = [r[1][index] for r in rounds]
                ratios = sorted(a / b for a, b in zip(mine, theirs))
                print(f"| {threads} | {test} | {statistics.median(mine):.1f} | "
                      f"{statistics.median(theirs):.1f} | {statistics.median(ratios):.2f} "
                      f"({ratios[0]:.2f} - {ratios[-1]:.2f}) |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
