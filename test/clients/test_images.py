"""Pictures in chat completions: where they may come from, and that answers are those of the picture."""

import base64
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest
import zlib

from served import DATA, RUN, Server, compile_model

CHECKPOINT = DATA / "oracles/llama4-vision"
PICTURE = CHECKPOINT / "images/one_0.png"
TOKENS = 12


def png(width, height, colour):
    """A picture of one colour."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = (b"\0" + bytes(colour) * width) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def data_url(picture):
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def message(text, *urls):
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        cls.model = compile_model(CHECKPOINT, cls.root / "seeing.l4x", "--compute", "float32")
        cls.media = cls.root / "media"
        (cls.media / "inner").mkdir(parents=True)
        (cls.media / "inner/one.png").write_bytes(PICTURE.read_bytes())
        (cls.root / "outside.png").write_bytes(PICTURE.read_bytes())
        os.symlink(cls.root / "outside.png", cls.media / "link.png")
        os.mkfifo(cls.media / "pipe.png")
        cls.server = Server(cls.model, "--media-root", cls.media, "--no-request-log").__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.folder.cleanup()

    def ask(self, messages, **more):
        return self.server.post("/v1/chat/completions", {
            "messages": messages, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, **more})

    def answer(self, messages, **more):
        status, body = self.ask(messages, **more)
        self.assertEqual(status, 200, body)
        return body["choices"][0]["message"]["content"], body["usage"]

    def alone(self, text, *pictures):
        """What generate says to the same."""
        shown = []
        for i, picture in enumerate(pictures):
            path = self.root / f"shown{i}.png"
            path.write_bytes(picture)
            shown += ["--image", path]
        out = subprocess.run([RUN, "generate", self.model, "--prompt", text, *shown, "-n", str(TOKENS),
                              "--temperature", "0", "--ignore-eos", "--json"], check=True,
                             capture_output=True).stdout
        return json.loads(out)["text"]

    def test_answers_are_those_of_the_pictures(self):
        first, second = PICTURE.read_bytes(), png(50, 40, (200, 30, 60))
        for pictures in ([first], [second], [second, first], [first]):
            found, usage = self.answer(message("What is it?", *map(data_url, pictures)))
            self.assertEqual(found, self.alone("What is it?", *pictures))
            cached = usage["prompt_tokens_details"]["cached_tokens"]
        # The last one was asked before; all but the end of its prompt is known.
        self.assertGreater(cached, usage["prompt_tokens"] - 33)

    def test_another_picture_shares_nothing_behind_its_place(self):
        first, second = png(60, 60, (1, 2, 3)), png(60, 60, (1, 2, 4))
        _, before = self.answer(message("Same text", data_url(first)))
        found, usage = self.answer(message("Same text", data_url(second)))
        self.assertEqual(before["prompt_tokens"], usage["prompt_tokens"])
        self.assertLess(usage["prompt_tokens_details"]["cached_tokens"], 16)
        self.assertEqual(found, self.alone("Same text", second))

    def test_files_below_the_media_root(self):
        expected = self.alone("Look", PICTURE.read_bytes())
        for path in ("inner/one.png", f"file://{self.media}/inner/one.png", "file://inner/one.png",
                     "inner/../inner/one.png"):
            self.assertEqual(self.answer(message("Look", path))[0], expected, path)
        for path in ("../outside.png", str(self.root / "outside.png"), "link.png", "inner", "pipe.png",
                     "none.png", "file:///etc/passwd", "inner/../../outside.png", ""):
            status, body = self.ask(message("Look", path))
            self.assertEqual(status, 400, (path, body))
            self.assertNotIn(str(self.root), body["error"]["message"])

    def test_what_is_refused(self):
        for url in ("http://127.0.0.1:1/a.png", "https://example.com/a.png", "ftp://example.com/a.png",
                    "data:image/png;base64,AAAA", "data:image/png;base64,!", "data:,",
                    data_url(PICTURE.read_bytes()[:-40])):
            status, body = self.ask(message("Look", url))
            self.assertEqual(status, 400, (url, body))
            self.assertIn("messages[0].content[0]", body["error"]["param"])
        status, body = self.ask(message("Look", *[data_url(png(3, 3, (0, 0, 0)))] * 17))
        self.assertEqual((status, "16 images" in body["error"]["message"]), (400, True), body)
        self.answer([{"role": "user", "content": "Still here?"}])

    def test_streams_and_choices(self):
        expected = self.alone("Again", PICTURE.read_bytes())
        body = {"messages": message("Again", data_url(PICTURE.read_bytes())), "max_tokens": TOKENS,
                "temperature": 0, "ignore_eos": True, "n": 2, "stream": True}
        texts = ["", ""]
        for event in self.server.events("/v1/chat/completions", body)[:-1]:
            for choice in json.loads(event)["choices"] if isinstance(event, str) else event["choices"]:
                texts[choice["index"]] += choice["delta"].get("content") or ""
        self.assertEqual(texts, [expected, expected])


class Remote(unittest.TestCase):
    def test_private_addresses_are_refused_where_the_net_is_allowed(self):
        with tempfile.TemporaryDirectory() as folder:
            model = compile_model(CHECKPOINT, pathlib.Path(folder) / "m.l4x", "--compute", "float32")
            with Server(model, "--allow-remote-media", "--no-request-log") as server:
                status, body = server.post("/v1/chat/completions", {"max_tokens": 1, "messages": message(
                    "Look", f"http://127.0.0.1:{server.port}/health")})
                self.assertEqual(status, 400, body)
                self.assertIn("private network", body["error"]["message"])
            with Server(model, "--allow-remote-media", "--allowed-media-domain", "example.com",
                        "--no-request-log") as server:
                status, body = server.post("/v1/chat/completions", {"max_tokens": 1, "messages": message(
                    "Look", f"http://127.0.0.1:{server.port}/health")})
                self.assertEqual(status, 400, body)
                self.assertIn("hosts that are allowed", body["error"]["message"])


if __name__ == "__main__":
    unittest.main()
