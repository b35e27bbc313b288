"""The server's further sides: echo with logprobs, pages of other origins, sockets at paths, fields that are not
known, its own description, its log, bodies within a common memory, batches of requests in a file."""

import concurrent.futures
import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import select
import stat
import subprocess
import sys
import tempfile
import time
import unittest

import served

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
FOLDER = tempfile.TemporaryDirectory()
ROOM = pathlib.Path(FOLDER.name)
GREEDY = {"prompt": [5, 6, 7], "temperature": 0, "ignore_eos": True, "max_tokens": 8}
MODEL = None


def setUpModule():
    global MODEL
    MODEL = served.compile_model(served.DATA / "oracles" / "llama3-text-tied", ROOM / "tiny.l4x", "--compute", "float32")


def tearDownModule():
    FOLDER.cleanup()


class Plain(unittest.TestCase):
    """A server with a web page's origin, a key, known fields only."""

    @classmethod
    def setUpClass(cls):
        cls.server = served.Server(MODEL, "--cors-origin", "https://a.example", "--strict-fields")
        cls.addClassCleanup(cls.server.__exit__)

    def tearDown(self):
        self.server.wait_idle()

    def test_pages_of_other_origins(self):
        ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os"}
        status, headers, body = self.server.request("OPTIONS", CHAT, headers=ask)
        self.assertEqual((status, body, headers["Access-Control-Allow-Origin"]), (204, b"", ask["Origin"]))
        self.assertEqual(headers["Access-Control-Allow-Headers"], ask["Access-Control-Request-Headers"])
        status, headers, _ = self.server.request("OPTIONS", CHAT, headers={**ask, "Origin": "https://b.example"})
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, None))
        for method, path, body, expected in (("POST", COMPLETE, GREEDY, 200), ("POST", COMPLETE, {}, 400),
                                             ("GET", "/none", None, 404), ("POST", COMPLETE, {**GREEDY, "stream": True}, 200)):
            for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None), ("", None)):
                status, headers, _ = self.server.request(method, path, body, {"Origin": origin} if origin else {})
                self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (expected, allowed), (path, origin))
        self.assertEqual(self.server.request("OPTIONS", CHAT)[0], 405)  # not a browser's question

    def test_fields_that_are_not_known(self):
        for path, body in ((COMPLETE, GREEDY), (CHAT, {"messages": [{"role": "user", "content": "a"}]}),
                           ("/tokenize", {"prompt": "a"}), ("/detokenize", {"tokens": [5]})):
            status, answer = self.server.post(path, {**body, "temprature": 1})
            self.assertEqual((status, answer["error"]["param"]), (400, "temprature"), answer)
        known = {**GREEDY, "user": "me", "metadata": {}, "store": False, "best_of": 1, "suffix": "", "top_k": -1,
                 "stream_options": None, "tools": [], "response_format": {"type": "text"}}
        self.assertEqual(self.server.post(COMPLETE, known)[0], 200)

    def test_description(self):
        status, body = self.server.get("/openapi.json")
        description = json.loads(body)
        self.assertEqual(status, 200)
        paths = {(path, method) for path, methods in description["paths"].items() for method in methods}
        self.assertGreaterEqual(len(paths), 12)
        for path, method in paths:  # what it says is there is there
            body = {} if method == "post" else None
            status = self.server.request(method.upper(), path.replace("{name}", "default"), body)[0]
            self.assertIn(status, (200, 400), (path, method))
            self.assertIn(str(status), description["paths"][path][method]["responses"])
        names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(description)))
        self.assertLessEqual(names, set(description["components"]["schemas"]))
        fields = description["paths"][COMPLETE]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        for name, field in fields.items():  # and each field takes what its schema says, and no more
            for value, step in ((field.get("minimum"), -1), (field.get("maximum"), 1)):
                if value is None or name in ("max_tokens", "max_completion_tokens", "min_tokens", "best_of"):
                    continue  # they have to fit each other
                status, answer = self.server.post(COMPLETE, {**GREEDY, "max_tokens": 1, name: value})
                self.assertEqual(status, 200, (name, value, answer))
                status, answer = self.server.post(COMPLETE, {**GREEDY, "max_tokens": 1, name: value + step})
                self.assertEqual(status, 400, (name, value + step, answer))
        try:
            import openapi_spec_validator
        except ImportError:
            return
        openapi_spec_validator.validate(description)


class Silence(unittest.TestCase):
    def test_signs_of_life(self):
        """Who waits behind others gets the head of the stream and comments, then the stream as ever."""
        with served.Server(MODEL, "--max-num-seqs", 1, "--ping-ms", 5) as server, \
                concurrent.futures.ThreadPoolExecutor(1) as pool:
            plain = server.events(COMPLETE, GREEDY)
            long = pool.submit(server.good, COMPLETE, {**GREEDY, "max_tokens": 200, "n": 16})
            while not server.metric("llama4:num_requests_running"):
                time.sleep(0.001)
            _, headers, text = server.request("POST", COMPLETE, {**GREEDY, "stream": True}, {"x-request-id": "mine"})
            self.assertEqual(len(long.result()["choices"]), 16)
            self.assertEqual((headers["Content-Type"], headers["x-request-id"]),
                             ("text/event-stream; charset=utf-8", "mine"))
            events = text.decode().split("\n\n")
            self.assertEqual(events[0], ": ping")
            data = [event for event in events if event != ": ping"]
            self.assertEqual(data[-2:], ["data: [DONE]", ""])
            self.assertEqual([json.loads(event[6:])["choices"] for event in data[:-2]],
                             [event["choices"] for event in plain[:-1]])

    def test_stopped_after_a_sign_of_life(self):
        with served.Server(MODEL, "--max-num-seqs", 1, "--ping-ms", 5, "--drain-seconds", 0) as server:
            with server.connect() as first, server.connect() as second:
                body = json.dumps({**GREEDY, "max_tokens": 200, "n": 16, "stream": True}).encode()
                data = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                first.sendall(data)
                self.assertTrue(first.recv(100).startswith(b"HTTP/1.1 200 "))
                second.sendall(data)
                received = b""
                while b": ping" not in received:
                    received += second.recv(1000)
                self.assertNotIn(b"data:", received)
                server.terminate()
                self.assertEqual(server.wait(), 69)  # cut off: there was no time


class PromptLogprobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = served.Server(MODEL)
        cls.addClassCleanup(cls.server.__exit__)

    def ask(self, **more):
        return self.server.good(COMPLETE, {**GREEDY, "echo": True, **more})

    def test_equal_those_of_the_answer(self):
        """A text that was generated has, as a prompt, the logprobs it was generated with."""
        prompt = [5 + i % 80 for i in range(300)]  # more than one step takes
        # Letters only; logprobs are those of the model, which would have chosen others.
        bias = {str(i): 100 for i in range(70, 90)}
        first = self.ask(prompt=prompt, logprobs=3, max_tokens=12, logit_bias=bias)["choices"][0]["logprobs"]
        self.assertEqual(len(first["tokens"]), 312)
        self.assertEqual((first["token_logprobs"][0], first["top_logprobs"][0], first["text_offset"][0]), (None, None, 0))
        ids = []
        for name in first["tokens"]:
            self.assertFalse(name.startswith("bytes:"))
            ids += self.server.post("/tokenize", {"prompt": name, "add_special_tokens": False})[1]["tokens"]
        self.assertEqual(ids[:300], prompt)
        again = self.ask(prompt=ids, logprobs=3, max_tokens=0)["choices"][0]["logprobs"]
        self.assertEqual(again["tokens"], first["tokens"])
        for a, b in zip(again["token_logprobs"][1:], first["token_logprobs"][1:]):
            self.assertAlmostEqual(a, b, places=4)

    def test_nothing_is_generated(self):
        answer = self.ask(logprobs=2, max_tokens=0)
        self.assertEqual(answer["usage"]["completion_tokens"], 0)
        choice = answer["choices"][0]
        self.assertEqual((len(choice["logprobs"]["tokens"]), choice["finish_reason"]), (3, "length"))
        for value, top in list(zip(choice["logprobs"]["token_logprobs"], choice["logprobs"]["top_logprobs"]))[1:]:
            self.assertLessEqual(value, 0)
            self.assertLessEqual(sum(map(math.exp, top.values())), 1 + 1e-5)
            self.assertGreaterEqual(max(top.values()) + 1e-6, value)
        self.assertEqual(self.server.post(COMPLETE, {**GREEDY, "max_tokens": 0})[0], 400)
        plain = self.ask(max_tokens=0)["choices"][0]
        self.assertEqual((plain["text"], plain["logprobs"]), (choice["text"], None))

    def test_every_form_of_prompt(self):
        texts = ["any text", "another", "x"]
        ids = [self.server.post("/tokenize", {"prompt": t})[1]["tokens"] for t in texts]
        forms = [(texts[0], ids[:1]), (ids[0], ids[:1]), (texts, ids), (ids, ids), ([texts[0], ids[1], texts[2]], ids),
                 ([7], [[7]]), ([[7]], [[7]])]
        for prompt, expected in forms:
            for n in (1, 2):
                for stream in (False, True):
                    self.check_form(prompt, expected, n, stream)

    def check_form(self, prompt, expected, n, stream):
        bias = {"77": 100}  # a letter
        body = {**GREEDY, "prompt": prompt, "echo": True, "logprobs": 1, "n": n, "max_tokens": 3, "logit_bias": bias}
        parts = {}
        if stream:
            for event in self.server.events(COMPLETE, body)[:-1]:
                for choice in event["choices"]:
                    parts.setdefault(choice["index"], []).append(choice)
        else:
            for choice in self.server.good(COMPLETE, body)["choices"]:
                parts[choice["index"]] = [choice]
        self.assertEqual(sorted(parts), list(range(len(expected) * n)))
        for index, choices in parts.items():
            ids = expected[index // n]
            alone = self.server.good(COMPLETE, {**GREEDY, "prompt": ids, "max_tokens": 3, "logit_bias": bias})
            text = "".join(c["text"] for c in choices)
            begin = self.server.post("/detokenize", {"tokens": ids})[1]["prompt"].removeprefix("<|begin_of_text|>")
            self.assertEqual(text, begin + alone["choices"][0]["text"])
            lists = [c["logprobs"] for c in choices if c["logprobs"]]
            merged = {key: sum((one[key] for one in lists), []) for key in lists[0]}
            self.assertEqual(len(merged["tokens"]), len(ids) + 3)
            self.assertEqual([v is None for v in merged["token_logprobs"]], [True] + [False] * (len(ids) + 2))
            # Each token stands where it says; those of control are not in the text.
            for name, offset in zip(merged["tokens"], merged["text_offset"]):
                if name.startswith("<|"):
                    self.assertEqual(offset, 0)
                else:
                    self.assertEqual(text[offset:offset + len(name)], name)


class Sockets(unittest.TestCase):
    def test_at_a_path(self):
        path = ROOM / "server.sock"
        with served.Server(MODEL, unix=path) as server:
            self.assertTrue(stat.S_ISSOCK(path.lstat().st_mode))
            self.assertEqual(len(server.good(COMPLETE, GREEDY)["choices"]), 1)
            self.assertEqual(server.events(COMPLETE, GREEDY)[-1], "[DONE]")
            second = subprocess.run([served.RUN, "serve", MODEL, "--unix-socket", path], capture_output=True, check=False,
                                    timeout=60)
            self.assertEqual(second.returncode, 69, "somebody listens there")
            self.assertEqual(len(server.good(COMPLETE, GREEDY)["choices"]), 1)
            server.terminate()
            self.assertEqual(server.wait(), 0)
        self.assertFalse(path.exists())
        with served.Server(MODEL, unix=path) as server:  # killed, so that the socket stays
            server.process.kill()
            server.wait()
        self.assertTrue(path.exists())
        with served.Server(MODEL, unix=path) as server:
            self.assertEqual(server.get("/livez")[0], 200)
        file = ROOM / "file"
        file.write_text("mine")
        for where, code in ((file, 69), (ROOM / ("x" * 200), 2)):
            done = subprocess.run([served.RUN, "serve", MODEL, "--unix-socket", where], capture_output=True, check=False,
                                  timeout=60)
            self.assertEqual(done.returncode, code)
        self.assertEqual(file.read_text(), "mine")

    def test_wrong_options(self):
        file = ROOM / "no folder"
        file.write_text("")
        for options in (("--cors-origin", "a.example"), ("--http-memory", "much"), ("--log-format", "xml"),
                        ("--unix-socket", ROOM / "s", "--port", "0"), ("--log-file", file / "log")):
            done = subprocess.run([served.RUN, "serve", MODEL, *map(str, options)], capture_output=True, check=False,
                                  timeout=60)
            self.assertIn(done.returncode, (2, 74), options)


class Logs(unittest.TestCase):
    def test_lines(self):
        with served.Server(MODEL, "--api-key", "canary-key", "--api-key", "other") as server:
            key = {"Authorization": "Bearer canary-key"}
            server.request("POST", COMPLETE, {**GREEDY, "prompt": "canary"}, {**key, "x-request-id": "mine"})
            server.request("POST", COMPLETE, {**GREEDY, "stream": True},
                           {"Authorization": "Bearer other", "x-request-id": "second"})
            server.request("POST", COMPLETE, GREEDY, {"x-request-id": "third"})
            server.request("GET", "/canary", headers={**key, "x-request-id": "fourth"})
            server.request("GET", "/health", headers={**key, "x-request-id": "fifth"})
            server.raw(b"canary\r\n\r\n")
            server.terminate()
            self.assertEqual(server.wait(), 0)
            lines = server.requests()
            self.assertNotIn("canary", "".join(server.log))
        # a line is written when its answer has gone out, which the next request may overtake
        order = ["mine", "second", "third", "fourth", "fifth"]
        lines.sort(key=lambda line: order.index(line["id"]) if line["id"] in order else len(order))
        self.assertEqual([line["status"] for line in lines], [200, 200, 401, 404, 200, 400])
        self.assertEqual((lines[0]["id"], lines[0]["route"], lines[0]["method"]), ("mine", COMPLETE, "POST"))
        self.assertEqual([lines[0][k] for k in ("completion_tokens", "cached_tokens", "stream")], [8, 0, False])
        self.assertGreaterEqual(lines[0]["ms"], lines[0]["first_token_ms"])
        self.assertEqual((lines[1]["prompt_tokens"], lines[1]["stream"]), (3, True))
        self.assertEqual(len({line["key"] for line in lines[:2]} | {None}), 3)
        self.assertEqual(lines[0]["key"], lines[4]["key"])
        self.assertRegex(lines[0]["key"], "^[0-9a-f]{8}$")
        self.assertTrue(all(line["time"].endswith("Z") for line in lines))

    def test_to_a_file_as_text(self):
        file = ROOM / "log"
        for count in (1, 2):  # appended to
            with served.Server(MODEL, "--log-file", file, "--log-format", "text") as server:
                server.good(COMPLETE, GREEDY)
                server.terminate()
                self.assertEqual(server.wait(), 0)
                self.assertEqual(server.log, [])
            self.assertEqual(file.read_text().count(f"route={COMPLETE} status=200"), count)

    def test_nobody_reads(self):
        """A log that is full holds no request up."""
        full = subprocess.Popen([served.RUN, "serve", MODEL, "--port", "0"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        try:
            port = int(full.stdout.readline().rsplit(":", 1)[1])
            for _ in range(900):  # 150 bytes each; a pipe holds 64 KiB
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                with contextlib.closing(connection):
                    connection.request("GET", "/livez")
                    self.assertEqual(connection.getresponse().status, 200)
        finally:
            full.kill()
            full.communicate()


class CommonMemory(unittest.TestCase):
    def test_bodies(self):
        """Many bodies at once: what doesn't fit is told so, what fits is answered, all is given back."""
        with served.Server(MODEL, "--http-memory", "4MiB") as server:
            piece = b"x" * (1 << 20)
            head = b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2 << 20)
            before = server.memory()
            with contextlib.ExitStack() as stack:
                connections = [stack.enter_context(server.connect(20)) for _ in range(40)]
                refused = 0
                for connection in connections:  # half a body each
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(head + piece)
                for _ in range(20):  # bodies leave room for short answers
                    self.assertEqual(server.get("/livez")[0], 200)
                waiting, end = set(connections), time.monotonic() + 60
                while refused < 30 and time.monotonic() < end:
                    for connection in select.select(waiting, [], [], 1)[0]:
                        waiting.remove(connection)
                        with contextlib.suppress(ConnectionError):
                            refused += connection.recv(2000).startswith(b"HTTP/1.1 503 ")
                self.assertGreaterEqual(refused, 30)
                self.assertLess(server.memory() - before, 60 << 20)
            self.assertIsNotNone(server.wait_for("llama4:http_buffer_bytes", 0))
            self.assertEqual(server.post("/tokenize", {"prompt": "a" * (1 << 20)})[0], 200)
            server.wait_idle()

    def test_one_length_said(self):
        """Memory is taken for what comes, not for what is announced."""
        with served.Server(MODEL, "--http-memory", "1MiB") as server, contextlib.ExitStack() as stack:
            for _ in range(50):
                connection = stack.enter_context(server.connect())
                connection.sendall(b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 33000000\r\n\r\n{")
            self.assertEqual(server.post("/tokenize", {"prompt": "a" * 1000})[0], 200)


class Cached(unittest.TestCase):
    PROMPT = [5 + i % 90 for i in range(200)]

    def ask(self, server, key, **more):
        headers = {"Authorization": "Bearer " + key} if key else {}
        status, answer = server.post(COMPLETE, {**GREEDY, "prompt": self.PROMPT, **more}, headers=headers)
        self.assertEqual(status, 200, answer)
        return answer["usage"]["prompt_tokens_details"]["cached_tokens"], answer["choices"]

    def test_between_requests(self):
        with served.Server(MODEL) as server:
            first, choices = self.ask(server, None)
            again, same = self.ask(server, None)
            self.assertEqual((first, same), (0, choices))
            self.assertGreater(again, 0)
            self.assertLess(again, 200)
            events = server.events(COMPLETE, {**GREEDY, "prompt": self.PROMPT, "stream_options": {"include_usage": True}})
            self.assertEqual(events[-2]["usage"]["prompt_tokens_details"], {"cached_tokens": again})
            self.assertEqual(server.metric("llama4:prefix_cache_hits_total"), 2 * again)
            self.assertEqual(self.ask(server, None, echo=True, logprobs=0)[0], 0)  # all of it is looked at
            server.wait_idle()
            self.assertIn(again, [line.get("cached_tokens") for line in server.requests()])

    def test_switched_off(self):
        with served.Server(MODEL, "--no-prefix-cache") as server:
            self.assertEqual([self.ask(server, None)[0] for _ in range(2)], [0, 0])

    def test_not_between_keys(self):
        with served.Server(MODEL, "--api-key", "one", "--api-key", "two") as server:
            found = [self.ask(server, key) for key in ("one", "two", "one", "two")]
            self.assertEqual([f[0] > 0 for f in found], [False, False, True, True])
            self.assertEqual(len({json.dumps(f[1]) for f in found}), 1)


class Messages(unittest.TestCase):
    def test_eight_mebibytes(self):
        """A list that a parser might walk through for each of its items: refused, and this ends."""
        path = ROOM / "messages.json"
        for item, message in ((b"{}", "values"), (b'{"a":[{}]}', "values"), (b"[" * 100, "deeper"), (b'""', "values"),
                              (b'{"role":"user","content":"a"}', "list of 1 to 4096 messages")):
            path.write_bytes(b"[" + b",".join([item] * ((8 << 20) // (len(item) + 1))) + b"]")
            done = subprocess.run([served.RUN, "tokenize", MODEL, "--messages", path], capture_output=True, text=True,
                                  check=False, timeout=600)
            self.assertEqual(done.returncode, 65, done.stderr)
            self.assertIn(message, done.stderr)


class Batch(unittest.TestCase):
    def write(self, name, lines):
        path = ROOM / name
        path.write_text("".join(json.dumps(line) + "\n" if not isinstance(line, str) else line for line in lines))
        return path

    def requests(self, count):
        return [{"custom_id": f"r{i}", "method": "POST", "url": COMPLETE,
                 "body": {"prompt": [5 + i % 50, 6], "max_tokens": 3 + i % 20, "ignore_eos": True, "temperature": i % 2,
                          "seed": i, "n": 1 + i % 3}} for i in range(count)]

    def run_batch(self, requests, out, *options, **more):
        return subprocess.run([served.RUN, "batch", MODEL, requests, "-o", out, *options], capture_output=True, text=True,
                              timeout=300, check=False, **more)

    def test_answers(self):
        requests = self.requests(60)
        requests[7]["body"]["temperature"] = -1
        requests[8]["body"]["stream"] = True
        requests[9]["body"]["model"] = "nobody"
        path, out = self.write("in.jsonl", requests), ROOM / "out.jsonl"
        done = self.run_batch(path, out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\r", done.stderr)  # no bar: this is no terminal
        self.assertIn("60 requests are answered, 3 of them just now with an error", done.stderr)
        answers = {a["custom_id"]: a for a in map(json.loads, out.read_text().splitlines())}
        self.assertEqual(set(answers), {r["custom_id"] for r in requests})
        for i, code in ((7, 400), (8, 400), (9, 404)):
            self.assertEqual(answers[f"r{i}"]["response"]["status_code"], code)
            self.assertIn("message", answers[f"r{i}"]["response"]["body"]["error"])
        with served.Server(MODEL) as server:
            for i in (0, 1, 25, 59):
                answer = answers[f"r{i}"]
                self.assertEqual(set(answer), {"id", "custom_id", "response", "error"})
                self.assertEqual(answer["response"]["body"]["choices"],
                                 server.good(COMPLETE, requests[i]["body"])["choices"])
        # Again: nothing is left to do, and the model is not even opened.
        text = out.read_text()
        done = self.run_batch(path, out)
        self.assertEqual((done.returncode, out.read_text()), (0, text))

    def test_goes_on(self):
        requests = self.requests(400)
        path, out = self.write("long.jsonl", requests), ROOM / "resumed.jsonl"
        for lines in (20, 150):
            with subprocess.Popen([served.RUN, "batch", MODEL, path, "-o", out], stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and (not out.exists() or out.read_text().count("\n") < lines):
                    time.sleep(0.002)
                process.kill()
            with out.open("a") as file:  # as if it had been cut in the middle of a line
                file.write('{"id":"batch_req_')
        before = out.read_text().count("\n")
        self.assertGreaterEqual(before, 20)
        done = self.run_batch(path, out)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual(sorted(a["custom_id"] for a in answers), sorted(r["custom_id"] for r in requests))
        whole = ROOM / "whole.jsonl"
        self.assertEqual(self.run_batch(path, whole).returncode, 0)
        texts = [{a["custom_id"]: [c["text"] for c in a["response"]["body"]["choices"]] for a in group}
                 for group in (answers, map(json.loads, whole.read_text().splitlines()))]
        self.assertEqual(texts[0], texts[1])

    def test_wrong_files(self):
        good = self.requests(2)
        for lines, message in ((["{\n"], "in:1:"), ([good[0], "[]\n"], ":2:"), ([good[0], good[0]], "twice"),
                               ([{**good[0], "url": "/metrics"}], "/metrics"), ([{**good[0], "method": "GET"}], ":1:"),
                               ([{**good[0], "custom_id": 1}], ":1:"), ([{**good[0], "body": "x"}], ":1:")):
            done = self.run_batch(self.write("in", lines), ROOM / "never")
            self.assertEqual(done.returncode, 65, (lines, done.stderr))
            self.assertIn(message, done.stderr)
            self.assertFalse((ROOM / "never").exists())
        path, foreign = self.write("two", good), self.write("foreign", ["not mine\n"])
        self.assertEqual(self.run_batch(path, foreign).returncode, 65)
        self.assertEqual(foreign.read_text(), "not mine\n")
        self.assertEqual(self.run_batch(path, path).returncode, 2)
        self.assertEqual(self.run_batch(ROOM / "nothing", ROOM / "o").returncode, 66)
        self.assertEqual(self.run_batch(path, ROOM / "no" / "folder").returncode, 74)
        self.assertEqual(self.run_batch(path, "/dev/full").returncode, 74)  # which is never read
        self.assertEqual(self.run_batch(ROOM, ROOM / "o").returncode, 74)
        endless = self.run_batch("/dev/zero", ROOM / "o")
        self.assertEqual(endless.returncode, 65)
        self.assertIn("longer line", endless.stderr)

    def test_bar_on_a_terminal(self):
        import pty
        main, other = pty.openpty()
        path = self.write("few.jsonl", self.requests(5))
        done = subprocess.run([served.RUN, "batch", MODEL, path, "-o", ROOM / "few.out"], stderr=other, check=False,
                              timeout=300)
        os.close(other)
        text = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(main, 10000):
                text += chunk
        os.close(main)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"] 5 of 5,", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
