#!/usr/bin/env python3
"""Ours beside other programs on one GGUF file: prompt and decode, interleaved, as ratios.

  tools/bench/compare.py MODEL.gguf [--threads 1,2] [--prompt 512] [--new 128] [--rounds 5]
      [--depth 0,2048] [--batch 1,8] [--encoding E] [--llama-bench PATH]... [--bin build/bin]
      [--json FILE]

Peers: llama.cpp as the PyPI package llama-cpp-python, built for this machine
(CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python); every
llama-bench that --llama-bench names, of llama.cpp or ik_llama.cpp; OpenVINO where openvino-genai is
installed. A peer that is not there, or cannot do a test, is printed as skipped.

In a round each program measures once, in a process of its own, with a probe of the machine around
it: what moves by itself moves for all. A decode at depth 0 stands behind one token. Quote the
medians of the ratios and the shares, not the tokens per second, and nothing where the column
"others" says that other processes kept more than a tenth of a processor busy.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]


def numbers(text):
    return [int(word) for word in text.split(",")]


def tests(options):
    for threads in numbers(options.threads):
        for batch in numbers(options.batch):
            for depth in numbers(options.depth):
                base = {"threads": threads, "batch": batch, "depth": depth}
                if options.prompt:
                    yield base | {"prompt": options.prompt, "new": 0}
                if options.new:
                    yield base | {"prompt": 0, "new": options.new}


def describe(test):
    name = f"prompt {test['prompt']}" if test["prompt"] else f"decode {test['new']}"
    name += f" at depth {test['depth']}" if test["depth"] else ""
    return name + (f", {test['batch']} sequences" if test["batch"] > 1 else "")


def one_round(ours, others, test, reasons):
    """What each program reached, what the machine read around it, `reasons` of those that can't."""
    found, before = {}, ours.limits(test["threads"])
    for peer in [ours, *others]:
        if peer.name in reasons:
            continue
        try:
            rate = peer.measure(test)
        except RuntimeError as error:
            reasons[peer.name] = str(error)
            continue
        after = ours.limits(test["threads"])
        rate, report = rate if isinstance(rate, tuple) else (rate, None)
        read = (before["read_bytes_per_second"] + after["read_bytes_per_second"]) / 2
        found[peer.name] = {"rate": rate, "read": read, "report": report}
        before = after
    return found


def share(found, name):
    """The share of its limit that a program reached, by the work that ours counts."""
    report = found[peers.Ours.name]["report"]
    work, seconds = report["work"], report["tokens"] / found[name]["rate"]
    read = (work["weight_bytes"] + work["cache_bytes"]) / found[name]["read"] / seconds
    ours = report["share_of_macs"]["median"] * report["seconds"][0] / seconds
    return max(read, ours)


def summary(test, rounds, name):
    """One row of the table: a program in all rounds of a test."""
    own = peers.Ours.name
    mine = [r for r in rounds if name in r and own in r]
    if not mine:
        return None
    rates = [r[name]["rate"] for r in mine]
    ratios = sorted(r[own]["rate"] / r[name]["rate"] for r in mine)
    others = statistics.median(r[own]["report"]["others_processors"][0] for r in mine)
    shares = statistics.median(share(r, name) for r in mine)
    row = {"threads": test["threads"], "test": describe(test), "program": name,
           "tokens_per_second": statistics.median(rates), "best": max(rates), "share": shares,
           "read_gb": statistics.median(r[name]["read"] for r in mine) / 1e9,
           "ratio": statistics.median(ratios), "least": ratios[0], "most": ratios[-1],
           "rounds": len(mine), "others": others}
    return row


def print_row(row):
    ratio = "" if row["program"] == peers.Ours.name else \
        f"{row['ratio']:.2f} ({row['least']:.2f} - {row['most']:.2f})"
    print(f"| {row['threads']} | {row['test']} | {row['program']} | {row['tokens_per_second']:.1f} "
          f"({row['best']:.1f}) | {100 * row['share']:.0f} % | {row['read_gb']:.1f} | {ratio} | "
          f"{row['others']:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--prompt", type=int, default=512, help="tokens; 0: no prompts")
    parser.add_argument("--new", type=int, default=128, help="tokens; 0: no decodes")
    parser.add_argument("--depth", default="0")
    parser.add_argument("--batch", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoding", default="as-stored",
                        help="what ours stores the weights in; others take them as they are")
    parser.add_argument("--llama-bench", action="append", default=[])
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin")
    parser.add_argument("--json", type=pathlib.Path, help="everything that was measured")
    options = parser.parse_args()
    others = [peers.LlamaCpp(options.model), peers.OpenVino(options.model),
              peers.OpenVino(options.model, group=128)]
    others += [peers.LlamaBench(path, options.model) for path in options.llama_bench]
    for peer in others:
        if reason := peer.skipped():
            print(f"skipped: {peer.name}: {reason}", flush=True)
    others = [peer for peer in others if not peer.skipped()]
    rows, raw = [], []
    with tempfile.TemporaryDirectory() as folder:
        program = folder + "/model.l4x"
        subprocess.run([options.bin / "llama4-compile", options.model, "-o", program, "--target",
                        "cpu:native", "--quantization-encoding", options.encoding], check=True)
        if options.encoding != "as-stored":
            print(f"ours in {options.encoding}, others as stored", flush=True)
        ours = peers.Ours(options.bin, program)
        print("\n| threads | test | program | tokens/s median (best) | share of its limit | read "
              "GB/s | ours by it, median (min - max) | others |\n|---|---|---|---|---|---|---|---|")
        for test in tests(options):
            reasons, rounds = {}, []
            for _ in range(options.rounds):
                rounds.append(one_round(ours, others, test, reasons))
            for peer in [ours, *others]:
                if row := summary(test, rounds, peer.name):
                    rows.append(row)
                    print_row(row)
                elif peer.name in reasons:
                    print(f"| {test['threads']} | {describe(test)} | {peer.name} | skipped: "
                          f"{reasons[peer.name]} | | | | |", flush=True)
            raw.append({"test": test, "rounds": rounds, "skipped": reasons})
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "tests": raw}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
