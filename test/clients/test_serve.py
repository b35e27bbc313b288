"""What clients see of `llama4-run serve`: every route, every parameter, streams, many at once."""

import concurrent.futures
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

import served

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"


def user(text):
    return [{"role": "user", "content": text}]


class Serving(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = cls.make_model(cls.folder)
        cls.server = served.Server(cls.model, *cls.options)
        cls.addClassCleanup(cls.server.__exit__)

    def error(self, status, body, path=CHAT, **more):
        """A request that must fail so; gives the error."""
        found, answer = self.server.post(path, body, **more)
        self.assertEqual(found, status, answer)
        self.assertEqual(list(answer), ["error"])
        self.assertEqual(list(answer["error"]), ["message", "type", "param", "code"])
        self.assertTrue(answer["error"]["message"])
        return answer["error"]

    def wait_idle(self):
        self.server.wait_idle()


class Tiny(Serving):
    """The reference model of test/data: 1,000 tokens, random weights."""

    @classmethod
    def make_model(cls, folder):
        checkpoint = served.DATA / "oracles" / "llama3-text-tied"
        return served.compile_model(checkpoint, folder / "tiny.l4x", "--compute", "float32")

    def setUp(self):
        self.greedy = {"prompt": [5, 6, 7], "temperature": 0, "ignore_eos": True, "max_tokens": 8}

    def text(self, **more):
        return self.server.good(COMPLETE, {**self.greedy, **more})["choices"][0]["text"]

    def test_same_tokens_as_generate(self):
        prompt = list(range(3, 40))
        done = subprocess.run([served.BIN / "llama4-run", "generate", self.model, "--prompt-ids",
                               ",".join(map(str, prompt)), "--temperature", "0", "-n", "20",
                               "--ignore-eos"], check=True, capture_output=True, timeout=60)
        self.assertEqual(self.text(prompt=prompt, max_tokens=20), done.stdout.decode().removesuffix("\n"))

    def test_usage_and_reason(self):
        answer = self.server.good(COMPLETE, self.greedy)
        usage = answer["usage"]
        self.assertEqual([usage[k] for k in ("prompt_tokens", "completion_tokens", "total_tokens")],
                         [3, 8, 11])
        self.assertEqual(usage["prompt_tokens_details"], {"cached_tokens": 0})
        self.assertGreater(usage["avg_compl_tok_per_sec"], 0)
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["object"], "text_completion")

    def test_lists_of_prompts_and_choices(self):
        prompts = [[5, 6, 7], [9], [30, 31, 32, 33]]
        answer = self.server.good(COMPLETE, {**self.greedy, "prompt": prompts, "n": 2})
        self.assertEqual([c["index"] for c in answer["choices"]], list(range(6)))
        for i, choice in enumerate(answer["choices"]):
            self.assertEqual(choice["text"], self.text(prompt=prompts[i // 2]))

    def test_choices_differ_by_their_seed(self):
        drawn = {**self.greedy, "temperature": 5, "seed": 40}  # hot: no two alike by chance
        choices = self.server.good(COMPLETE, {**drawn, "n": 3})["choices"]
        for i, choice in enumerate(choices):
            one = self.server.good(COMPLETE, {**drawn, "seed": 40 + i})["choices"][0]["text"]
            self.assertEqual(choice["text"], one)
        self.assertEqual(len({c["text"] for c in choices}), 3)
        other = self.server.good(COMPLETE, {**drawn, "seed": None, "n": 2})["choices"]
        self.assertNotEqual(other[0]["text"], other[1]["text"])

    def test_echo(self):
        plain = self.text()
        self.assertTrue(self.text(echo=True).endswith(plain))
        self.assertGreater(len(self.text(echo=True)), len(plain))

    def test_stop(self):
        whole = self.text(max_tokens=30)
        for stop in (whole[7:10], [whole[7:10], "never there"]):
            answer = self.server.good(COMPLETE, {**self.greedy, "max_tokens": 30, "stop": stop})
            at = whole.index(whole[7:10])
            self.assertEqual(answer["choices"][0]["text"], whole[:at])
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        # What might have become a stop string at the very end is text after all.
        self.assertEqual(self.text(max_tokens=30, stop=whole[-3:] + "never there"), whole)

    def test_stop_ids_and_least_tokens(self):
        found = self.server.good(COMPLETE, {**self.greedy, "logprobs": 0})
        name = found["choices"][0]["logprobs"]["tokens"][2]
        status, ids = self.server.post("/tokenize", {"prompt": name, "add_special_tokens": False})
        self.assertEqual((status, ids["count"]), (200, 1), ids)
        stopped = self.server.good(COMPLETE, {**self.greedy, "stop_token_ids": ids["tokens"]})
        self.assertLessEqual(stopped["usage"]["completion_tokens"], 2)
        self.assertEqual(stopped["choices"][0]["finish_reason"], "stop")
        longer = self.server.good(COMPLETE, {**self.greedy, "stop_token_ids": ids["tokens"], "min_tokens": 6})
        self.assertGreaterEqual(longer["usage"]["completion_tokens"], 6)

    def test_bias_and_penalties_change_the_answer(self):
        plain = self.text()
        self.assertNotEqual(self.text(logit_bias={"77": 100}), plain)
        for name, value in (("repetition_penalty", 100), ("frequency_penalty", 2)):
            self.assertNotEqual(self.text(max_tokens=60, **{name: value}), self.text(max_tokens=60), name)
        self.assertEqual(self.text(temperature=3, top_k=1), plain)
        self.assertEqual(self.text(temperature=3, top_p=0), plain)
        self.assertEqual(self.text(temperature=3, min_p=1), plain)
        self.assertNotEqual(self.text(temperature=3, seed=1), plain)

    def test_logprobs(self):
        for temperature in (0, 1.5):
            choice = self.server.good(COMPLETE, {**self.greedy, "logprobs": 5, "temperature": temperature,
                                                 "seed": 3})["choices"][0]
            self.assertEqual(len(choice["logprobs"]["tokens"]), 8)
            for value, top in zip(choice["logprobs"]["token_logprobs"], choice["logprobs"]["top_logprobs"]):
                self.assertLessEqual(value, 0)
                self.assertLessEqual(value, max(top.values()) + 1e-6)
                self.assertLessEqual(sum(map(math.exp, top.values())), 1 + 1e-5)
                if temperature == 0:
                    self.assertAlmostEqual(value, max(top.values()), places=5)

    def test_stream_equals_whole(self):
        for more in ({}, {"temperature": 1, "seed": 9, "n": 3}, {"logprobs": 2}, {"echo": True}):
            whole = self.server.good(COMPLETE, {**self.greedy, **more})
            events = self.server.events(COMPLETE, {**self.greedy, **more})
            self.assertEqual(events[-1], "[DONE]")
            texts, reasons, logprobs = {}, {}, {}
            for event in events[:-1]:
                self.assertNotIn("usage", event)
                (choice,) = event["choices"]
                i = choice["index"]
                self.assertNotIn(i, reasons)
                texts[i] = texts.get(i, "") + choice["text"]
                logprobs.setdefault(i, []).extend((choice["logprobs"] or {}).get("tokens", []))
                if choice["finish_reason"]:
                    reasons[i] = choice["finish_reason"]
            for choice in whole["choices"]:
                i = choice["index"]
                self.assertEqual(texts[i], choice["text"])
                self.assertEqual(reasons[i], choice["finish_reason"])
                self.assertEqual(logprobs[i], (choice["logprobs"] or {}).get("tokens", []))

    def test_usage_in_streams_only_when_asked(self):
        events = self.server.events(COMPLETE, {**self.greedy, "stream_options": {"include_usage": True}})
        self.assertTrue(all(e["usage"] is None for e in events[:-2]))
        self.assertEqual(events[-2]["choices"], [])
        self.assertEqual(events[-2]["usage"]["completion_tokens"], 8)

    def test_many_at_once_equal_each_alone(self):
        """64 mixed requests at once, whole and streamed, several answers each; and some that are given up."""
        chance = random.Random(3)
        requests = []
        for i in range(64):
            request = {"prompt": [chance.randrange(3, 250) for _ in range(chance.randrange(1, 120))],
                       "max_tokens": chance.randrange(1, 40), "ignore_eos": i % 3 > 0,
                       "temperature": i % 2, "seed": i, "n": 1 + i % 4 // 3 * 2}
            if i % 5 == 0:
                request.update(repetition_penalty=1.3, top_p=0.9)
            if i % 7 == 0:
                request["prompt"] = requests[i // 2]["prompt"] + [9] if i else request["prompt"]  # shares a beginning
            if i % 8 == 3:
                request.update(logprobs=2, echo=i % 16 == 3)
            requests.append(request)
        alone = [self.server.good(COMPLETE, r)["choices"] for r in requests]

        def ask(i):
            if i % 4 != 1:
                return self.server.good(COMPLETE, requests[i])["choices"]
            texts = {}
            for event in self.server.events(COMPLETE, requests[i])[:-1]:
                (choice,) = event["choices"]
                texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
            return texts

        def give_up(request):
            with self.server.connect() as connection:
                body = json.dumps({**request, "max_tokens": 100, "ignore_eos": True, "stream": True}).encode()
                connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                                   % len(body) + body)
                connection.recv(300)

        with concurrent.futures.ThreadPoolExecutor(80) as pool:
            dropped = [pool.submit(give_up, r) for r in requests[::4]]
            together = list(pool.map(ask, range(64)))
            for one in dropped:
                one.result()
        for i, (one, other) in enumerate(zip(alone, together)):
            if i % 4 == 1:
                one = {c["index"]: c["text"] for c in one}
            self.assertEqual(one, other, requests[i])
        self.wait_idle()

    def test_gone_clients_are_noticed(self):
        """Closing while waiting for a whole answer, or in a stream, ends the work."""
        for stream in (False, True):
            before = self.server.metric("llama4:generation_tokens_total")
            body = json.dumps({"prompt": [4, 5], "ignore_eos": True, "temperature": 0, "max_tokens": 240, "n": 16,
                               "stream": stream}).encode()
            with self.server.connect() as connection:
                connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                                   % len(body) + body)
                while self.server.metric("llama4:generation_tokens_total") < before + 16:
                    time.sleep(0.002)
            self.wait_idle()
            made = self.server.metric("llama4:generation_tokens_total") - before
            self.assertLess(made, 240 * 16)
        self.assertIn(b'finished_reason="abort"', self.server.get("/metrics")[1])

    def test_memory_stays(self):
        def some(count):
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda i: self.text(prompt=[3 + i % 50] * (1 + i % 30), max_tokens=6), range(count)))
        self.wait_idle()
        time.sleep(0.2)
        files = self.server.open_files()
        some(150)
        memory = self.server.memory()
        some(300)
        self.assertLess(self.server.memory() - memory, 1 << 20)
        for _ in range(100):  # until the last connections are closed
            if self.server.open_files() <= files:
                break
            time.sleep(0.05)
        self.assertLessEqual(self.server.open_files(), files)

    def test_models(self):
        status, body = self.server.get("/v1/models")
        (model,) = json.loads(body)["data"]
        self.assertEqual((status, model["id"], model["object"]), (200, "tiny", "model"))
        self.assertEqual(json.loads(self.server.get("/v1/models/tiny")[1]), model)
        self.assertEqual(self.server.get("/v1/models/other")[0], 404)
        self.assertEqual(self.server.good(COMPLETE, {**self.greedy, "model": "default"})["model"], "default")
        error = self.error(404, {**self.greedy, "model": "other"}, COMPLETE)
        self.assertEqual((error["code"], error["param"]), ("model_not_found", "model"))

    def test_status_routes(self):
        for path in ("/health", "/livez", "/readyz", "/version"):
            self.assertEqual(self.server.get(path)[0], 200, path)
        text = self.server.get("/metrics")[1].decode()
        for name in ("num_requests_running", "kv_cache_usage_perc", "time_to_first_token_seconds_count"):
            self.assertIn(f"llama4:{name}", text)
        self.assertEqual(self.server.get("/nothing")[0], 404)
        self.assertEqual(self.server.get(CHAT)[0], 405)

    def test_tokens_and_back(self):
        text = "any text \N{SNOWMAN} at all"
        status, found = self.server.post("/tokenize", {"prompt": text, "add_special_tokens": False})
        self.assertEqual((status, found["count"]), (200, len(found["tokens"])))
        self.assertEqual(self.server.post("/detokenize", {"tokens": found["tokens"]})[1]["prompt"], text)

    def test_request_id(self):
        _, headers, _ = self.server.request("POST", COMPLETE, self.greedy, {"x-request-id": "mine-1"})
        self.assertEqual(headers["x-request-id"], "mine-1")
        _, headers, _ = self.server.request("POST", COMPLETE, self.greedy, {"x-request-id": "a b"})
        self.assertRegex(headers["x-request-id"], "^[0-9a-f]{32}$")

    def test_what_can_never_fit(self):
        most = json.loads(self.server.get("/v1/models")[1])["data"][0]["max_model_len"]
        self.error(400, {**self.greedy, "prompt": [5] * most}, COMPLETE)
        self.error(400, {**self.greedy, "max_tokens": most}, COMPLETE)

    def test_nothing_of_users_is_logged(self):
        self.server.post(COMPLETE, {**self.greedy, "prompt": "a canary that sings"},
                         headers={"x-other": "canary"})
        self.server.request("GET", "/canary?canary=1")
        time.sleep(0.2)
        lines = [line for line in self.server.log if line.startswith("{")]
        self.assertGreater(len(lines), 1)
        for line in lines:
            json.loads(line)
        self.assertNotIn("canary", "".join(self.server.log))


@unittest.skipUnless(os.path.exists(served.SMOLLM2), "LLAMA4_SMOLLM2 is not set")
class Smol(Serving):
    """A model that answers; in float32, as its first word is a near tie that 8 bits decide."""
    options = ("--memory", "1GiB", "--served-model-name", "smol", "--served-model-name", "other")

    @classmethod
    def make_model(cls, folder):
        return served.compile_model(served.SMOLLM2, folder / "smollm2.l4x", "--compute", "float32")

    def setUp(self):
        self.ask = {"model": "smol", "messages": user("What is the capital of France?"), "temperature": 0,
                    "max_tokens": 20}

    def test_chat(self):
        answer = self.server.good(CHAT, self.ask)
        (choice,) = answer["choices"]
        self.assertEqual(choice["message"], {"role": "assistant", "content": "The capital of France is Paris.",
                                             "refusal": None})
        self.assertEqual(choice["finish_reason"], "stop")
        self.assertEqual(answer["object"], "chat.completion")

    def test_stream(self):
        events = self.server.events(CHAT, self.ask)
        self.assertEqual(events[-1], "[DONE]")
        choices = [event["choices"][0] for event in events[:-1]]
        self.assertEqual(choices[0]["delta"], {"role": "assistant", "content": ""})
        self.assertTrue(all("finish_reason" in c for c in choices))
        self.assertEqual([c["finish_reason"] for c in choices[:-1]], [None] * (len(choices) - 1))
        self.assertEqual((choices[-1]["delta"], choices[-1]["finish_reason"]), ({}, "stop"))
        self.assertEqual("".join(c["delta"].get("content", "") for c in choices), "The capital of France is Paris.")
        self.assertEqual(len({event["id"] for event in events[:-1]}), 1)

    def test_parts_roles_and_prefill(self):
        parts = [{"role": "developer", "content": "You are a helpful AI assistant."},
                 {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
        system = [dict(parts[0], role="system"), self.ask["messages"][0]]
        whole = self.server.good(CHAT, {**self.ask, "messages": system})
        self.assertEqual(self.server.good(CHAT, {**self.ask, "messages": parts})["choices"], whole["choices"])
        begun = self.ask["messages"] + [{"role": "assistant", "content": "The capital of"}]
        found = self.server.good(CHAT, {**self.ask, "messages": begun})["choices"][0]["message"]["content"]
        self.assertEqual(found, " France is Paris.")

    def test_control_tokens_in_content_are_text(self):
        def count(text):
            return self.server.post("/tokenize", {"messages": user(text)})[1]["tokens"]
        plain, odd = count("x"), count("<|im_end|>")
        end = self.server.post("/tokenize", {"prompt": "<|im_end|>"})[1]["tokens"]
        self.assertEqual(len(end), 1)
        self.assertEqual(odd.count(end[0]), plain.count(end[0]))

    def test_logprobs(self):
        answer = self.server.good(CHAT, {**self.ask, "logprobs": True, "top_logprobs": 3})
        content = answer["choices"][0]["logprobs"]["content"]
        self.assertEqual("".join(t["token"] for t in content), "The capital of France is Paris.")
        for token in content:
            self.assertEqual(bytes(token["bytes"]).decode(), token["token"])
            self.assertEqual(token["top_logprobs"][0]["token"], token["token"])
            self.assertEqual(len(token["top_logprobs"]), 3)

    def test_images_are_refused(self):
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        error = self.error(400, {**self.ask, "messages": user([image])})
        self.assertIn("image", error["message"])
        self.assertEqual(error["param"], "messages[0].content[0]")

    def test_names(self):
        self.assertEqual(self.server.good(CHAT, {**self.ask, "model": "other", "max_tokens": 1})["model"], "other")
        self.error(404, {**self.ask, "model": "smollm2"})

    def test_openai_client(self):
        try:
            import openai
        except ImportError:
            self.skipTest("the Python package openai is not installed")
        with openai.OpenAI(base_url=f"http://127.0.0.1:{self.server.port}/v1", api_key="none", max_retries=0,
                           _strict_response_validation=True) as client:
            answer = client.chat.completions.create(**self.ask, logprobs=True, top_logprobs=2, n=2)
            self.assertEqual(answer.choices[1].message.content, "The capital of France is Paris.")
            stream = client.chat.completions.create(**self.ask, stream=True, stream_options={"include_usage": True})
            chunks = list(stream)
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            self.assertEqual(text, "The capital of France is Paris.")
            self.assertEqual(chunks[-1].usage.completion_tokens, 7)
            done = client.completions.create(model="smol", prompt=["One two three", [1, 2, 3]], max_tokens=4,
                                             temperature=0, logprobs=2)
            self.assertEqual(len(done.choices), 2)
            self.assertEqual({m.id for m in client.models.list()}, {"smol", "other"})
            self.assertEqual(client.models.retrieve("smol").id, "smol")
            with self.assertRaises(openai.BadRequestError):
                client.chat.completions.create(model="smol", messages=[])
            with self.assertRaises(openai.NotFoundError):
                client.models.retrieve("nobody")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
