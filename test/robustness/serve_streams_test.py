"""Very many clients of `llama4-run serve`, most of them bad: heads that never end, bodies that come slowly, streams
that nobody reads, clients that go in each phase of their request, a thousand good streams at once. With
LLAMA4_FULL_COUNTS=1 as many as the limits of the server are promised for, else a tenth.
"""

import asyncio
import json
import os
import pathlib
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))
import served  # noqa: E402

COMPLETE = "/v1/completions"
FOLDER = tempfile.TemporaryDirectory()
MODEL = None
SCALE = 10 if os.environ.get("LLAMA4_FULL_COUNTS") else 1
COUNTS = {}


def setUpModule():
    global MODEL
    MODEL = served.compile_model(served.DATA / "oracles" / "llama3-text-tied",
                                 pathlib.Path(FOLDER.name) / "tiny.l4x", "--compute", "float32")


def tearDownModule():
    FOLDER.cleanup()
    print("counts:", json.dumps(COUNTS), file=sys.stderr)


def post(body, path=COMPLETE):
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data


async def read_all(reader):
    received = b""
    try:
        while chunk := await reader.read(1 << 16):
            received += chunk
    except ConnectionResetError:
        pass
    return received


class Streams(unittest.TestCase):
    def test_heads_that_never_end(self):
        """B1: all are told and closed; who else asks is answered all the while."""
        count = 100 * SCALE
        with served.Server(MODEL, "--header-timeout-ms", 5000) as server:
            async def slow():
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"GET /livez HTTP/1.1\r\n")
                for i in range(1000):  # a line now and then, until it is closed
                    writer.write(b"X-%d: a\r\n" % i)
                    try:
                        await asyncio.wait_for(asyncio.shield(writer.drain()), 5)
                        return_value = await asyncio.wait_for(reader.read(1000), 0.5)
                    except TimeoutError:
                        continue
                    except ConnectionError:
                        return b""
                    writer.close()
                    return return_value
                return None

            def good():
                return sum(server.get("/livez")[0] == 200 for _ in range(30))

            async def run():
                slow_ones = [asyncio.create_task(slow()) for _ in range(count)]
                answered = await asyncio.to_thread(good)
                return answered, await asyncio.gather(*slow_ones)
            answered, ends = asyncio.run(run())
            self.assertEqual(answered, 30)
            self.assertNotIn(None, ends)
            told = sum(end.startswith(b"HTTP/1.1 408 ") for end in ends)
            self.assertGreaterEqual(told, count * 0.9)  # the others were closed while they wrote
            COUNTS["slow heads closed"] = len(ends)
            server.wait_idle()

    def test_slow_bodies_and_readers(self):
        """B2: bodies that come slowly get 408; who reads no stream is cut off, and holds little until then."""
        count = 20 * SCALE
        with served.Server(MODEL, "--body-timeout-ms", 1500, "--write-timeout-ms", 1500) as server:
            async def slow():
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
                received = await read_all(reader)
                writer.close()
                return received

            async def run():
                return await asyncio.gather(*(slow() for _ in range(count)))
            for received in asyncio.run(run()):
                self.assertTrue(received.startswith(b"HTTP/1.1 408 "), received[:100])
            COUNTS["slow bodies refused"] = count
            server.wait_idle()
            before, readers = server.memory(), 10 * SCALE
            # Each stream is larger than what the sockets take in; the answers of two may wait, however slow the
            # engine is.
            body = post({"prompt": [[5, 6]] * 16, "n": 8, "max_tokens": 60, "ignore_eos": True, "stream": True,
                         "logprobs": 20})
            connections = []
            for _ in range(readers):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", server.port))
                connection.sendall(body)
                connections.append(connection)
            self.assertEqual(server.get("/livez")[0], 200)
            end = time.monotonic() + 300
            highest = 0
            while time.monotonic() < end and \
                    server.metric("llama4:num_requests_running") + server.metric("llama4:num_requests_waiting"):
                highest = max(highest, server.memory())
                time.sleep(0.05)
            server.wait_idle()
            self.assertIn(b'finished_reason="abort"', server.get("/metrics")[1])
            self.assertLess(highest - before, readers * (3 << 20) + (64 << 20))
            COUNTS["readers that don't read"] = readers
            for connection in connections:
                connection.close()

    def test_many_streams(self):
        """B3: every one ends well, and costs little."""
        count = 100 * SCALE
        with served.Server(MODEL, "--max-num-queued-reqs", 100000) as server:
            async def one(i):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(post({"prompt": [5 + i % 90, 6], "max_tokens": 12, "ignore_eos": True, "stream": True,
                                   "temperature": 0}).replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n"))
                received = await read_all(reader)
                writer.close()
                return i % 90, received

            async def run():
                return await asyncio.gather(*(one(i) for i in range(count)))
            before = server.memory()
            texts = {}
            for kind, received in asyncio.run(run()):
                self.assertTrue(received.startswith(b"HTTP/1.1 200 "), received[:200])
                self.assertTrue(received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), received[-100:])
                text = "".join(json.loads(line[6:])["choices"][0]["text"] for line in received.decode().split("\n")
                               if line.startswith("data: {"))
                self.assertEqual(texts.setdefault(kind, text), text)
            self.assertLess(server.memory() - before, count * (100 << 10) + (32 << 20))
            COUNTS["streams at once"] = count
            server.wait_idle()

    def test_clients_that_go(self):
        """B5: queued, while the prompt is processed, while tokens come, waiting for a whole answer: the work ends."""
        each = 5 * SCALE
        long_prompt = [5 + i % 90 for i in range(120)]
        with served.Server(MODEL, "--max-num-seqs", 4, "--max-num-queued-reqs", 4000) as server:
            most = json.loads(server.get("/v1/models")[1])["data"][0]["max_model_len"]
            phases = {"in the stream": {"prompt": [5], "stream": True}, "waiting for all": {"prompt": [5]},
                      "in the prompt": {"prompt": long_prompt, "stream": True}, "queued": {"prompt": [5, 6], "n": 16}}
            for name, body in phases.items():
                made = server.metric("llama4:generation_tokens_total")
                body = {**body, "ignore_eos": True, "temperature": 0, "max_tokens": most - 130}
                connections = []
                for _ in range(each):
                    connection = server.connect()
                    connection.sendall(post(body))
                    connections.append(connection)
                if name == "in the stream":
                    for connection in connections[:4]:
                        connection.recv(100)
                elif name == "waiting for all":
                    while server.metric("llama4:generation_tokens_total") <= made:
                        time.sleep(0.002)
                for connection in connections:
                    connection.close()
                server.wait_idle()
                whole = each * body.get("n", 1) * body["max_tokens"]
                self.assertLess(server.metric("llama4:generation_tokens_total") - made, whole, name)
            COUNTS["clients that went"] = 4 * each


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
