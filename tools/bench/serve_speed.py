#!/usr/bin/env python3
"""Speed of the server beside its own raw decode, and the pause that a long prompt makes.

    tools/bench/serve_speed.py MODEL.l4x [--threads 2] [--bin build/bin] [--rounds 5]

Distinct prompts of 127 tokens, 64 tokens of answer, streamed, by a client on the same machine that is one thread of a
process of its own; 1, 4 and 8 requests at a time. In each round the raw speed (`llama4-run bench`, the same lengths
and batch) is measured right before the server's, which has nothing to do then; what is compared is of one round, and
what is printed is the median of the rounds, with the least and the greatest.

- whole: tokens of all requests a second, from the first request to the last token, prompts included.
- decode: tokens a second of one request after its first token; its share of the raw decode at batch 1 is what the
  server costs.
- pause: while a prompt of 2,000 tokens comes in beside a stream, the 99th percentile of the time between two tokens of
  the stream by their mean alone, and by their mean then; the first also without the prompt, over 600 tokens (of 200 it
  would be the second greatest: two moments in which the machine did something else). Beside it stands how long the
  server's threads waited for a processor meanwhile, as a share of the time: where others compute, or a hypervisor
  takes the processors away, that is the machine's and not the server's.
"""
import argparse
import json
import os
import pathlib
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time

PROMPT, TOKENS, LONG, ALONE = 127, 64, 2000, 600


class Stream:
    """A request and when each of its tokens came."""

    def __init__(self, port, length, tokens, seed):
        chance = random.Random(seed)
        body = json.dumps({"prompt": [chance.randrange(1000, 20000) for _ in range(length)], "max_tokens": tokens,
                           "temperature": 0, "ignore_eos": True, "stream": True}).encode()
        self.times, self.rest, self.ended = [], b"", False
        self.start = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def read(self):
        received = self.socket.recv(1 << 16)
        now = time.monotonic()
        text = self.rest + received
        self.times += [now] * text.count(b"data: {")
        self.ended = b"data: [DONE]" in text or not received
        self.rest = text[-11:] if b"data: {" not in text[-11:] else text[-6:]
        if self.ended:
            self.socket.close()


def waited(pid):
    """Seconds that the threads of a process have waited for a processor, and that a hypervisor took from it."""
    tasks = [path.read_text().split() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")]
    stolen = pathlib.Path("/proc/stat").read_text().split(maxsplit=9)[8]
    return sum(int(task[1]) for task in tasks) / 1e9 + int(stolen) / os.sysconf("SC_CLK_TCK")


def client(port, at_once, requests, length, tokens, seed, long_after=None, pid=None):
    """[[start, times of the tokens ...] of each request]; with `long_after`, a long prompt, the last of them, comes in
    when the first request has so many tokens, and [seconds that the threads of `pid` waited before that] follows."""
    watch, streams, started = selectors.DefaultSelector(), [], 0
    before, alone = waited(pid) if pid else 0, []

    def start(*what):
        streams.append(Stream(port, *what))
        watch.register(streams[-1].socket, selectors.EVENT_READ, streams[-1])
    while started < at_once:
        start(length, tokens, seed + started)
        started += 1
    while watch.get_map():
        for key, _ in watch.select():
            key.data.read()
            if not key.data.ended:
                continue
            watch.unregister(key.fileobj)
            if started < requests:
                start(length, tokens, seed + started)
                started += 1
        if long_after and len(streams[0].times) >= long_after:
            alone = [[waited(pid) - before]]
            start(LONG, 1, seed + 1000)
            long_after = None
    return [[stream.start, *stream.times] for stream in streams] + alone


class Server:
    def __init__(self, options):
        self.process = subprocess.Popen(
            [options.bin / "llama4-run", "serve", options.model, "--port", "0", "-t", options.threads,
             "--no-request-log"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(re.search(r":(\d+)\n", self.process.stdout.readline())[1])
        self.client = subprocess.Popen([sys.executable, __file__, "--client"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.seed = 1

    def ask(self, *what):
        self.seed += 2000  # no prompt is known
        print(json.dumps([self.port, *what[:4], self.seed, *what[4:]]), file=self.client.stdin, flush=True)
        return json.loads(self.client.stdout.readline())

    def close(self):
        self.client.stdin.close()
        self.client.wait()
        self.process.terminate()
        self.process.wait()


def raw_decode(options, batch):
    report = json.loads(subprocess.run(
        [options.bin / "llama4-run", "bench", options.model, "--prompt-tokens", str(PROMPT), "--new-tokens",
         str(TOKENS), "--batch", str(batch), "--threads", options.threads, "--runs", "3", "--json"], check=True,
        capture_output=True).stdout)
    return report["decode"]["tokens_per_second"]["median"]


def measure(server, at_once, raw):
    runs = server.ask(at_once, max(6, 2 * at_once), PROMPT, TOKENS)
    whole = sum(len(run) - 1 for run in runs) / (max(run[-1] for run in runs) - min(run[0] for run in runs))
    decode = statistics.mean((len(run) - 2) / (run[-1] - run[1]) for run in runs)
    return {"raw": raw, "whole": whole, "decode": decode, "first": statistics.median(run[1] - run[0] for run in runs)}


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def pause(server):
    answer, long, (idle,) = server.ask(1, 1, 20, ALONE + 800, ALONE, server.process.pid)
    gaps = [(a, b - a) for a, b in zip(answer[1:], answer[2:])]
    alone = [gap for at, gap in gaps if at + gap <= long[0]]
    during = [gap for at, gap in gaps if at >= long[0] and at <= long[-1]]
    mean, worst = statistics.mean(alone), percentile(during, 0.99)
    return {"alone": percentile(alone, 0.99) / mean, "by alone": worst / mean,
            "by then": worst / statistics.mean(during), "seconds": long[-1] - long[0], "tokens": len(during),
            "waited": idle / (long[0] - answer[0])}


def column(rounds, name, form="{:.0f}", factor=1.0):
    values = [factor * one[name] for one in rounds]
    return f"{form} ({form} to {form})".format(statistics.median(values), min(values), max(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    server = Server(options)
    try:
        server.ask(1, 2, PROMPT, TOKENS)
        found, pauses = {1: [], 4: [], 8: []}, []
        for _ in range(options.rounds):
            for at_once, rounds in found.items():
                rounds.append(measure(server, at_once, raw_decode(options, at_once)))
                rounds[-1]["share"] = rounds[-1]["decode"] * at_once / rounds[-1]["raw"]
                rounds[-1]["times"] = rounds[-1]["whole"] / found[1][-1]["whole"]
                rounds[-1]["raw times"] = rounds[-1]["raw"] / found[1][-1]["raw"]
            pauses.append(pause(server))
    finally:
        server.close()
    print("| at once | whole, tokens/s | by 1 at once | decode of each, tokens/s | raw decode, tokens/s | by 1 "
          "at once | share | first token, ms |\n|---|---|---|---|---|---|---|---|")
    for at_once, rounds in found.items():
        print(f"| {at_once} | {column(rounds, 'whole')} | {column(rounds, 'times', '{:.2f}')} | "
              f"{column(rounds, 'decode')} | {column(rounds, 'raw')} | {column(rounds, 'raw times', '{:.2f}')} | "
              f"{column(rounds, 'share', '{:.2f}')} | {column(rounds, 'first', factor=1000)} |")
    print(f"\nBeside a prompt of {LONG} tokens, which took {column(pauses, 'seconds', '{:.1f}')} s, the 99th "
          f"percentile between two tokens is {column(pauses, 'by alone', '{:.2f}')} of their mean alone and "
          f"{column(pauses, 'by then', '{:.2f}')} of their mean then; without it, "
          f"{column(pauses, 'alone', '{:.2f}')} of their mean alone, while threads of the server waited for a processor "
          f"for {column(pauses, 'waited', '{:.0f}', 100)} % of the time.")


if __name__ == "__main__":
    if sys.argv[1:] == ["--client"]:
        for line in sys.stdin:
            print(json.dumps(client(*json.loads(line))), flush=True)
    else:
        main()
