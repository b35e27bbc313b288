"""What hostile or unlucky clients may do to `llama4-run serve`: requests that are no HTTP, bodies that are
no JSON, fields out of range, slow and silent connections, too many of them, signals in the middle.
LLAMA4_BINARY_DIR says where the programs are, LLAMA4_TEST_DATA where test/data is.
"""

import concurrent.futures
import http.client
import json
import pathlib
import re
import resource
import select
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
import served  # noqa: E402

COMPLETE, CHAT = "/v1/completions", "/v1/chat/completions"
BODY = b'{"prompt":[5,6],"max_tokens":1}'
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"

FOLDER = tempfile.TemporaryDirectory()
MODEL = None


def setUpModule():
    global MODEL
    MODEL = served.compile_model(served.DATA / "oracles" / "llama3-text-tied",
                                 pathlib.Path(FOLDER.name) / "tiny.l4x", "--compute", "float32")


def tearDownModule():
    FOLDER.cleanup()


def status_of(answer):
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else None


def chunked(data, head=b""):
    return HEAD + head + b"Transfer-Encoding: chunked\r\n\r\n" + data


def sized(length, body=BODY, head=b""):
    return HEAD + head + b"Content-Length: " + length + b"\r\n\r\n" + body


LENGTH = str(len(BODY)).encode()
# What is no request that everybody reads in the same way: 400 unless said otherwise, and closed.
MALFORMED = {
    "length beside chunked": chunked(b"0\r\n\r\n", b"Content-Length: 5\r\n"),
    "two lengths that differ": sized(LENGTH, head=b"Content-Length: 3\r\n"),
    "two equal lengths": sized(LENGTH, head=b"Content-Length: " + LENGTH + b"\r\n"),
    "length 2,2": sized(b"2,2"),
    "length +2": sized(b"+2"),
    "length -1": sized(b"-1"),
    "length 0x10": sized(b"0x10"),
    "length 2^64": sized(b"18446744073709551616"),
    "empty length": sized(b""),
    "chunk -2": chunked(b"-2\r\nab\r\n0\r\n\r\n"),
    "chunk 2^64": chunked(b"10000000000000000\r\nab\r\n0\r\n\r\n"),
    "LF in a chunk extension": chunked(b"2;a\nb\r\nab\r\n0\r\n\r\n"),
    "chunk longer than it says": chunked(b"1\r\nab\r\n0\r\n\r\n"),
    "bare LF": b"GET /livez HTTP/1.1\nHost: a\n\n",
    "bare CR in a value": b"GET /livez HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    "NUL in a value": b"GET /livez HTTP/1.1\r\nHost: a\0\r\n\r\n",
    "space before the colon": b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
    "no colon": b"GET /livez HTTP/1.1\r\nHost: a\r\nabc\r\n\r\n",
    "HTTP/1.2": b"GET /livez HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "folded line": b"GET /livez HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "no Host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "TE xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE chunked, chunked": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two TE": chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"),
    "TE in HTTP/1.0": b"POST /tokenize HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two spaces": b"GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": b"GET livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "method with a control character": b"G\x01T /livez HTTP/1.1\r\nHost: a\r\n\r\n",
}
OTHER_STATUS = {
    "20 kB of head": (431, b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n"),
    "1,500 lines": (431, b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 1500 + b"\r\n"),
    "9 kB of target": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "33 MiB said": (413, sized(str(33 << 20).encode(), b"")),
    "gzip": (415, sized(LENGTH, head=b"Content-Encoding: gzip\r\n")),
}

NUMBERS = ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", "max_completion_tokens", "n", "logprobs",
           "presence_penalty", "frequency_penalty", "repetition_penalty", "min_tokens", "best_of")
VALUES = ("-1", "0", "2147483648", "9223372036854775808", "18446744073709551616", "1.5", '"1"', "null", "[]", "{}",
          "true", "-0.0", "1e300", "-9223372036854775808")


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = served.Server(MODEL)
        cls.addClassCleanup(cls.server.__exit__)

    def tearDown(self):
        self.assertIsNone(self.server.process.poll(), "the server has ended")
        self.assertEqual(self.server.post(COMPLETE, json.loads(BODY))[0], 200)

    def refused(self, status, data, name):
        answer = self.server.raw(data)
        self.assertEqual(status_of(answer), status, (name, answer[:200]))
        self.assertEqual(answer.count(b"\r\nx-request-id: "), 1, (name, answer))
        body = answer.split(b"\r\n\r\n", 1)[1]
        self.assertIn("message", json.loads(body)["error"], name)
        self.assertIn(b"Connection: close", answer, name)
        return body

    def test_malformed_requests(self):
        for name, data in MALFORMED.items():
            self.refused(400, data, name)
        for name, (status, data) in OTHER_STATUS.items():
            self.refused(status, data, name)
        # The same, well formed.
        close = b"Connection: close\r\n"
        self.assertEqual(status_of(self.server.raw(sized(LENGTH, head=close))), 200)
        half = len(BODY) // 2
        pieces = b"".join(b"%x;a=b\r\n%s\r\n" % (len(p), p) for p in (BODY[:half], BODY[half:])) + b"0\r\n\r\n"
        self.assertEqual(status_of(self.server.raw(chunked(pieces, close))), 200)
        self.assertEqual(status_of(self.server.raw(b"GET /livez HTTP/1.0\r\n\r\n")), 200)

    def test_pipelined_and_in_pieces(self):
        one = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        self.assertEqual(self.server.raw(one * 5 + sized(LENGTH) + last).count(b"HTTP/1.1 200 OK"), 7)
        with self.server.connect() as connection:
            for i in range(len(last)):
                connection.sendall(last[i:i + 1])
            self.assertEqual(status_of(connection.recv(1000)), 200)
        with self.server.connect() as connection:  # nothing comes after, but the answer is read
            connection.sendall(one)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(status_of(connection.recv(1000)), 200)
        with self.server.connect() as connection:
            connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: " + LENGTH + b"\r\n\r\n")
            self.assertEqual(status_of(connection.recv(1000)), 100)
            connection.sendall(BODY)
            self.assertEqual(status_of(connection.recv(1000)), 200)

    def test_bodies_that_are_no_good(self):
        deep = b'{"prompt":' + b"[" * 65 + b"]" * 65 + b"}"
        bodies = [b"", b"{", b"{}", b"[]", b"3", deep, b'{"prompt":' + b"[" * 5_000_000, b'{"prompt":"a","prompt":"b"}',
                  b'{"prompt":"a","temperature":1e999}', b'{"prompt":"\\ud800"}', b'{"prompt":"a\0"}',
                  b'{"prompt":"\xff"}', b'{"prompt":"a"} x', b'{"prompt":NaN}',
                  b"{" + b",".join(b'"k%d":1' % i for i in range(100_000)) + b"}",
                  b'{"messages":[' + b",".join([b'{"role":"user","content":"a"}'] * 100_000) + b"]}"]
        before = self.server.memory()
        for body in bodies:
            for path in (COMPLETE, CHAT, "/tokenize", "/detokenize"):
                start = time.monotonic()
                status, headers, answer = self.server.request("POST", path, body)
                self.assertEqual(status, 400, (path, body[:80], answer))
                self.assertLess(time.monotonic() - start, 60, body[:80])  # it ends, however slow the machine
                self.assertLess(len(answer), 2000)
        self.assertLess(self.server.memory() - before, 200 << 20)

    def test_every_number(self):
        count = 0
        for field in NUMBERS:
            for value in VALUES:
                body = f'{{"prompt":[5,6],"max_tokens":1,"{field}":{value}}}'
                if field == "max_tokens":
                    body = f'{{"prompt":[5,6],"max_tokens":{value}}}'
                status, answer = self.server.post(COMPLETE, body.encode())
                self.assertIn(status, (200, 400), (field, value, answer))
                count += 1
        for bad in ({"stop": ["a"] * 17}, {"stop": [""]}, {"stop": [1]}, {"logit_bias": {"x": 1}},
                    {"logit_bias": {"-1": 1}}, {"logit_bias": {"5": 101}}, {"logit_bias": [1]},
                    {"logit_bias": {str(i): 1 for i in range(1025)}}, {"stop_token_ids": [1 << 40]},
                    {"stream_options": {}}, {"stream": 1}, {"tools": [{}]}, {"response_format": {"type": "json"}},
                    {"prompt": [[1], ["a"]]}, {"prompt": [1 << 31]}, {"prompt": [-1]}, {"prompt": {}},
                    {"prompt": []}, {"prompt": [[]] * 65}, {"n": 17}, {"logprobs": 21}):
            status, answer = self.server.post(COMPLETE, {"prompt": [5], "max_tokens": 1, **bad})
            self.assertEqual(status, 400, (bad, answer))
            count += 1
        for messages in (None, [], {}, "a", [1], [{}], [{"role": "user"}], [{"role": "root", "content": "a"}],
                         [{"role": "user", "content": 1}], [{"role": "user", "content": [1]}],
                         [{"role": "user", "content": [{"type": "image_url"}]}]):
            self.assertEqual(self.server.post(CHAT, {"messages": messages})[0], 400, messages)
            count += 1
        self.assertGreater(count, 220)

    def test_errors_tell_nothing_of_the_machine(self):
        for data in list(MALFORMED.values()) + [d for _, d in OTHER_STATUS.values()]:
            self.assertIsNone(re.search(rb"0x[0-9a-f]{4}|/\w+/\w+/|exception|std::", self.server.raw(data)))


class Slow(unittest.TestCase):
    """Time limits, on servers of their own: a machine that is busy must not meet them elsewhere."""

    def test_slow_clients(self):
        """Heads and bodies that never end, and silence: each ends at its limit, and others don't notice."""
        slow = {"head": (b"GET /livez HT", 408), "body": (sized(LENGTH, b"{"), 408), "nothing": (b"", None)}
        for name, (data, status) in slow.items():
            # If others had to wait, they would wait for the limit, whatever it is. The shortest one that a machine
            # of this speed can tell from no waiting at all says so.
            self.assertTrue(any(self.others_go_on(name, data, status, limit) for limit in (0.5, 2, 8, 30)), name)

    def others_go_on(self, name, data, status, limit):
        limits = [text for kind in ("header-timeout", "body-timeout", "keep-alive")
                  for text in (f"--{kind}-ms", int(1000 * limit))]
        with served.Server(MODEL, *limits) as server:
            start = time.monotonic()
            connections = [server.connect(10 * limit) for _ in range(50)]
            for connection in connections:
                connection.sendall(data)
            for _ in range(20):
                self.assertEqual(server.get("/livez")[0], 200)
            if time.monotonic() - start > limit / 2:
                for connection in connections:
                    connection.close()
                return False
            self.assertEqual(select.select(connections, [], [], 0)[0], [], name)  # all are still waited for
            for connection in connections:
                received = b""
                while chunk := connection.recv(1000):
                    received += chunk
                connection.close()
                self.assertEqual(status_of(received), status, name)
            self.assertGreaterEqual(time.monotonic() - start, limit)
            return True

    def test_streams_that_nobody_reads(self):
        body = json.dumps({"prompt": [[5, 6]] * 4, "n": 16, "max_tokens": 200, "ignore_eos": True, "stream": True,
                           "logprobs": 20}).encode()
        with served.Server(MODEL, "--write-timeout-ms", 800) as server:
            before = server.memory()
            connections = []
            for _ in range(3):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", server.port))
                connection.sendall(sized(str(len(body)).encode(), body))
                connections.append(connection)
            deadline = time.monotonic() + 300
            while b'finished_reason="abort"' not in server.get("/metrics")[1] and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertIn(b'finished_reason="abort"', server.get("/metrics")[1])
            while server.metric("llama4:num_requests_running") and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(server.metric("llama4:num_requests_running"), 0)
            self.assertLess(server.memory() - before, 80 << 20)
            for connection in connections:
                connection.close()
            self.assertEqual(server.post(COMPLETE, json.loads(BODY))[0], 200)


class Keys(unittest.TestCase):
    ROUTES = [("POST", CHAT), ("POST", COMPLETE), ("GET", "/v1/models"), ("GET", "/v1/models/a"), ("POST", "/tokenize"),
              ("POST", "/detokenize"), ("GET", "/health"), ("GET", "/version"), ("GET", "/metrics"), ("GET", "/none"),
              ("DELETE", "/livez2")]

    def test_every_route_asks_for_the_key(self):
        with served.Server(MODEL, "--api-key", "one", "--api-key", "two") as server:
            for method, path in self.ROUTES:
                for header in ({}, {"Authorization": "Bearer three"}, {"Authorization": "Bearer "},
                               {"Authorization": "one"}, {"Authorization": "Basic one"}):
                    status, _, body = server.request(method, path, {} if method == "POST" else None, header)
                    self.assertEqual(status, 401, (path, header))
                    self.assertEqual(json.loads(body)["error"]["code"], "invalid_api_key")
            for path in ("/livez", "/readyz"):
                self.assertEqual(server.get(path)[0], 200)
            for key in ("one", "two"):
                self.assertEqual(server.get("/health", headers={"Authorization": f"Bearer {key}"})[0], 200)
            self.assertNotIn("one", "".join(line for line in server.log if "Bearer" in line))


class Load(unittest.TestCase):
    LONG = {"prompt": [5, 6, 7], "max_tokens": 150, "ignore_eos": True, "temperature": 0}

    def test_overload(self):
        with served.Server(MODEL, "--max-num-seqs", 2, "--max-num-queued-reqs", 4) as server:
            # All are there when the server goes on, however slow the one who asks.
            server.process.send_signal(signal.SIGSTOP)
            connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=600) for _ in range(60)]
            for connection in connections:
                connection.request("POST", COMPLETE, json.dumps(self.LONG))
            server.process.send_signal(signal.SIGCONT)
            responses = [connection.getresponse() for connection in connections]
            answers = [(r.status, r.headers["Retry-After"], r.read()) for r in responses]
            for connection in connections:
                connection.close()
            counts = {status: sum(a[0] == status for a in answers) for status in (200, 503)}
            self.assertEqual(sum(counts.values()), 60)
            self.assertGreaterEqual(counts[200], 4)
            self.assertGreater(counts[503], 10)
            for status, retry, _ in answers:
                self.assertEqual(retry, "1" if status == 503 else None)
            self.assertEqual(len({json.loads(a[2])["choices"][0]["text"] for a in answers if a[0] == 200}), 1)
            self.assertEqual(server.metric("llama4:admission_rejections_total"), counts[503])

    def test_no_descriptors_left(self):
        old = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, old[1]))
        try:
            server = served.Server(MODEL)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, old)
        with server:
            def cpu():
                fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                return (int(fields[11]) + int(fields[12])) / 100
            connections = [server.connect() for _ in range(100)]
            before = cpu()
            time.sleep(1)
            self.assertLess(cpu() - before, 0.2)
            for connection in connections:
                connection.close()
            time.sleep(0.5)
            self.assertEqual(server.get("/livez")[0], 200)

    def start_some(self, server, pool, count, **more):
        answers = [pool.submit(server.post, COMPLETE, {**self.LONG, **more}) for _ in range(count)]
        while server.metric("llama4:num_requests_running") + server.metric("llama4:num_requests_waiting") < count:
            if any(answer.done() for answer in answers):
                break  # the first were faster than the last are sent
            time.sleep(0.005)
        return answers

    def end_begun(self, server):
        """Returns when the server knows that it shall end; False where it has ended by then."""
        while True:
            try:
                if server.get("/readyz")[0] == 503:
                    return True
            except (OSError, http.client.HTTPException):
                return False
            time.sleep(0.005)

    def test_drain(self):
        """What runs is answered, what comes is refused, then it ends."""
        with served.Server(MODEL, "--drain-seconds", 600) as server, concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = self.start_some(server, pool, 50, n=4)
            server.terminate()
            if self.end_begun(server):
                for _ in range(3):
                    try:
                        status, headers, _ = server.request("POST", COMPLETE, self.LONG)
                        self.assertEqual((status, headers["Retry-After"]), (503, "1"))
                        self.assertEqual(server.get("/livez")[0], 200)
                    except (OSError, http.client.HTTPException):
                        break
            for answer in answers:
                # Who was still on the way when the signal came is refused like all others.
                status, body = answer.result()
                self.assertIn((status, body.get("error", {}).get("code")), ((200, None), (503, "draining")))
            self.assertGreater(sum(answer.result()[0] == 200 for answer in answers), 0)
            self.assertEqual(server.wait(60), 0)

    def test_second_signal(self):
        """It ends without waiting for what runs, which the first signal would have let it do for minutes."""
        with served.Server(MODEL, "--drain-seconds", 600) as server, concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = self.start_some(server, pool, 50, n=16)
            server.terminate()
            self.assertTrue(self.end_begun(server))
            server.terminate()
            self.assertEqual(server.wait(60), 69)
            cut = 0
            for answer in answers:
                try:
                    answer.result()
                except (OSError, http.client.HTTPException):
                    cut += 1
            self.assertGreater(cut, 0)

    def test_idle_server_stops_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with served.Server(MODEL, "--drain-seconds", 600, "--header-timeout-ms", 600_000) as server:
                with server.connect():  # somebody is still there, and may be for ten minutes
                    server.process.send_signal(number)
                    self.assertEqual(server.wait(60), 0)

    def test_wrong_options(self):
        import subprocess

        def start(*options):
            done = subprocess.run([served.BIN / "llama4-run", "serve", MODEL, *options], capture_output=True,
                                  timeout=30, check=False)
            return done.returncode
        with served.Server(MODEL) as server:
            self.assertEqual(start("--port", str(server.port)), 69)
        self.assertEqual(start("--host", "no such host"), 2)
        self.assertEqual(start("--port", "70000"), 2)
        self.assertEqual(start("--port", "0", "--api-key", ""), 2)
        self.assertEqual(start("--port", "0", "--max-model-len", "1000000"), 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
