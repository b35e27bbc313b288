"""Sixteen clients of `llama4-run serve` for eight minutes: texts, chats, streams, several answers, cancels, errors.
Afterwards memory must have stopped growing, and nothing may be held. `serve_soak.py [SECONDS [MEMORY]] [--demo NAME]`;
part of the full test. MEMORY is the server's, else what it takes by itself. Before anything is measured, every page of
the cache has held something: from then on they are the same memory again. With --demo the model is models/demo/NAME,
and half of the requests show pictures, no two of which are alike.
"""

import argparse
import contextlib
import json
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
import served  # noqa: E402

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
CLIENTS = 16
MOST_PER_MINUTE = 1 << 20


def request_of(chance):
    prompt = [chance.randrange(3, 250) for _ in range(chance.choice((1, 7, 40, 120)))]
    return {"prompt": prompt, "max_tokens": chance.randrange(1, 60), "ignore_eos": True, "n": chance.choice((1, 1, 1, 3)),
            "temperature": chance.choice((0, 1)), "logprobs": chance.choice((None, None, 2)),
            "echo": chance.random() < 0.2}


def texts(_):
    """A drawing of requests without pictures: the route and the body of the next one."""
    return lambda chance: (COMPLETE, request_of(chance))


def pictures_too(number):
    """Also of chats about one or two pictures, of one or several tiles."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
    import numpy as np
    import test_demo  # finds what is beside the demo models
    import samples
    pixels = np.random.default_rng([11, number])

    def draw(chance):
        body = request_of(chance)
        if chance.random() < 0.5:
            return COMPLETE, body
        while not (sample := samples.MIX[chance.choice(("scene", "tiled", "pair"))](pixels, 4, 3, None)).turns:
            pass
        del body["prompt"], body["echo"], body["logprobs"]
        return CHAT, {**body, "messages": test_demo.messages(sample, 0), "logprobs": chance.random() < 0.3}
    return draw


def client(server, number, draw, until, counts, failures):
    chance = random.Random(number)
    while time.monotonic() < until and not failures:
        kind = chance.choice(("whole", "whole", "stream", "cancel", "wrong", "tokens"))
        route, body = draw(chance)
        try:
            if kind == "whole":
                server.good(route, body)
            elif kind == "stream":
                assert server.events(route, body)[-1] == "[DONE]"
            elif kind == "wrong":
                assert server.post(route, {**body, "temperature": -1})[0] == 400
            elif kind == "tokens":
                assert server.post("/tokenize", {"prompt": "a b c " * chance.randrange(1, 2000)})[0] == 200
            else:
                data = json.dumps({**body, "stream": chance.random() < 0.5, "max_tokens": 100}).encode()
                with server.connect() as connection:
                    connection.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                                       % (route.encode(), len(data)) + data)
                    connection.settimeout(chance.random() / 20)
                    with contextlib.suppress(TimeoutError):
                        connection.recv(1000)
            if route == CHAT and kind != "tokens":
                kind += " with pictures"
            counts[kind] = counts.get(kind, 0) + 1
        except Exception as error:  # noqa: BLE001, told by the main thread
            failures.append(f"{kind}: {error!r}")


def fill_cache(server):
    """Texts of all sorts until no more pages are taken by them; the share that is taken then. That is of the kind of
    layers whose pages are used most; those of the others show in the memory."""
    chance, most, highest, since = random.Random(0), 0, server.memory(), 0
    length = min(1000, json.loads(server.get("/v1/models")[1])["data"][0]["max_model_len"] - 1)
    while since < 10:
        prompts = [[chance.randrange(3, 250) for _ in range(length)] for _ in range(4)]
        server.good(COMPLETE, {"prompt": prompts, "max_tokens": 1})
        share, memory = server.metric("llama4:kv_cache_reusable_perc"), server.memory()
        since = 0 if share > most or memory > highest + (1 << 18) else since + 1
        most, highest = max(most, share), max(highest, memory)
    return most


def slope(points):
    """Of the line through (seconds, bytes), in bytes a minute."""
    count = len(points)
    mean_x, mean_y = (sum(p[i] for p in points) / count for i in (0, 1))
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return 60 * over / sum((x - mean_x) ** 2 for x, _ in points)


def compiled(demo, folder):
    if demo:
        checkpoint = pathlib.Path(__file__).resolve().parents[2] / "models" / "demo" / demo
        return served.compile_model(checkpoint, folder / "demo.l4x", "--target", "cpu:native")
    return served.compile_model(served.DATA / "oracles" / "llama3-text-tied", folder / "tiny.l4x", "--compute", "float32")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", nargs="?", type=float, default=480)
    parser.add_argument("memory", nargs="?")
    parser.add_argument("--demo")
    given = parser.parse_args()
    seconds = given.seconds
    warm = min(60, seconds / 3)
    drawing = pictures_too if given.demo else texts
    with tempfile.TemporaryDirectory() as folder:
        model = compiled(given.demo, pathlib.Path(folder))
        memory = ("--memory", given.memory) if given.memory else ()
        with served.Server(model, *memory, "--no-request-log", "--max-num-queued-reqs", 1000) as server:
            print(f"{100 * fill_cache(server):.0f} % of the cache hold what was computed", flush=True)
            files, threads = server.open_files(), server.threads()
            start = time.monotonic()
            counts, failures, points = {}, [], []
            clients = [threading.Thread(target=client, args=(server, i, drawing(i), start + seconds, counts, failures))
                       for i in range(CLIENTS)]
            for one in clients:
                one.start()
            while any(one.is_alive() for one in clients):
                time.sleep(1)
                if time.monotonic() - start > warm:
                    points.append((time.monotonic() - start, server.memory()))
            server.wait_idle()
            time.sleep(1)
            grown = slope(points)
            print(f"{sum(counts.values())} requests in {seconds:.0f} s ({counts}), memory "
                  f"{points[-1][1] / 2**20:.1f} MiB, {grown / 2**20:+.3f} MiB a minute", flush=True)
            assert not failures, failures
            assert grown <= MOST_PER_MINUTE, "memory grows"
            assert server.open_files() <= files, "files stay open"
            assert server.threads() <= threads, "threads stay"
            server.terminate()
            assert server.wait() == 0


if __name__ == "__main__":
    main()
