"""--explain: every dispatch once, its sums those of the plan and of an executed step."""

import collections
import html.parser
import json
import pathlib
import re
import tempfile
import time
import unittest

import synthetic_test as full
from support import DATA, run

DENSE = DATA / "oracles" / "llama3-text-tied"
EXPERTS = DATA / "oracles" / "llama4-text-f32"
STEP_TOKENS = 24
KINDS = {"embed", "row", "linear", "experts", "attention", "group", "order"}
BYTES = ("weight_bytes", "gathered_bytes", "activation_bytes", "cache_bytes")


def explain(checkpoint, *options):
    return json.loads(run("llama4-compile", checkpoint, "--explain=json", *options).stdout)


def dispatches(plan):
    """(kernel, sources, lm.unfused) of every dispatch of a plan dump, by entry."""
    found = {}
    for entry, body in re.findall(r"cmd\.entry @(\w+) (.*?)cmd\.return", plan, re.S):
        found[entry] = [(kernel, re.findall(r'"([^"]*)"', sources),
                         re.findall(r'"([^"]*)"', reasons or ""))
                        for kernel, sources, reasons in re.findall(
                            r"cmd\.dispatch @(\w+) .*?sources (\[.*?\])"
                            r"(?: \{lm\.unfused = (\[.*?\])\})?(?: loc\(|\n)", body)]
    return found


class Page(html.parser.HTMLParser):
    """What a page holds: its tags balanced, its attributes, rows of dispatches and all text."""

    EMPTY = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], collections.Counter(), [], ""
        self.rows = self.boxes = 0
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        self.rows += ("class", "dispatch") in attrs
        self.boxes += any(name == "class" and value.startswith("box ") for name, value in attrs)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data


class Explain(unittest.TestCase):
    def test_every_dispatch_of_the_plan_once(self):
        for checkpoint in (DENSE, EXPERTS):
            for compute in ("float32", "bfloat16"):
                options = ["--compute", compute]
                plan = dispatches(run("llama4-compile", checkpoint, "--dump-phase", "plan",
                                      *options).stdout)
                report = explain(checkpoint, *options)
                self.assertEqual([entry["name"] for entry in report["entries"]], list(plan))
                for entry in report["entries"]:
                    found = [(d["kernel"], d["sources"], d["unfused"])
                             for d in entry["dispatches"]]
                    self.assertEqual(found, plan[entry["name"]])
                    self.assertEqual([d["index"] for d in entry["dispatches"]],
                                     list(range(len(found))))
                    for dispatch in entry["dispatches"]:
                        self.assertIn(dispatch["kind"], KINDS)
                        self.assertTrue(len(dispatch["sources"]) > 1 or dispatch["unfused"],
                                        f"neither fused nor a reason: {dispatch}")
                layers = {d["layer"] for entry in report["entries"] for d in entry["dispatches"]}
                self.assertEqual(layers, {None, *range(report["plan"]["layers"])})
                text = run("llama4-compile", checkpoint, "--explain", *options).stdout
                self.assertEqual(len(re.findall(r"^ +\d+  \w+ \(", text, re.M)),
                                 sum(map(len, plan.values())))

    def test_sums_are_those_of_the_plan(self):
        for checkpoint in (DENSE, EXPERTS):
            report = explain(checkpoint)
            plan = json.loads(run("llama4-compile", checkpoint, "--plan-only", "--json").stdout)
            self.assertEqual(report["plan"], plan)
            weights, encodings = {}, collections.Counter()
            for entry in report["entries"]:
                for dispatch in entry["dispatches"]:
                    for weight in dispatch["weights"]:
                        weights[weight["name"]] = weight
                    for work in dispatch["work"]:
                        self.assertEqual(work["bytes"], sum(work[part] for part in BYTES))
                for at, total in enumerate(entry["totals"]):
                    for field in (*BYTES, "bytes", "macs", "flops"):
                        self.assertEqual(total[field], sum(d["work"][at][field]
                                                           for d in entry["dispatches"]))
            for weight in weights.values():
                encodings[weight["encoding"]] += weight["bytes"]
            memory = dict(plan["memory_bytes"])
            self.assertEqual(sum(encodings.values()), memory["weights"])
            self.assertEqual(memory.pop("all"), sum(memory.values()))
            self.assertEqual(set(memory), {"weights", "arena", "step", "cache", "host"})
            self.assertEqual(encodings, {name: sums["bytes"]
                                         for name, sums in plan["encodings"].items()})
            self.assertEqual([(e["name"], e["bound"], len(e["dispatches"]), e["arena_bytes"])
                              for e in report["entries"]],
                             [(e["name"], e["bound"], e["dispatches"], e["arena_bytes"])
                              for e in plan["entries"]])
            for kv in plan["kv"]:
                self.assertEqual(kv["bytes_per_token_and_layer"] * kv["layers"],
                                 kv["bytes_per_token"])

    def test_costs_of_known_shapes(self):
        """Multiply-adds and cache bytes of the dense case, from its configuration."""
        config = json.loads((DENSE / "config.json").read_text())
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
        dim, layers = config["head_dim"], config["num_hidden_layers"]
        report = explain(DENSE, "--explain-length", 100)
        step, decode, _ = report["entries"]
        linear = layers * hidden * (2 * heads * dim + 2 * kv * dim + 3 * inner)
        attention = layers * 2 * heads * dim * 100
        seen, written = (layers * 2 * kv * dim * 2 * tokens for tokens in (100, 1))
        for entry, sequences in ((step, lambda symbol: 1), (decode, lambda symbol: symbol)):
            for total in entry["totals"]:
                symbol = total["symbol"]
                self.assertEqual(total["macs"], symbol * (linear + attention))
                self.assertEqual(total["cache_bytes"], sequences(symbol) * seen + symbol * written)
                self.assertEqual(total["gathered_bytes"], symbol * hidden * 2)

    def test_chunked_attention_sees_its_chunk(self):
        config = json.loads((EXPERTS / "config.json").read_text())
        columns = config["num_attention_heads"] * config["head_dim"]
        for length, chunked in ((20, 20), (100, config["attention_chunk_size"])):
            step = explain(EXPERTS, "--explain-length", length)["entries"][0]
            found = [d["work"][0]["macs"] for d in step["dispatches"] if d["kind"] == "attention"]
            self.assertEqual(found, [2 * columns * (chunked if kind == "chunked_attention"
                                                    else length)
                                     for kind in config["layer_types"]])

    def test_times_follow_the_limits(self):
        slow = ["--explain-bandwidth", 1, "--explain-float-macs", 1, "--explain-int8-macs", 4]
        base = explain(DENSE, *slow)
        read = explain(DENSE, *slow, "--explain-bandwidth", 1e6)
        multiply = explain(DENSE, *slow, "--explain-cores", 1e6)
        bounds = set()
        for entry, faster, wider in zip(base["entries"], read["entries"], multiply["entries"]):
            for d, f, w in zip(entry["dispatches"], faster["dispatches"], wider["dispatches"]):
                for work, computing, moving in zip(d["work"], f["work"], w["work"]):
                    bounds.add(work["bound_by"])
                    self.assertAlmostEqual(moving["seconds"], work["bytes"] / 1e9, 12)
                    self.assertAlmostEqual(work["seconds"],
                                           max(computing["seconds"], moving["seconds"]), 12)
                    self.assertEqual(work["bound_by"] == "memory",
                                     moving["seconds"] >= computing["seconds"])
        self.assertEqual(bounds, {"memory", "compute"})

    def test_a_fusion_that_is_switched_off_is_the_reason(self):
        off = "lm-fuse-{}: .*the pass is switched off"
        for name in ("linear", "rows", "epilogue"):
            for options, there in (([], False), (["--disable-pass", f"lm-fuse-{name}"], True)):
                report = explain(DENSE, *options)
                reasons = [r for e in report["entries"] for d in e["dispatches"]
                           for r in d["unfused"]]
                found = [r for r in reasons if re.search(off.format(name), r)]
                self.assertEqual(bool(found), there, (name, options))


class Executed(unittest.TestCase):
    def check(self, checkpoint, experts):
        """What the report predicts of every kernel is what the counters of steps say."""
        options = ["--max-step-tokens", STEP_TOKENS, "--max-batch-size", 1]
        report = explain(checkpoint, *options)
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "p.l4x"
            run("llama4-compile", checkpoint, "-o", path, *options)
            profile = json.loads(run("llama4-run", "bench", path, "--prompt-tokens", STEP_TOKENS,
                                     "--new-tokens", 3, "--runs", 2, "--threads", 1, "--json",
                                     "--profile").stdout)["profile"]
        entries = {entry["name"]: entry for entry in report["entries"]}
        # A prompt that fills one step, at its bound; then single tokens. Each takes one logits row.
        for phase, step, at, runs in (("prompt", "step", -1, 2), ("decode", "step_decode", 0, 6)):
            predicted = collections.defaultdict(collections.Counter)
            for entry, which in ((entries[step], at), (entries["logits"], 0)):
                self.assertEqual(entry["totals"][which]["symbol"],
                                 STEP_TOKENS if entry["name"] == "step" else 1)
                for dispatch in entry["dispatches"]:
                    sums = predicted[dispatch["kernel"]]
                    sums["dispatches"] += runs
                    for field in ("weight_bytes", "activation_bytes"):
                        sums[field] += runs * dispatch["work"][which][field]
                    if dispatch["kind"] != "attention":  # whose work the counters don't know
                        sums["macs"] += runs * dispatch["work"][which]["macs"]
                    sums["experts"] += dispatch["kind"] == "experts"
            counted = {kernel["kernel"]: kernel for kernel in profile[phase]}
            self.assertEqual(set(counted), set(predicted))
            for kernel, sums in predicted.items():
                for field in ("dispatches", "activation_bytes", "macs"):
                    self.assertEqual(counted[kernel][field], sums[field], (phase, kernel, field))
                found, most = counted[kernel]["weight_bytes"], sums["weight_bytes"]
                # Tokens of a prompt may share experts; one token has its own.
                if sums["experts"] and phase == "prompt":
                    self.assertTrue(0 < found <= most, (kernel, found, most))
                else:
                    self.assertEqual(found, most, (phase, kernel))
            self.assertEqual(experts, any(sums["experts"] for sums in predicted.values()))
            self.assertGreater(sum(sums["weight_bytes"] for sums in predicted.values()), 0)

    def test_dense(self):
        self.check(DENSE, False)

    def test_experts(self):
        self.check(EXPERTS, True)


class Html(unittest.TestCase):
    ADDRESS = re.compile(r"https?:|//|\burl\(|@import|javascript:|data:", re.I)

    def check(self, text, report):
        self.assertFalse(self.ADDRESS.search(text), self.ADDRESS.search(text))
        page = Page(text)
        for name, _ in page.attributes:
            self.assertNotIn(name, ("src", "href", "srcset", "action", "onload", "onclick",
                                    "onerror", "onmouseover"))
        self.assertEqual({"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3",
                          "pre", "p", "span", "div", "b", "table", "tr", "th", "td", "br", "small"},
                         set(page.tags))
        count = sum(len(entry["dispatches"]) for entry in report["entries"])
        self.assertEqual(page.rows, count)
        self.assertEqual(page.boxes, sum(len(entry["dispatches"]) * len(entry["totals"])
                                         for entry in report["entries"]))
        return page

    def test_one_page_that_needs_nothing_else(self):
        for checkpoint in (DENSE, EXPERTS):
            text = run("llama4-compile", checkpoint, "--explain=html").stdout
            report = explain(checkpoint)
            page = self.check(text, report)
            plan = run("llama4-compile", checkpoint, "--plan-only").stdout
            self.assertRegex(plan, r"(?m)^host +25\.17 MB .*\nmemory .* \+ host 25\.17 MB = ")
            self.assertIn(plan, page.text)
            for entry in report["entries"]:
                for dispatch in entry["dispatches"]:
                    self.assertIn(" + ".join(dispatch["sources"]), page.text)

    def test_names_are_text(self):
        """A program whose names are markup: from the dump, where every name is free."""
        hostile = '<script src=\\"x\\">alert(1)</script>&lt;\'\\22 onload=\\"x'
        shown = '<script src="x">alert(1)</script>&lt;\'" onload="x'
        dump = run("llama4-compile", DENSE, "--dump-phase", "plan").stdout
        changed = dump.replace('["embed model.embed_tokens"]', f'["{hostile}"]')
        changed = changed.replace("@model.embed_tokens.weight", f'@"{hostile}"')
        changed = changed.replace('family = "llama3"', f'family = "{hostile}"')
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "plan.mlir"
            path.write_text(changed)
            options = ["--from-phase", "plan", path, "--checkpoint", DENSE]
            report = json.loads(run("llama4-compile", *options, "--explain=json").stdout)
            text = run("llama4-compile", *options, "--explain=html").stdout
        self.assertEqual(report["entries"][0]["dispatches"][0]["sources"], [shown])
        self.assertIn(shown, {weight["name"] for dispatch in report["entries"][0]["dispatches"]
                              for weight in dispatch["weights"]})
        page = self.check(text, report)
        self.assertGreaterEqual(page.text.count(shown), 3)


class FullSize(full.Folder):
    def test_scout_and_maverick_from_their_configuration(self):
        for experts, interval in ((16, 1), (128, 2)):
            config = self.config(full.llama4(experts, interval))
            for form in ("text", "json", "html"):
                start = time.monotonic()
                text = run("llama4-compile", config, f"--explain={form}", "--max-length", 1 << 20,
                           "--max-batch-size", 1).stdout
                self.assertLess(time.monotonic() - start, 5, form)
                if form == "json":
                    report = json.loads(text)
                if form == "html":
                    self.assertEqual(Page(text).rows, sum(len(entry["dispatches"])
                                                          for entry in report["entries"]))
            (step,) = [entry for entry in report["entries"] if entry["name"] == "step"]
            layers = [d["layer"] for d in step["dispatches"]
                      if d["kind"] == "experts" and d["layer"] is not None]
            self.assertEqual(len(layers), 2 * 48 // interval)
            # One token reads one expert of each mixture: 3 matrices of 5120 x 8192, bfloat16.
            for dispatch in step["dispatches"]:
                if dispatch["kind"] == "experts":
                    self.assertIn(dispatch["work"][0]["weight_bytes"],
                                  (5120 * 8192 * 2, 2 * 5120 * 8192 * 2))

    def test_plans_of_one_and_ten_million_tokens(self):
        for experts, interval in ((16, 1), (128, 2)):
            config = self.config(full.llama4(experts, interval))
            for length in (1 << 20, 10 << 20):
                start = time.monotonic()
                plan = json.loads(run("llama4-compile", config, "--plan-only", "--json",
                                      "--max-length", length, "--max-batch-size", 1).stdout)
                self.assertLess(time.monotonic() - start, 5)
                self.assertEqual(plan["max_length"], length)
                kv = {kind["chunk_tokens"]: kind for kind in plan["kv"]}
                # bfloat16 keys and values of 8 heads of 128; 12 layers see everything.
                token = 2 * 8 * 128 * 2
                self.assertEqual(kv[0]["bytes"], 12 * token * length)
                # A chunk, what one step adds, and a page that the chunk's edge cuts.
                self.assertEqual(kv[8192]["bytes"], 36 * token * (8192 + 512))


class Reasons(unittest.TestCase):
    def test_reasons_change_no_kernel(self):
        """Without its reasons a program has the same kernels and commands; only its name differs."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            dump = run("llama4-compile", EXPERTS, "--dump-phase", "lm-opt").stdout
            bare = re.sub(r"(, )?lm\.unfused = \[[^\]]*\]", "", dump)
            self.assertIn("lm.unfused", dump)
            self.assertNotIn("lm.unfused", bare)
            facts = []
            for text in (dump, bare):
                (folder / "dump.mlir").write_text(text)
                run("llama4-compile", "--from-phase", "lm-opt", folder / "dump.mlir",
                    "--checkpoint", EXPERTS, "-o", folder / "p.l4x")
                facts.append(json.loads(run("llama4-run", "inspect", folder / "p.l4x",
                                            "--json").stdout))
            self.assertNotEqual(facts[0].pop("content_id"), facts[1].pop("content_id"))
            self.assertEqual(*facts)

    def test_wrong_uses(self):
        for says, *options in (("text, json or html", "--explain=xml"),
                               ("expected one of them", "--explain", "--plan-only"),
                               ("expected one of them", "--explain", "-o", "x.l4x"),
                               ("without --explain", "--explain-cores", 2, "--plan-only"),
                               ("above 0", "--explain", "--explain-bandwidth", 0),
                               ("at least 1", "--explain", "--explain-length", 0)):
            done = run("llama4-compile", DENSE, *options, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main()
