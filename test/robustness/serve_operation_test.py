"""What an operator counts on: nothing of users in the log, errors that tell nothing, metrics that a monitor takes,
references that nobody follows, memory that is refused instead of taken, a server that was stopped for a while.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
import served  # noqa: E402

COMPLETE, CHAT = "/v1/completions", "/v1/chat/completions"
FOLDER = tempfile.TemporaryDirectory()
ROOM = pathlib.Path(FOLDER.name)
MODEL = None
SCALE = 10 if os.environ.get("LLAMA4_FULL_COUNTS") else 1
COUNTS = {}


def setUpModule():
    global MODEL
    MODEL = served.compile_model(served.DATA / "oracles" / "llama3-text-tied", ROOM / "tiny.l4x", "--compute", "float32")


def tearDownModule():
    FOLDER.cleanup()
    print("counts:", json.dumps(COUNTS), file=sys.stderr)


class Listener:
    """Counts who connects to this machine at a port of its own."""

    def __enter__(self):
        self.sockets, self.count = [], 0
        first = socket.create_server(("127.0.0.1", 0))
        self.port = first.getsockname()[1]
        self.sockets.append(first)
        with contextlib.suppress(OSError):
            self.sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        for one in self.sockets:
            threading.Thread(target=self.accept, args=(one,), daemon=True).start()
        return self

    def accept(self, one):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = one.accept()
                self.count += 1
                connection.close()

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()


def spellings(port):
    """This machine, said in ways that filters of text let pass."""
    hosts = ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1",
             "127.0.1", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]",
             "LOCALHOST", "localhost.", "127.0.0.1.", "%31%32%37.0.0.1", "a@127.0.0.1", "example.com@127.0.0.1",
             "127.0.0.1\\@example.com", "example.com\\@127.0.0.1", "127.0.0.1#@example.com", "127。0。0。1", "①②⑦.0.0.1"]
    urls = [f"http://{host}:{port}/a.png" for host in hosts]
    urls += [f"https://127.0.0.1:{port}/", f"HTTP://127.0.0.1:{port}/", f"http:/127.0.0.1:{port}/",
             f"http:\\\\127.0.0.1:{port}\\", f"//127.0.0.1:{port}/", f"ftp://127.0.0.1:{port}/",
             f"gopher://127.0.0.1:{port}/", f"dict://127.0.0.1:{port}/", f" http://127.0.0.1:{port}/",
             f"http://127.0.0.1:{port}/\r\nX: y", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd",
             "jar:file:///etc/passwd!/", f"http://[fe80::1%25lo]:{port}/", f"http://127.0.0.1:{port}@example.com/"]
    return urls


class Media(unittest.TestCase):
    def ask(self, server, reference, form):
        part = {"image_url": {"type": "image_url", "image_url": {"url": reference}},
                "input_image": {"type": "input_image", "image_url": reference},
                "image": {"type": "image", "url": reference}}[form]
        status, answer = server.post(CHAT, {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1})
        self.assertEqual(status, 400, (reference, answer))
        self.assertIn("messages", answer["error"]["message"])
        return answer["error"]["message"]

    def test_nothing_is_fetched(self):
        """B12: by default no spelling of an address makes the server connect anywhere."""
        with served.Server(MODEL) as server, Listener() as listener:
            with socket.create_connection(("127.0.0.1", listener.port)):
                pass
            while listener.count < 1:  # it counts
                time.sleep(0.01)
            urls = spellings(listener.port)
            self.assertGreaterEqual(len(urls), 40)
            for url in urls:
                for form in ("image_url", "input_image", "image"):
                    self.ask(server, url, form)
            self.assertEqual(listener.count, 1)
            COUNTS["addresses not connected to"] = len(urls)

    def test_nothing_is_opened(self):
        """B13: by default no path is opened, least of all one that would hold the server up."""
        secret, fifo, sparse = ROOM / "secret", ROOM / "fifo", ROOM / "sparse"
        secret.write_text("canary")
        os.mkfifo(fifo)
        with sparse.open("wb") as file:
            file.truncate(10 << 30)
        (ROOM / "link").symlink_to(secret)
        os.link(secret, ROOM / "hard")
        paths = [secret, fifo, sparse, ROOM / "link", ROOM / "hard", "../secret", "../../etc/passwd", "/etc/passwd",
                 "..%2f..%2fetc%2fpasswd", "....//....//etc/passwd", "/dev/zero", "/proc/self/environ", "\0/etc/passwd"]
        with served.Server(MODEL) as server:
            before = server.memory()
            for path in paths:
                for reference in (str(path), f"file://{path}", f"file:{path}"):
                    for form in ("image_url", "image"):
                        self.assertNotIn("canary", self.ask(server, reference, form))
            self.assertLess(server.memory() - before, 20 << 20)
            COUNTS["paths not opened"] = len(paths)


class Operation(unittest.TestCase):
    def test_log_and_errors_and_metrics(self):
        """B22, B23, B24: a canary in every place a user writes to; odd names; what the monitor reads."""
        count = 100 * SCALE
        canary = "CANARYinthecoalmine"
        odd = [canary, f"{canary}\n{{\"a\":1}}", f"\x1b[31m{canary}", f"{canary}\r\nX: y", f"\"{canary}\\", "\u2028" + canary]
        chance = random.Random(5)
        with served.Server(MODEL, "--api-key", canary + "-key") as server:
            key = {"Authorization": f"Bearer {canary}-key"}
            statuses = []
            for i in range(count):
                name = odd[i % len(odd)]
                bodies = [(COMPLETE, {"prompt": name, "max_tokens": 1}), (COMPLETE, {"prompt": name, name: 1, "max_tokens": 1}),
                          (COMPLETE, {"prompt": "a", "model": name}), (COMPLETE, {"prompt": "a", "temperature": name}),
                          (CHAT, {"messages": [{"role": name, "content": name}]}),
                          (CHAT, {"messages": [{"role": "user", "content": [{"type": "image", "url": name}]}]}),
                          (COMPLETE, {"prompt": "a", "stop": [name], "user": name, "max_tokens": 1}),
                          (COMPLETE, {"prompt": "a", "logit_bias": {name: 1}}), ("/tokenize", {"prompt": name}),
                          (COMPLETE, {"prompt": name, "stream": True, "max_tokens": 1})]
                path, body = bodies[chance.randrange(len(bodies))]
                headers = dict(key, **{"X-Request-Id": canary + " " + str(i), "User-Agent": canary, "Origin": canary})
                status, _, text = server.request("POST", path, body, headers if i % 7 else {"Authorization": canary})
                statuses.append(status)
                if status != 200:
                    self.error(text, canary + "-key")
                path = "/" + "".join(chance.choice("abcdefghij/%.") for _ in range(20)) + canary
                status, _, text = server.request(chance.choice(["GET", "POST", "PUT", canary]), path, headers=key)
                self.assertIn(status, (404, 405))
                self.error(text, canary)
            self.assertGreater(statuses.count(200), 0)
            text = server.request("GET", "/metrics", headers=key)[2].decode()
            self.check_metrics(text)
            self.assertNotIn(canary, text)
            server.terminate()
            self.assertEqual(server.wait(), 0)
            self.assertNotIn(canary, "".join(server.log))
            lines = server.requests()  # every line is JSON
            self.assertEqual(len(lines), 2 * count + 1)
            COUNTS["requests with a canary"] = len(lines)

    def error(self, text, secret):
        self.assertIn("message", json.loads(text)["error"])
        self.assertNotIn(secret, text.decode())
        self.assertIsNone(re.search(rb"0x[0-9a-f]{4}|/\w+/\w+/|exception|std::|nlohmann|boost", text), text)

    def check_metrics(self, text):
        series = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.assertLess(len(series), 500)
        families = {}
        for line in text.splitlines():
            if match := re.fullmatch(r"# (HELP|TYPE) (\S+) (.+)", line):
                families.setdefault(match[2], set()).add(match[1])
            elif line:
                self.assertRegex(line, r'^[a-zA-Z_:][\w:]*(\{(\w+="(\\.|[^"\\\n])*",?)*\})? (\S+)$')
                name = re.match(r"[\w:]+", line)[0]
                self.assertTrue(any(re.fullmatch(re.escape(f) + r"(_bucket|_sum|_count)?", name) for f in families), name)
        self.assertTrue(all(kinds == {"HELP", "TYPE"} for kinds in families.values()), families)
        self.assertEqual(len(series), len({line.rsplit(" ", 1)[0] for line in series}))
        if promtool := shutil.which("promtool"):
            done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_route_of_the_table(self):
        """B10: routes that are added later ask for the key as well."""
        with served.Server(MODEL, "--api-key", "one") as server:
            paths = json.loads(server.get("/openapi.json", headers={"Authorization": "Bearer one"})[1])["paths"]
            count = 0
            for path, methods in paths.items():
                for method in methods:
                    status = server.request(method.upper(), path.replace("{name}", "default"),
                                            {} if method == "post" else None)[0]
                    self.assertEqual(status, 200 if path in ("/livez", "/readyz") else 401, path)
                    count += 1
            self.assertGreaterEqual(count, 12)
            COUNTS["routes"] = count

    def test_more_than_there_is_room_for(self):
        """B18: what can never fit is 400, what fits waits its turn; no address space is 503, and no end."""
        with served.Server(MODEL, "--max-num-seqs", 2, "--max-num-queued-reqs", 1000) as server:
            most = json.loads(server.get("/v1/models")[1])["data"][0]["max_model_len"]
            self.assertEqual(server.post(COMPLETE, {"prompt": [5] * most, "max_tokens": 1})[0], 400)
            count = 20 * SCALE

            def ask(i):
                return server.good(COMPLETE, {"prompt": [5, 6, 7], "max_tokens": 20, "temperature": 0, "ignore_eos": True,
                                              "n": 1 + i % 3})["choices"]
            with concurrent.futures.ThreadPoolExecutor(50) as pool:
                answers = list(pool.map(ask, range(count)))
            self.assertEqual(len({c["text"] for a in answers for c in a}), 1)
            server.wait_idle()
            COUNTS["requests that waited"] = count
        if served.WATCHED:  # needs address space without end
            return
        with served.Server(MODEL) as server:
            status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
            now = int(re.search(r"VmSize:\s*(\d+) kB", status)[1]) << 10
            resource.prlimit(server.process.pid, resource.RLIMIT_AS, (now + (24 << 20),) * 2)
            body = b'{"prompt":[' + b",".join([b'""'] * 1_900_000) + b"]}"
            seen = set()
            for _ in range(5):
                with contextlib.suppress(ConnectionError):
                    seen.add(server.request("POST", COMPLETE, body)[0])
                self.assertEqual(server.get("/livez")[0], 200)
            self.assertLessEqual(seen, {503, 400})
            self.assertEqual(server.post(COMPLETE, {"prompt": [5], "max_tokens": 2})[0], 200)

    def test_stopped_for_a_while(self):
        """B21: what was asked before and while the process stood still is answered when it goes on."""
        body = {"prompt": [5, 6, 7], "max_tokens": 100, "temperature": 0, "ignore_eos": True}
        with served.Server(MODEL) as server, concurrent.futures.ThreadPoolExecutor(20) as pool:
            alone = server.good(COMPLETE, body)["choices"]
            answers = [pool.submit(server.good, COMPLETE, body) for _ in range(10)]
            server.process.send_signal(signal.SIGSTOP)
            answers += [pool.submit(server.good, COMPLETE, body) for _ in range(10)]
            time.sleep(3 * SCALE)
            server.process.send_signal(signal.SIGCONT)
            for answer in answers:
                self.assertEqual(answer.result()["choices"], alone)
            server.wait_idle()

    def test_flood(self):
        """B17: whoever comes when the queue is full is told at once; those inside get their answers."""
        count = 100 * SCALE
        body = {"prompt": [5, 6, 7], "max_tokens": 60, "temperature": 0, "ignore_eos": True}
        with served.Server(MODEL, "--max-num-seqs", 2, "--max-num-queued-reqs", 8) as server:
            def ask(_):
                status, headers, text = server.request("POST", COMPLETE, body)
                return status, headers["Retry-After"], json.loads(text)
            with concurrent.futures.ThreadPoolExecutor(100) as pool:
                answers = list(pool.map(ask, range(count)))
            self.assertEqual({a[0] for a in answers}, {200, 503})
            self.assertTrue(all(a[1] == ("1" if a[0] == 503 else None) for a in answers))
            self.assertEqual(len({a[2]["choices"][0]["text"] for a in answers if a[0] == 200}), 1)
            COUNTS["flood: answered, refused"] = [sum(a[0] == s for a in answers) for s in (200, 503)]
            server.wait_idle()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
