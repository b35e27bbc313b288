#!/usr/bin/env python3
"""Speed of the server beside its own raw decode, and the pause that a long prompt makes.

    tools/bench/serve_speed.py MODEL.l4x [--threads 2] [--bin build/bin] [--rounds 3]

Distinct prompts of 127 tokens, 64 tokens of answer, streamed, the client on the same machine; 1, 4
and 8 requests at a time. Prints tokens a second, the time to the first token, the share of
`llama4-run bench` at the same batch, and, while a prompt of 2,000 tokens comes in beside a stream,
the 99th percentile of the time between tokens by its mean without.
"""
import argparse
import concurrent.futures
import http.client
import json
import pathlib
import random
import re
import statistics
import subprocess
import time

TOKENS = 64


def stream(port, prompt, tokens):
    """Seconds from the request to each token."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    start = time.perf_counter()
    connection.request("POST", "/v1/completions", json.dumps(
        {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
         "stream": True}), {"Content-Type": "application/json"})
    response, times = connection.getresponse(), []
    for line in response:
        if line.startswith(b"data: {"):
            times.append(time.perf_counter() - start)
    connection.close()
    return times


def prompt(length, seed):
    return [random.Random(seed).randrange(1000, 20000) for _ in range(length)]


def measure(port, at_once, requests, seed):
    """(tokens a second of all, median seconds to the first token)"""
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        runs = list(pool.map(lambda i: stream(port, prompt(127, seed + i), TOKENS), range(requests)))
    seconds = time.perf_counter() - start
    return requests * TOKENS / seconds, statistics.median(run[0] for run in runs)


def pause(port, seed):
    """Times between tokens of one stream, alone and while a long prompt is processed."""
    def gaps(run):
        return [b - a for a, b in zip(run, run[1:])]
    alone = gaps(stream(port, prompt(20, seed), 400))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(stream, port, prompt(20, seed + 1), 400)
        time.sleep(0.3)
        long = pool.submit(stream, port, prompt(2000, seed + 2), 1).result()
        beside = gaps(running.result())
    # Only the tokens that came while the long prompt was processed.
    during = [gap for gap, end in zip(beside, [sum(beside[:i + 1]) for i in range(len(beside))])
              if end <= 0.3 + long[-1]]
    during.sort()
    return during[int(len(during) * 0.99)] / statistics.mean(alone), len(during)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    raw = {}
    for batch in (1, 4, 8):
        report = json.loads(subprocess.run(
            [options.bin / "llama4-run", "bench", options.model, "--prompt-tokens", "127",
             "--new-tokens", str(TOKENS), "--batch", str(batch), "--threads", options.threads,
             "--runs", "3", "--json"], check=True, capture_output=True).stdout)
        raw[batch] = report["decode"]["tokens_per_second"]["median"]
    server = subprocess.Popen([options.bin / "llama4-run", "serve", options.model, "--port", "0", "-t",
                               options.threads, "--no-request-log"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    port = int(re.search(r":(\d+)\n", server.stdout.readline())[1])
    try:
        stream(port, prompt(127, 1), TOKENS)
        for batch in (1, 4, 8):
            runs = [measure(port, batch, max(8, 2 * batch), 1000 * batch + 100 * i)
                    for i in range(options.rounds)]
            speed, first = (statistics.median(column) for column in zip(*runs))
            print(f"{batch} at once: {speed:.0f} tokens/s, first after {1000 * first:.0f} ms; raw decode "
                  f"{raw[batch]:.0f} tokens/s, share {speed / raw[batch]:.2f}")
        found = [pause(port, 90000 + 10 * i) for i in range(options.rounds)]
        for ratio, tokens in found:
            print(f"beside a prompt of 2,000 tokens: p99 between tokens {ratio:.2f} x the mean alone "
                  f"({tokens} tokens)")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
