"""The demo models of models/demo behind `llama4-run serve`, as clients see them: OpenAI's Python library with its
strictest checks, curl, recorded questions about pictures, pictures and the prefix cache, many mixed requests at once.

LLAMA4_FULL_COUNTS=1 asks all recorded questions and puts the mixed requests to further programs and caches of the
same model. LLAMA4_DEMOS=FOLDER takes the models (FOLDER/NAME) and their records (FOLDER/NAME.json) from elsewhere.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import served

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import test_demo  # noqa: E402
import numpy as np  # noqa: E402

import samples  # noqa: E402

CHAT, COMPLETE, TOKENIZE = "/v1/chat/completions", "/v1/completions", "/tokenize"
FULL = bool(os.environ.get("LLAMA4_FULL_COUNTS"))
ELSEWHERE = os.environ.get("LLAMA4_DEMOS", "")
RECORDED = 40  # questions of a record that are asked
MIXED = 64  # requests at once


def place(name):
    """The folder of a model and the file with its recorded answers."""
    if ELSEWHERE:
        return pathlib.Path(ELSEWHERE, name), pathlib.Path(ELSEWHERE, name + ".json")
    return pathlib.Path(test_demo.DEMO, name), served.DATA / "demo" / (name + ".json")


def drawn(kind, number):
    """The first question of a sample of a kind of samples.MIX, as messages; each number is another sample."""
    chance = np.random.default_rng([7, number])
    while not (sample := samples.MIX[kind](chance, 4, 3, None)).turns:
        pass
    return test_demo.messages(sample, 0)


def with_text(messages, text):
    """The same with another question."""
    return [{"role": "user", "content": [*messages[0]["content"][:-1], {"type": "text", "text": text}]}]


def streamed(events):
    """The choices of a stream of chat, put together as those of a whole answer."""
    choices = {}
    assert events[-1] == "[DONE]", events[-1]
    for event in events[:-1]:
        for part in event["choices"]:
            one = choices.setdefault(part["index"], {
                "index": part["index"], "message": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": {"content": [], "refusal": None}, "finish_reason": None})
            assert one["finish_reason"] is None, "something after the end"
            one["message"]["content"] += part["delta"].get("content") or ""
            one["logprobs"]["content"] += (part.get("logprobs") or {}).get("content") or []
            one["finish_reason"] = part["finish_reason"]
    return [choices[i] for i in sorted(choices)]


def mixed_requests():
    """Texts, one and two pictures, pictures of several tiles, pictures that are known already, several answers."""
    kinds = ("talk", "scene", "pair", "tiled", "scene", "tools", "text", "pair")
    requests = []
    for i in range(MIXED):
        body = {"messages": drawn(kinds[i % 8], i), "max_tokens": 3 + i * 7 % 29, "temperature": 0,
                "logprobs": True, "top_logprobs": 2, "ignore_eos": i % 3 > 0}
        if i % 8 == 4:
            body.update(n=3, temperature=1, seed=i)
        if i % 8 == 7:
            body.update(n=2, temperature=0.7, seed=i, repetition_penalty=1.1)
        if i % 8 == 6 and i > 8:  # a picture that others have shown, another question
            body["messages"] = with_text(requests[i - 13]["messages"], f"What is shape {i}?")
        requests.append(body)
    return requests


class Demo:
    """One model; subclasses name it."""

    name = ""
    of_mark = 0  # tokens <|image|> that are the same for all pictures
    few = ""  # memory for all, with a cache that is soon full
    little = ()  # the same, from nearly none on

    @classmethod
    def setUpClass(cls):
        cls.checkpoint, record = place(cls.name)
        if not cls.checkpoint.exists():
            raise unittest.SkipTest(f"{cls.checkpoint} is not there")
        cls.record = json.loads(record.read_text(encoding="utf-8"))
        room = tempfile.TemporaryDirectory()
        cls.addClassCleanup(room.cleanup)
        cls.room = pathlib.Path(room.name)
        cls.model = cls.compiled("--compute", "float32")
        cls.server = served.Server(cls.model, "--served-model-name", cls.name)
        cls.addClassCleanup(cls.server.__exit__)

    @classmethod
    def compiled(cls, *options):
        out = cls.room / ("-".join(["model", *options]) + ".l4x")
        return served.compile_model(cls.checkpoint, out, "--target", "cpu:native", *options)

    def tearDown(self):
        self.server.wait_idle()

    def ask(self, messages, **more):
        return self.server.good(CHAT, {"messages": messages, "temperature": 0, "max_tokens": 48, **more})

    def text(self, messages, **more):
        return self.ask(messages, **more)["choices"][0]["message"]["content"]

    def tokens(self, messages, **more):
        status, found = self.server.post(TOKENIZE, {"messages": messages, **more})
        self.assertEqual(status, 200, found)
        return found["tokens"]

    def items(self, count):
        """Recorded questions, of all kinds."""
        items = self.record["items"]
        return items[::max(1, len(items) // count)]

    def a_recorded_one(self, pictures=1):
        """The messages and the answer of a recorded question about so many pictures, or None."""
        for item in self.record["items"]:
            kind = item["kind"]
            if kind.startswith("pair") == (pictures == 2) and kind not in ("chat", "tool_call", "tool_answer"):
                return test_demo.conversation(self.record, item), item["answer"]
        return None

    def generated(self, messages):
        """What `llama4-run generate` answers to the only message of these."""
        pictures, text = [], messages[0]["content"]
        if not isinstance(text, str):
            text = messages[0]["content"][-1]["text"]
            for part in messages[0]["content"][:-1]:
                pictures += ["--image", part["image_url"]["url"]]
        done = subprocess.run([served.RUN, "generate", self.model, "--prompt", text, *pictures, "-n", "48",
                               "--temperature", "0", "--json"], check=True, capture_output=True, timeout=120)
        return json.loads(done.stdout)["text"]

    # --- answers ----------------------------------------------------------------------------------------------------

    def test_recorded_answers(self):
        """In any company, whole or streamed, the answers are those of transformers."""
        items = self.items(len(self.record["items"]) if FULL else RECORDED)

        def answer(number):
            body = {"messages": test_demo.conversation(self.record, items[number]), "temperature": 0, "max_tokens": 48}
            if number % 2:
                return streamed(self.server.events(CHAT, body))[0]["message"]["content"]
            return self.text(**body)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            found = list(pool.map(answer, range(len(items))))
        for item, one in zip(items, found):
            self.assertEqual(one, item["answer"], (item["sample"], item["question"]))
        self.assertGreaterEqual(len(found), RECORDED)

    def test_same_as_generate(self):
        for kind in ("talk", "scene", "tiled", "pair"):
            messages = drawn(kind, 1000)
            self.assertEqual(self.text(messages), self.generated(messages), kind)

    def test_order_of_two_pictures(self):
        """Two pictures the other way round are another prompt, with what belongs to it."""
        messages = drawn("pair", 1001)
        first, second, question = messages[0]["content"]
        turned = [{"role": "user", "content": [second, first, question]}]
        options = {"logprobs": True, "top_logprobs": 5, "max_tokens": 4, "ignore_eos": True}
        one, other = self.ask(messages, **options), self.ask(turned, **options)
        self.assertNotEqual(one["choices"][0]["logprobs"], other["choices"][0]["logprobs"])
        self.assertEqual(other["choices"], self.ask(turned, **options)["choices"])

    def refused(self, prompt):
        """What is said of a prompt that is refused."""
        status, answer = self.server.post(COMPLETE, {"prompt": prompt, "max_tokens": 3})
        self.assertEqual((status, answer.get("error", {}).get("param")), (400, "prompt"), (prompt, answer))
        return answer["error"]["message"]

    def test_marks_without_pictures(self):
        """Texts alone have no marks of pictures, in whatever form they come: generate's rule and its words."""
        (mark,) = self.server.post(TOKENIZE, {"prompt": "<|image|>", "add_special_tokens": False})[1]["tokens"]
        text, ids = "<|image|>Hi", [5, mark, 6]
        for prompt in (text, ids, ["Hi", text], [[5, 6], ids], ["Hi", ids], [[5, 6], text]):
            said = self.refused(prompt)
            self.assertIn("found 0 images for 1 marks <|image|> in the prompt, expected as many; give the", said)
        done = subprocess.run([served.RUN, "generate", self.model, "--prompt-ids", ",".join(map(str, ids))],
                              capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 65)
        self.assertIn(said.removeprefix("prompt: "), done.stderr)
        if (patch := self.patch()) is not None:
            self.assertIn("found 2 tokens <|patch|> in the prompt, expected one for each of the 0",
                          self.refused([5, patch, patch]))
        for beyond in (100000, -1):
            for prompt in ([5, beyond], [[5], [beyond]]):
                self.assertIn(f"found the token id {beyond}, expected 0 to ", self.refused(prompt))
        for wrong in (5, {}, [5, "Hi"], [5, 1.5], [5, 1 << 70], [["Hi"]], None):
            self.assertIn("expected a string, a list of token ids, or", self.refused(wrong))
        self.assertEqual(len(self.server.good(COMPLETE, {"prompt": ["Hi", [5, 6]], "max_tokens": 3})["choices"]), 2)
        back = self.server.good("/detokenize", {"tokens": ids})["prompt"]
        self.assertIn("<|image|>", back)

    def patch(self):
        """<|patch|>, where the model has it."""
        found = self.server.post(TOKENIZE, {"prompt": "<|patch|>", "add_special_tokens": False})[1]["tokens"]
        return found[0] if len(found) == 1 else None

    # --- little memory ----------------------------------------------------------------------------------------------

    def test_announced_length(self):
        """Prompt and answer may have the length that /v1/models tells, and no more, however little memory there is."""
        for memory in self.little:
            with self.subTest(memory=memory), served.Server(self.model, "--memory", memory) as server:
                most = json.loads(server.get("/v1/models")[1])["data"][0]["max_model_len"]
                for prompt, tokens in ((most - 4, 4), (3, min(most - 3, 800))):
                    body = {"prompt": [5 + i % 90 for i in range(prompt)], "max_tokens": tokens, "ignore_eos": True}
                    status, answer = server.post(COMPLETE, body)
                    self.assertEqual((status, answer.get("error")), (200, None), (most, prompt, tokens))
                    self.assertEqual(answer["usage"]["completion_tokens"], tokens)
                status, answer = server.post(COMPLETE, {"prompt": [5] * (most - 4), "max_tokens": 5})
                self.assertEqual(status, 400)
                self.assertIn(f"expected at most {most} together", answer["error"]["message"])

    # --- clients ----------------------------------------------------------------------------------------------------

    def test_openai_client(self):
        try:
            import openai
        except ImportError:
            self.skipTest("the Python package openai is not installed")
        pictured, expected = self.a_recorded_one()
        with openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none", max_retries=0,
                           _strict_response_validation=True) as client:
            options = {"model": self.name, "temperature": 0, "max_tokens": 48}
            self.check_chat(client, {**options, "messages": drawn("talk", 1)})
            self.check_chat(client, {**options, "messages": pictured}, expected)
            self.check_chat(client, {**options, "messages": drawn("pair", 2)})
            if two := self.a_recorded_one(2):
                self.check_chat(client, {**options, "messages": two[0]}, two[1])
            done = client.completions.create(model=self.name, prompt=["What is this?", [5, 6, 7]], max_tokens=4,
                                             temperature=0, logprobs=2, extra_body={"ignore_eos": True})
            self.assertEqual([len(c.logprobs.top_logprobs) for c in done.choices], [4, 4])
            done = client.completions.create(model=self.name, prompt="What is this?", max_tokens=4, echo=True)
            self.assertTrue(done.choices[0].text.startswith("What is this?"))
            self.assertEqual([m.id for m in client.models.list()], [self.name])
            self.assertEqual(client.models.retrieve(self.name).id, self.name)
            broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
            with self.assertRaises(openai.BadRequestError) as caught:
                client.chat.completions.create(model=self.name, messages=[{"role": "user", "content": [broken]}])
            self.assertEqual(caught.exception.param, "messages[0].content[0]")

    def check_chat(self, client, request, expected=None):
        """Whole, with logprobs, with two choices and streamed: the same answer."""
        expected = expected or self.text(request["messages"])
        whole = client.chat.completions.create(**request, logprobs=True, top_logprobs=3, n=2)
        self.assertEqual([c.message.content for c in whole.choices], [expected] * 2)
        likely = whole.choices[0].logprobs.content
        self.assertEqual(bytes(b for t in likely for b in t.bytes).decode(), expected)
        for token in likely:
            self.assertEqual((len(token.top_logprobs), token.top_logprobs[0].token), (3, token.token))
        chunks = list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), expected)
        self.assertEqual(chunks[-1].usage.prompt_tokens, whole.usage.prompt_tokens)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        address = f"http://127.0.0.1:{self.server.port}"

        def curl(path, *options, body=None):
            if body is not None:
                (self.room / "body.json").write_text(json.dumps(body))
                options = (*options, "-H", "Content-Type: application/json", "-d", f"@{self.room}/body.json")
            done = subprocess.run(["curl", "-sS", *options, address + path], check=True, capture_output=True,
                                  timeout=120)
            return done.stdout.decode()

        messages, expected = self.a_recorded_one()
        body = {"model": self.name, "messages": messages, "temperature": 0, "max_tokens": 48}
        self.assertEqual(json.loads(curl(CHAT, "--fail", body=body))["choices"][0]["message"]["content"], expected)
        lines = curl(CHAT, "--fail", "-N", body={**body, "stream": True}).split("\n\n")
        self.assertEqual(lines[-2:], ["data: [DONE]", ""])
        events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
        self.assertEqual(streamed([*events, "[DONE]"])[0]["message"]["content"], expected)
        self.assertEqual(json.loads(curl("/v1/models"))["data"][0]["id"], self.name)
        wrong = curl(CHAT, "-w", "%{http_code}", body={**body, "temperature": -1})
        self.assertEqual((wrong[-3:], json.loads(wrong[:-3])["error"]["param"]), ("400", "temperature"))

    # --- pictures and the prefix cache ------------------------------------------------------------------------------

    def cached(self, messages):
        return self.ask(messages, max_tokens=1)["usage"]["prompt_tokens_details"]["cached_tokens"]

    def test_another_picture_shares_nothing_behind_its_place(self):
        """What stands before a picture is shared, up to a page; the picture and what follows it is not."""
        page = 16
        (mark,) = self.server.post(TOKENIZE, {"prompt": "<|image|>", "add_special_tokens": False})[1]["tokens"]
        system = {"role": "system", "content": "Of these pictures, the ones that follow matter. " * 4}
        a, b, c = (drawn("scene", 2000 + i)[0]["content"][0] for i in range(3))

        def talk(*pictures):
            return [system, {"role": "user", "content": [
                *pictures, {"type": "text", "text": "What is in the picture? Tell all that you see in it, please."}]}]

        one = self.tokens(talk(a))
        before = one.index(mark)
        self.assertGreater(before, 2 * page)
        self.assertGreater(len(one) - before, 16 + page)
        self.assertEqual(self.tokens(talk(b)), one)
        first = self.ask(talk(a), logprobs=True)
        self.assertGreater(self.cached(talk(a)), before + page)  # the same once more: nearly all
        found = self.cached(talk(b))
        self.assertLessEqual(found, before + self.of_mark)
        self.assertGreaterEqual(found, before - before % page - page)
        two = self.tokens(talk(a, b))
        second = len(two) - 1 - two[::-1].index(mark)
        self.cached(talk(a, b))
        self.assertLessEqual(self.cached(talk(a, c)), second + self.of_mark)
        self.assertLessEqual(self.cached(talk(c, b)), before + self.of_mark)
        self.assertEqual(self.ask(talk(a), logprobs=True)["choices"], first["choices"])

    # --- many at once -----------------------------------------------------------------------------------------------

    def test_mixed_requests_equal_each_alone(self):
        """64 at once, whole and streamed, and 16 that are given up: each is what it is alone, and nothing is held."""
        self.check_mixed(self.model)

    @unittest.skipUnless(FULL, "LLAMA4_FULL_COUNTS is not set")
    def test_mixed_requests_of_other_programs(self):
        for options in ((), ("--quantization-encoding", "q4_k")):
            with self.subTest(options=options):
                self.check_mixed(self.compiled(*options))

    @unittest.skipUnless(FULL, "LLAMA4_FULL_COUNTS is not set")
    def test_mixed_requests_on_few_pages(self):
        preemptions = self.check_mixed(self.model, "--memory", self.few, longer=200, dropped=500)
        self.assertGreater(preemptions, 0)

    def check_mixed(self, model, *options, longer=0, dropped=2000):
        """Some answers are as long as `longer`; what is given up has at most `dropped` tokens. Returns preemptions."""
        requests = mixed_requests()
        if longer:
            for request in requests[::2]:
                request.update(max_tokens=longer, ignore_eos=True)
        with served.Server(model, "--max-num-seqs", 1, "--no-prefix-cache", "--no-request-log") as server:
            alone = [server.good(CHAT, request)["choices"] for request in requests]
        with served.Server(model, *options, "--no-request-log", "--max-num-queued-reqs", 1000) as server:
            together = self.at_once(server, requests, dropped)
            for request, one, other in zip(requests, alone, together):
                self.assertEqual(one, other, request["messages"][-1]["content"][-1:])
            server.wait_idle()
            self.assertIn(b'finished_reason="abort"', server.get("/metrics")[1])
            again = [server.good(CHAT, request)["choices"] for request in requests[::9]]
            self.assertEqual(again, alone[::9])
            server.wait_idle()
            return server.metric("llama4:num_preemptions_total")

    @staticmethod
    def at_once(server, requests, most):
        """The choices of all requests, while others of the same kinds are given up in all their phases."""
        def ask(number):
            if number % 4 == 1:
                return streamed(server.events(CHAT, requests[number]))
            status, answer = server.post(CHAT, requests[number], seconds=3600)
            assert status == 200, answer
            return answer["choices"]

        def give_up(number):
            body = json.dumps({**requests[number], "max_tokens": most, "ignore_eos": True, "stream": number % 8 > 0})
            with server.connect(3600) as connection:
                connection.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
                                   % (CHAT.encode(), len(body), body.encode()))
                if number % 8:
                    connection.recv(200)
                    if number % 3:
                        connection.recv(2000)
                else:
                    connection.settimeout(0.01)
                    with contextlib.suppress(TimeoutError):
                        connection.recv(200)

        with concurrent.futures.ThreadPoolExecutor(MIXED + MIXED // 4) as pool:
            dropped = [pool.submit(give_up, 4 * i + i % 4) for i in range(MIXED // 4)]
            together = list(pool.map(ask, range(MIXED)))
            for one in dropped:
                one.result()
        return together


class Llama4Demo(Demo, unittest.TestCase):
    name = "llama4-demo"
    of_mark = 1  # what is seen of a picture comes behind it
    few = "24MiB"
    little = ("20MiB", "24MiB", "28MiB")


class Llama32VisionDemo(Demo, unittest.TestCase):
    name = "llama3.2-vision-demo"
    few = "19MiB"
    little = ("19MiB",)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
