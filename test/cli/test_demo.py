"""The demo models in models/demo answer as transformers does: held-out questions about pictures, numbers
and words, two pictures, tiles, chat and tools, drawn again here and asked through `llama4-run batch`.

What transformers answered in float32 is recorded in test/data/demo (models/demo/evaluate.py --record).
In float32 every answer has to be the same, in q4_k 98 of 100 of those about scenes. LLAMA4_DEMO_FULL=1
asks all recorded questions, otherwise every eighth.
"""

import base64
import hashlib
import json
import os
import struct
import sys
import unittest
import zlib

import clitest
import numpy as np

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "demo")
sys.path.insert(0, DEMO)

import samples  # noqa: E402
import scenes  # noqa: E402

EVERY = 1 if os.environ.get("LLAMA4_DEMO_FULL") else 8


def png(picture):
    """A PNG file of u8[H, W, 3]."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content))
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], 1)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)) + chunk(b"IEND", b""))


def messages(sample, number):
    """The conversation that ends with the question of a turn; see batches.Builder.prompt."""
    turns = sample.turns[number:number + 1]
    if isinstance(turns[0][1], tuple):
        turns = sample.turns[:number + 1]
    talk = [{"role": "system", "content": sample.system}] if sample.system else []
    for place, (_, question, answer) in enumerate(turns):
        role, question = question if isinstance(question, tuple) else ("user", question)
        content = question
        if place == 0 and sample.images:
            url = [f"data:image/png;base64,{base64.b64encode(png(p)).decode()}" for p in samples.pictures(sample)]
            content = [{"type": "image_url", "image_url": {"url": u}} for u in url]
            content.append({"type": "text", "text": question})
        talk.append({"role": "tool" if role == "ipython" else role, "content": content})
        talk.append({"role": "assistant", "content": answer})
    return talk[:-1]


def conversation(record, item):
    """The messages of a recorded question; the sample is drawn again."""
    sample = samples.draw(np.random.default_rng([record["held_out"], item["sample"]]), record["mix"],
                          scenes.MAX_OBJECTS, record["each"])
    kind, question, _ = sample.turns[item["turn"]]
    asked = question[1] if isinstance(question, tuple) else question
    if (kind, asked) != (item["kind"], item["question"]):
        raise AssertionError(f"sample {item['sample']}: drew {asked!r} ({kind}), recorded was "
                             f"{item['question']!r} ({item['kind']})")
    return messages(sample, item["turn"])


class Demo:
    """One model; subclasses name it."""

    name = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(DEMO, cls.name)
        with open(os.path.join(clitest.DATA, "demo", cls.name + ".json"), encoding="utf-8") as file:
            cls.record = json.load(file)
        cls.items = cls.record["items"][::EVERY]
        cls.requests = os.path.join(clitest.TEMP, cls.name + ".jsonl")
        with open(cls.requests, "w", encoding="utf-8") as out:
            for i, item in enumerate(cls.items):
                body = {"model": "default", "temperature": 0, "max_tokens": 48,
                        "messages": conversation(cls.record, item)}
                out.write(json.dumps({"custom_id": str(i), "method": "POST",
                                      "url": "/v1/chat/completions", "body": body}) + "\n")

    def answers(self, *options):
        """What the model, compiled with these options, answers to `items`."""
        model = clitest.compiled(self.folder, *options)
        out = os.path.join(clitest.TEMP, f"{self.name}{'-'.join(options)}.out")
        clitest.must("batch", model, self.requests, "-o", out, "--threads", "2")
        found = {}
        with open(out, encoding="utf-8") as file:
            for line in file:
                answer = json.loads(line)
                body = answer["response"]["body"]
                self.assertEqual(answer["response"]["status_code"], 200, body)
                found[int(answer["custom_id"])] = body["choices"][0]["message"]["content"]
        return [found[i] for i in range(len(self.items))]

    def test_weights_are_the_recorded_ones(self):
        with open(os.path.join(self.folder, "model.safetensors"), "rb") as file:
            weights = file.read()
        self.assertEqual(hashlib.sha256(weights).hexdigest(), self.record["model_sha256"])
        self.assertLessEqual(len(weights), 12_000_000)

    def test_float32_answers_are_those_of_transformers(self):
        for item, found in zip(self.items, self.answers("--compute", "float32")):
            with self.subTest(sample=item["sample"], question=item["question"]):
                self.assertEqual(found, item["answer"])

    def test_q4_k_keeps_the_answers(self):
        found = self.answers("--quantization-encoding", "q4_k")
        same = [a == item["answer"] for a, item in zip(found, self.items) if item["kind"] in scenes.KINDS]
        self.assertGreaterEqual(sum(same) / len(same), 0.98)

    def test_the_recorded_answers_are_right(self):
        """95 of 100 questions about scenes, of all that are recorded."""
        of_scenes = [i for i in self.record["items"] if i["kind"] in scenes.KINDS]
        right = sum(i["answer"] == i["expected"] for i in of_scenes)
        self.assertGreaterEqual(right / len(of_scenes), 0.95)


class Llama4Demo(Demo, unittest.TestCase):
    name = "llama4-demo"


class Llama32VisionDemo(Demo, unittest.TestCase):
    name = "llama3.2-vision-demo"


if __name__ == "__main__":
    unittest.main()
