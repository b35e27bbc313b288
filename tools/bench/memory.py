#!/usr/bin/env python3
"""What a process takes against the bound that --plan-only prints.

    tools/bench/memory.py MODEL.gguf|FOLDER [--max-length 512] [--batch 8] [--step-tokens 128]

Compiles for these bounds, fills every sequence to its greatest length, so that every page of the
cache is written, and reads the kernel's peak of resident memory (VmHWM). The bound is the sum that
the plan prints, weights + transients + step + cache + host, and scratch of each thread. Ends with 1
when the peak is above the bound or below nine tenths of it. What follows -- goes to the compiler:
a folder with config.json alone takes "-- --synthetic-weights random:1".
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--step-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin")
    words = sys.argv[1:]
    own = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:own])
    bounds = ["--max-length", str(args.max_length), "--max-batch-size", str(args.batch),
              "--max-step-tokens", str(args.step_tokens), *words[own + 1:]]
    compiler, run = str(args.bin / "llama4-compile"), str(args.bin / "llama4-run")
    plan = json.loads(subprocess.run([compiler, args.model, "--plan-only", "--json", *bounds],
                                     check=True, stdout=subprocess.PIPE).stdout)
    with tempfile.TemporaryDirectory(prefix="llama4-memory-") as folder:
        program = os.path.join(folder, "model.l4x")
        subprocess.run([compiler, args.model, "-o", program, *bounds], check=True)
        report = json.loads(subprocess.run(
            [run, "bench", program, "--json", "--threads", str(args.threads), "--batch",
             str(args.batch), "--prompt-tokens", str(args.max_length - 1), "--new-tokens", "1",
             "--runs", "1"], check=True, stdout=subprocess.PIPE).stdout)
    peak = report["peak_memory_bytes"]
    for kind in ("arena", "cache"):  # reserved as printed
        if report["memory_bytes"][kind] != plan["memory_bytes"][kind]:
            sys.exit(f"{kind}: found {report['memory_bytes'][kind]} bytes reserved, expected "
                     f"{plan['memory_bytes'][kind]} as printed")
    parts = dict(plan["memory_bytes"])
    bound = parts.pop("all")
    if bound != sum(parts.values()):
        sys.exit(f"the plan: found a bound of {bound} bytes, expected the sum of its parts, "
                 f"{sum(parts.values())}")
    parts["scratch"] = plan["scratch_bytes_per_thread"] * args.threads
    bound += parts["scratch"]
    for name, size in parts.items():
        print(f"{name:16} {size / 1e6:10.2f} MB")
    print(f"{'bound':16} {bound / 1e6:10.2f} MB")
    print(f"{'peak':16} {peak / 1e6:10.2f} MB, {peak / bound:.3f} of the bound")
    if not 0.9 * bound <= peak <= bound:
        sys.exit(f"found a peak of {peak} bytes, expected {int(0.9 * bound)} to {bound}")


if __name__ == "__main__":
    main()
