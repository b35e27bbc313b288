"""Compiled models against the outputs of the reference implementation, at every CPU level.

The checkpoints are the tiny ones of test/data/oracles. In float32 the logits must be within 2e-4 of
the reference and greedy tokens equal; bfloat16 must stay within the error that the reference's own
bfloat16 has. Whatever the chunks, the threads and the company, the bits are the same.
"""

import json
import os
import subprocess
import unittest

from clitest import (DATA, RUN, compiled, generate_ids, invoke, level_runs, load_file, main, must,
                     need_level, np, per_level, run, temp)

CASES = ["llama3-text-tied", "llama3-text-untied"]
# The prompts of each case of which both outputs are at hand.
PREFILLS = ["p5", "p45", "chat"]


def golden(case, name):
    return os.path.join(DATA, "oracles", case, "golden", name + ".safetensors")


def checkpoint(case):
    return os.path.join(DATA, "oracles", case)


@per_level
class Float32:
    def setUp(self):
        self.models = {case: compiled(checkpoint(case), "--compute", "float32") for case in CASES}
        need_level(self.models[CASES[0]], self.level)

    def invoke(self, case, tensors, *options):
        return invoke(self.models[case], tensors, "--cpu-level", self.level, *options)["logits"]

    def test_logits_of_every_position(self):
        for case in CASES:
            for prompt in PREFILLS:
                wanted = load_file(golden(case, "prefill." + prompt))["logits"]
                # The golden file as it is: its other tensors are ignored.
                found = self.invoke(case, golden(case, "prefill." + prompt))
                self.assertEqual(found.shape, wanted.shape)
                worst = np.abs(found - wanted).max()
                print(f"{case} {prompt} {self.level}: worst difference {worst:.1e}")
                self.assertLessEqual(worst, 2e-4, f"{case} {prompt}")

    def test_greedy_continuation(self):
        for case in CASES:
            for prompt in PREFILLS:
                ids = load_file(golden(case, "prefill." + prompt))["input_ids"]
                reference = load_file(golden(case, "greedy." + prompt))
                self.assertGreater(reference["margin"].min(), 2e-3)
                found = generate_ids(self.models[case], ids, 32, "--cpu-level", self.level)
                self.assertEqual(found, reference["tokens"].tolist(), f"{case} {prompt}")

    def test_same_bits_in_any_chunks(self):
        for case in CASES:
            source = golden(case, "prefill.p45")
            whole = self.invoke(case, source)
            for chunk in (7, 1, 16):
                parts = self.invoke(case, source, "--prefill-chunk-size", chunk)
                self.assertEqual(whole.tobytes(), parts.tobytes(), f"{case}, chunks of {chunk}")

    def test_same_bits_with_any_threads(self):
        for case in CASES:
            source = golden(case, "prefill.p45")
            one = self.invoke(case, source, "--threads", 1)
            for threads in (2, 3):
                self.assertEqual(one.tobytes(),
                                 self.invoke(case, source, "--threads", threads).tobytes(),
                                 f"{case}, {threads} threads")

    def test_same_bits_in_company(self):
        for case in CASES:
            prompts = [load_file(golden(case, "prefill." + p))["input_ids"] for p in PREFILLS]
            alone = np.concatenate([self.invoke(case, {"input_ids": ids}) for ids in prompts])
            tensors = {"input_ids": np.concatenate(prompts),
                       "sequence_lengths": np.array([len(ids) for ids in prompts])}
            for options in ([], ["--prefill-chunk-size", 7], ["--prefill-chunk-size", 1]):
                together = self.invoke(case, tensors, *options)
                self.assertEqual(alone.tobytes(), together.tobytes(), f"{case} {options}")


@per_level
class Bfloat16:
    def setUp(self):
        self.models = {case: compiled(checkpoint(case), "--compute", "bfloat16") for case in CASES}
        need_level(self.models[CASES[0]], self.level)

    def test_error_is_that_of_the_type(self):
        for case in CASES:
            agree, rows = 0, 0
            for prompt in PREFILLS:
                wanted = load_file(golden(case, "prefill." + prompt))["logits"]
                found = invoke(self.models[case], golden(case, "prefill." + prompt),
                               "--cpu-level", self.level)["logits"]
                error = found - wanted
                rms = float(np.sqrt(np.mean(error * error)))
                print(f"{case} {prompt} {self.level}: rms {rms:.3f}, max {np.abs(error).max():.2f}")
                self.assertLessEqual(rms, 0.25)
                self.assertLessEqual(np.abs(error).max(), 2)
                agree += int((found.argmax(1) == wanted.argmax(1)).sum())
                rows += len(wanted)
            self.assertGreaterEqual(agree / rows, 0.85, case)

    def test_same_bits_in_any_chunks_threads_and_company(self):
        for case in CASES:
            ids = [load_file(golden(case, "prefill." + p))["input_ids"] for p in ("p45", "chat")]
            model, level = self.models[case], ["--cpu-level", self.level]
            alone = np.concatenate([invoke(model, {"input_ids": i}, *level)["logits"]
                                    for i in ids])
            tensors = {"input_ids": np.concatenate(ids),
                       "sequence_lengths": np.array([len(i) for i in ids])}
            for options in (["--threads", 1], ["--threads", 3], ["--prefill-chunk-size", 7],
                            ["--prefill-chunk-size", 1, "--threads", 2]):
                found = invoke(model, tensors, *level, *options)["logits"]
                self.assertEqual(alone.tobytes(), found.tobytes(), f"{case} {options}")


class Programs(unittest.TestCase):
    def setUp(self):
        self.case = CASES[0]
        self.model = compiled(checkpoint(self.case), "--compute", "float32")

    def test_inspect_and_verify(self):
        info = json.loads(must("inspect", self.model, "--json"))
        self.assertEqual(info["model"]["family"], "llama3")
        functions = {entry["function"] for entry in info["entries"]}
        self.assertLessEqual({"step", "logits"}, functions)
        self.assertIn(info["content_id"], must("inspect", self.model))
        self.assertIn(info["content_id"], must("verify", self.model))

    def test_verify_finds_one_flipped_bit(self):
        with open(self.model, "rb") as file:
            content = bytearray(file.read())
        broken = temp("broken.l4x")
        for place in (100, 9000, len(content) // 2, len(content) - 1):
            content[place] ^= 4
            with open(broken, "wb") as file:
                file.write(content)
            content[place] ^= 4
            self.assertEqual(run("verify", broken).returncode, 65, f"byte {place}")

    def test_chat_template_and_messages(self):
        wanted = load_file(golden(self.case, "prefill.chat"))["input_ids"].tolist()
        messages = temp("messages.json")
        with open(messages, "w", encoding="utf-8") as file:
            json.dump([{"role": "system", "content": "You are terse."},
                       {"role": "user", "content": "Describe the licence."}], file)
        found = must("tokenize", self.model, "--messages", messages)
        self.assertEqual([int(word) for word in found.split()], wanted)

    def test_tokenize_text(self):
        text = temp("text.txt")
        with open(text, "w", encoding="utf-8") as file:
            file.write("The licence <|eot_id|>")
        plain = must("tokenize", self.model, "--text-file", text).split()
        parsed = must("tokenize", self.model, "--text-file", text, "--parse-special").split()
        bos = must("tokenize", self.model, "--text-file", text, "--add-bos").split()
        self.assertGreater(len(plain), len(parsed))
        self.assertEqual(bos[1:], plain)

    def test_output_forms_agree(self):
        args = ["generate", self.model, "--prompt", "Describe it.", "-n", 12, "--ignore-eos",
                "--seed", 5]  # the model's own defaults draw tokens
        result = json.loads(must(*args, "--json"))
        self.assertEqual(must(*args, "--ids"), " ".join(map(str, result["ids"])) + "\n")
        self.assertEqual(must(*args), result["text"] + "\n")
        self.assertEqual(len(result["ids"]), 12)
        self.assertEqual(result["finish_reason"], "length")
        ids = ",".join(map(str, result["prompt_ids"]))
        again = json.loads(must("generate", self.model, "--prompt-ids", ids, "-n", 12,
                                "--ignore-eos", "--json", "--seed", 5))
        self.assertEqual(again["ids"], result["ids"])

    def test_native_target_is_the_level_that_runs_here(self):
        native = compiled(checkpoint(self.case), "--target", "cpu:native")
        (code,) = json.loads(must("inspect", native, "--json"))["code"]
        everything = compiled(checkpoint(self.case))
        have = [c["level"] for c in json.loads(must("inspect", everything, "--json"))["code"]]
        best = [level for level in have if level_runs(everything, level)][-1]
        self.assertEqual(code["level"], best)
        must("generate", native, "--prompt-ids", "1", "-n", 1, "--ids")

    def test_too_much_is_refused(self):
        prompt = ["generate", self.model, "--prompt-ids"]
        self.assertEqual(run(*prompt, "1,99999999").returncode, 65)
        self.assertEqual(run(*prompt, "1,-2").returncode, 2)
        self.assertEqual(run(*prompt, "1,2", "--memory", "4KiB").returncode, 71)
        self.assertEqual(run(*prompt, "1,2", "--cpu-level", "x86-64-v9").returncode, 2)
        self.assertEqual(run("bench", self.model, "--batch", 100000).returncode, 2)

    def test_bench_reports(self):
        report = json.loads(must("bench", self.model, "--prompt-tokens", 40, "--new-tokens", 6,
                                 "--depth", 9, "--batch", 3, "--runs", 2, "--json", "--profile"))
        self.assertEqual(report["prompt"]["tokens"], 120)
        self.assertEqual(report["decode"]["tokens"], 18)
        self.assertEqual(len(report["decode"]["seconds"]), 2)
        rates = report["decode"]["tokens_per_second"]
        self.assertGreaterEqual(rates["best"], rates["median"])
        self.assertGreater(report["decode_step_bytes"]["weights"], 1000000)
        self.assertGreater(sum(k["nanoseconds"] for k in report["profile"]["decode"]), 0)

    def test_full_disk_behind_stdout_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([RUN, "inspect", self.model], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 74)

    def test_one_entry(self):
        source = golden(self.case, "prefill.p5")
        wanted = load_file(source)
        # The hidden rows of all tokens go through the entry for logits; the reference's last hidden
        # state is the input of the final norm.
        hidden = wanted[max((k for k in wanted if k.startswith("hidden.")),
                            key=lambda k: int(k.split(".")[1]))]
        rows = np.array([4, 0, 2], dtype=np.int32)
        found = invoke(self.model, {"hidden": hidden, "rows": rows}, "--entry", "logits")["out0"]
        self.assertLessEqual(np.abs(found - wanted["logits"][rows]).max(), 2e-4)
        ids = {"ids": wanted["input_ids"]}
        found = invoke(self.model, ids, "--entry", "step")["out0"]
        self.assertLessEqual(np.abs(found - hidden).max(), 5e-4)
        self.assertEqual(run("invoke", self.model, "--in", source, "--out", temp("x"), "--entry",
                             "nothing").returncode, 2)


if __name__ == "__main__":
    main()
