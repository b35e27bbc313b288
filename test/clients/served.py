"""A server for tests, and what talks to it: plain sockets, so that nothing is between test and wire."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

BIN = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"])
DATA = pathlib.Path(os.environ["LLAMA4_TEST_DATA"])
SMOLLM2 = os.environ.get("LLAMA4_SMOLLM2", "")
RUN = pathlib.Path(os.environ.get("LLAMA4_RUN", BIN / "llama4-run"))  # of another build, perhaps
WATCHED = bool(os.environ.get("LLAMA4_WATCHED"))  # by a sanitizer, whose own memory is of no interest


def compile_model(checkpoint, out, *options):
    subprocess.run([BIN / "llama4-compile", checkpoint, "-o", out, *options], check=True,
                   capture_output=True, timeout=300)
    return out


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket at a path."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Server:
    """llama4-run serve on a port of its own, or at a path, ended with the `with` block."""

    def __init__(self, model, *options, unix=None):
        where = ["--unix-socket", unix] if unix else ["--port", "0"]
        self.process = subprocess.Popen(
            [RUN, "serve", model, *map(str, where), "-t", "2", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.unix = unix
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on (?:http://127\.0\.0\.1:(\d+)|unix:(.*))\n", line)
        if not match:
            raise RuntimeError(f"no port in {line!r}: {self.process.stderr.read()}")
        self.port = int(match[1] or 0)
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def wait(self, seconds=20):
        code = self.process.wait(seconds)
        self.reader.join(seconds)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def connect(self, seconds=60):
        if self.unix:
            connection = UnixConnection(self.unix, seconds)
            connection.connect()
            return connection.sock
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def request(self, method, path, body=None, headers=(), seconds=120):
        """(status, headers, body as it came)."""
        connection = UnixConnection(self.unix, seconds) if self.unix else \
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        with contextlib.closing(connection):
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path, **more):
        status, _, body = self.request("GET", path, **more)
        return status, body

    def post(self, path, body, **more):
        """(status, JSON)."""
        status, _, text = self.request("POST", path, body, **more)
        return status, json.loads(text)

    def good(self, path, body):
        status, answer = self.post(path, body)
        if status != 200:
            raise AssertionError(f"{path} {body}: {status} {answer}")
        return answer

    def events(self, path, body):
        """The events of a stream, in order; the last is "[DONE]"."""
        status, headers, text = self.request("POST", path, dict(body, stream=True))
        if status != 200:
            raise AssertionError(f"{path} {body}: {status} {text}")
        if not headers["Content-Type"].startswith("text/event-stream"):
            raise AssertionError(headers["Content-Type"])
        found = []
        for event in text.decode().split("\n\n"):
            if event.startswith("data: "):
                data = event[len("data: "):]
                found.append(data if data == "[DONE]" else json.loads(data))
            elif event and not event.startswith(":"):
                raise AssertionError(f"no event: {event!r}")
        return found

    def raw(self, data, seconds=10):
        """What comes back for some bytes until the server closes; b"" if it doesn't."""
        with self.connect(seconds) as connection:
            connection.sendall(data)
            received = b""
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except (TimeoutError, ConnectionResetError):
                return b""
            return received

    def metric(self, name):
        text = self.get("/metrics")[1].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if re.match(re.escape(name) + r"[{ ]", line))

    def wait_for(self, name, value, seconds=120):
        """Until a metric has a value, or None where it never has."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.metric(name)
            if found == value:
                return found
            time.sleep(0.02)
        return None

    def wait_idle(self):
        """All work is done and all memory of requests is given back."""
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc",
                     "http_buffer_bytes"):
            if self.wait_for("llama4:" + name, 0) is None:
                raise AssertionError(f"{name} is {self.metric('llama4:' + name)}, not 0")

    def requests(self):
        """The log's lines on requests, so far."""
        lines = [json.loads(line) for line in self.log]
        return [line for line in lines if line.get("event") == "request"]

    def memory(self):
        """Bytes of the process in memory; 0 where most of them are a sanitizer's."""
        if WATCHED:
            return 0
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) << 10

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
