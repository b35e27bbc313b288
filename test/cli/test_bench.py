"""`llama4-run bench`: what it counts is what the program is, what it divides are its own numbers.

Nothing is expected of any time: the tests hold on a machine of any speed.
"""

import collections
import functools
import json
import os
import re
import statistics
import sys
import unittest

from clitest import BIN, COMPILE, DATA, LEVELS, command, compiled, level_runs, main, must, run, temp

DENSE = os.path.join(DATA, "oracles", "llama3-text-tied")
EXPERTS = os.path.join(DATA, "oracles", "llama4-text-f32")
PROMPT, NEW, DEPTH, BATCH, RUNS = 24, 5, 40, 3, 2


@functools.cache
def bench(checkpoint, *options):
    """(the report, what inspect says of the program)"""
    model = compiled(checkpoint, *options)
    text = must("bench", model, "--prompt-tokens", PROMPT, "--new-tokens", NEW, "--depth", DEPTH,
                "--batch", BATCH, "--runs", RUNS, "--threads", 2, "--json", "--profile")
    return json.loads(text), json.loads(must("inspect", model, "--json"))


def static_bytes(facts, entry):
    """Bytes of weights of one run of an entry whose dispatches read all they are bound to."""
    kernels = {kernel["symbol"]: kernel["weight_bytes"] for kernel in facts["kernels"]}
    return sum(kernels[command["kernel"]]
               for found in facts["entries"] if found["name"] == entry
               for command in found["commands"])


class Report(unittest.TestCase):
    def phases(self):
        for source, options in ((DENSE, ()), (DENSE, ("--compute", "float32")), (EXPERTS, ())):
            report, facts = bench(source, *options)
            for name in ("prompt", "decode"):
                yield report, facts, name, report[name]

    def test_counts_of_tokens_and_steps(self):
        for report, _, name, phase in self.phases():
            each = PROMPT if name == "prompt" else NEW
            self.assertEqual(phase["tokens"], BATCH * each)
            self.assertEqual(phase["steps"], 1 if name == "prompt" else NEW)
            for values in (phase["seconds"], phase["others_processors"], phase["own_processors"],
                           phase["share_of_read"]["runs"], phase["share_of_macs"]["runs"],
                           phase["probes"]["read_bytes_per_second"]["after"]):
                self.assertEqual(len(values), RUNS)
            self.assertEqual((report["batch"], report["depth"], report["runs"]),
                             (BATCH, DEPTH, RUNS))

    def test_bytes_are_those_of_the_program(self):
        report, facts = bench(DENSE)
        decode = report["decode"]["work"]["weight_bytes"]
        self.assertEqual(decode, NEW * (static_bytes(facts, "step_decode")
                                        + static_bytes(facts, "logits")))
        self.assertGreater(decode, 0)
        self.assertEqual(report["decode_step_bytes"]["weights"], decode // NEW)

    def test_keys_and_values_are_those_of_every_step(self):
        report, facts = bench(DENSE)
        one = sum(2 * kind["layers"] * kind["kv_heads"] * kind["head_dim"]
                  * {"bf16": 2, "f32": 4}[kind["type"]] for kind in facts["kv"])
        self.assertTrue(all(kind["chunk_tokens"] == 0 for kind in facts["kv"]))
        # A step sees what is there and its own tokens, and writes the latter.
        seen = DEPTH + PROMPT
        self.assertEqual(report["prompt"]["work"]["cache_bytes"], BATCH * one * (seen + PROMPT))
        self.assertEqual(report["decode"]["work"]["cache_bytes"],
                         BATCH * one * sum(seen + i + 1 + 1 for i in range(NEW)))

    def test_multiplications_are_of_the_mode(self):
        for options, kind in ((("--compute", "float32"), {"float32"}),
                              (("--quantization-encoding", "q8_0"), {"int8"}),
                              (("--quantization-encoding", "bfloat16"), {"bfloat16"})):
            report, facts = bench(DENSE, *options)
            macs = {kernel["symbol"]: kernel["macs_per_symbol"] for kernel in facts["kernels"]}
            wanted = {"prompt": 0, "decode": 0}
            for entry in facts["entries"]:
                each = sum(macs[command["kernel"]] for command in entry["commands"])
                if entry["name"] == "logits":
                    wanted["prompt"] += BATCH * each
                    wanted["decode"] += BATCH * NEW * each
                elif entry["name"] == "step":
                    wanted["prompt"] += BATCH * PROMPT * each
                elif entry["name"] == "step_decode":
                    wanted["decode"] += BATCH * NEW * each
            for phase, amount in wanted.items():
                found = report[phase]["work"]["macs"]
                self.assertEqual((set(found), sum(found.values())), (kind, amount), options)
            self.assertEqual(set(report["limits"]["macs"]), kind)

    def test_shares_are_quotients(self):
        for _, _, _, phase in self.phases():
            work, probes = phase["work"], phase["probes"]
            streamed = work["weight_bytes"] + work["cache_bytes"]
            self.assertEqual(set(probes["macs_per_second"]), set(work["macs"]))
            for i, seconds in enumerate(phase["seconds"]):
                self.assertGreater(seconds, 0)
                read = (probes["read_bytes_per_second"]["before"][i]
                        + probes["read_bytes_per_second"]["after"][i]) / 2
                self.assertAlmostEqual(phase["share_of_read"]["runs"][i]
                                       / (streamed / read / seconds), 1, 9)
                least = sum(macs / ((probes["macs_per_second"][kind]["before"][i]
                                     + probes["macs_per_second"][kind]["after"][i]) / 2)
                            for kind, macs in work["macs"].items())
                self.assertAlmostEqual(phase["share_of_macs"]["runs"][i] / (least / seconds), 1, 9)
            middle = statistics.median(phase["seconds"])
            for share in (phase["share_of_read"], phase["share_of_macs"]):
                self.assertAlmostEqual(share["median"], statistics.median(share["runs"]), 12)
            rates = phase["tokens_per_second"]
            self.assertAlmostEqual(rates["median"] * middle / phase["tokens"], 1, 9)
            self.assertAlmostEqual(rates["best"] * min(phase["seconds"]) / phase["tokens"], 1, 9)
            self.assertAlmostEqual(phase["streamed_bytes_per_second"] * middle / streamed, 1, 9)
            self.assertAlmostEqual(phase["macs_per_second"] * middle / sum(work["macs"].values()),
                                   1, 9)
            shares = {"memory": phase["share_of_read"]["median"],
                      "compute": phase["share_of_macs"]["median"]}
            self.assertEqual(phase["share_of_limit"], max(shares.values()))
            self.assertEqual(shares[phase["bound_by"]], phase["share_of_limit"])

    def test_a_probe_stands_between_two_runs(self):
        report, _ = bench(DENSE)
        probes = [report[name]["probes"]["read_bytes_per_second"] for name in ("prompt", "decode")]
        for i in range(RUNS):
            self.assertEqual(probes[0]["after"][i], probes[1]["before"][i])
        self.assertEqual(probes[1]["after"][0], probes[0]["before"][1])
        self.assertGreater(report["probe_bytes"], 1 << 20)
        self.assertLessEqual(report["huge_page_bytes"]["probe"], report["probe_bytes"])
        self.assertLessEqual(report["huge_page_bytes"]["weights"],
                             report["memory_bytes"]["weights"])

    def test_the_profile_is_the_sum_of_all_runs(self):
        for report, facts, name, phase in self.phases():
            kernels = report["profile"][name]
            dispatches = report["profile"]["dispatches"][name]
            sums = collections.Counter()
            for one in dispatches:
                for field in ("weight_bytes", "cache_bytes", "activation_bytes", "macs"):
                    sums[field] += one[field]
            work = dict(phase["work"], macs=sum(phase["work"]["macs"].values()))
            # Every run processes the same tokens: experts chosen once are chosen again.
            self.assertEqual(dict(sums), {field: RUNS * count for field, count in work.items()})
            for field in ("nanoseconds", "dispatches", "weight_bytes", "cache_bytes", "macs"):
                self.assertEqual(sum(k[field] for k in kernels), sum(d[field] for d in dispatches))
            self.assertAlmostEqual(sum(k["share_of_time"] for k in kernels), 1, 9)
            entry = {"prompt": "step", "decode": "step_decode"}[name]
            commands = [c["kernel"] for e in facts["entries"] if e["name"] == entry
                        for c in e["commands"]]
            self.assertEqual([d["kernel"] for d in dispatches if d["entry"] == entry], commands)

    def test_shares_of_dispatches_are_quotients(self):
        for report, _, name, phase in self.phases():
            probes = phase["probes"]["read_bytes_per_second"]
            read = statistics.mean(probes["before"] + probes["after"])
            for one in report["profile"][name] + report["profile"]["dispatches"][name]:
                seconds = max(one["nanoseconds"], 1) * 1e-9
                wanted = (one["weight_bytes"] + one["cache_bytes"]) / read / seconds
                self.assertAlmostEqual(one["share_of_read"], wanted, delta=1e-9 * wanted + 1e-12)
                self.assertEqual(one["mac_kind"] is None, one["macs"] == 0)
            layers = report["profile"]["layer_matrices"][name]
            steps = [d for d in report["profile"]["dispatches"][name]
                     if d["macs"] and d["entry"] != "logits"]
            for field in ("nanoseconds", "weight_bytes", "macs"):
                self.assertEqual(layers[field], sum(d[field] for d in steps))

    def test_experts_that_nobody_chose_are_not_counted(self):
        report, facts = bench(EXPERTS)
        all_of_them = NEW * (static_bytes(facts, "step_decode") + static_bytes(facts, "logits"))
        self.assertLess(report["decode"]["work"]["weight_bytes"], all_of_them)

    def test_every_field_is_documented(self):
        with open(os.path.join(os.path.dirname(os.path.dirname(DATA)), "docs", "bench.md"),
                  encoding="utf-8") as file:
            text = re.sub(r"```.*?```", "", file.read(), flags=re.S)
        report, _ = bench(DENSE)
        profile = report["profile"]
        fields = {*report, *report["limits"], *report["decode"], *report["decode"]["work"],
                  *report["decode"]["probes"], *profile, *profile["decode"][0],
                  *profile["layer_matrices"]["decode"]}
        named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
        self.assertEqual(fields - named, set())

    def test_text_has_the_same_numbers(self):
        model = compiled(DENSE)
        text = must("bench", model, "-p", 8, "-n", 2, "-r", 1, "--profile")
        report, facts = bench(DENSE)
        step = static_bytes(facts, "step_decode") + static_bytes(facts, "logits")
        self.assertIn(f"{step / 1e6:.1f} MB weights", text)
        for kernel in report["profile"]["decode"]:
            self.assertRegex(text, rf"\n +\d.*% +{kernel['kernel']}: ")


class Limits(unittest.TestCase):
    INSTRUCTIONS = {"x86-64-v3": ("vpmaddubsw ymm", "vfmadd231ps ymm", "vfmadd231ps ymm"),
                    "x86-64-v4+vnni": ("vpdpbusd zmm", "vfmadd231ps zmm", "vfmadd231ps zmm"),
                    "x86-64-v4+vnni+bf16": ("vpdpbusd zmm", "vdpbf16ps zmm", "vfmadd231ps zmm"),
                    "x86-64-v4+vnni+bf16+amx": ("tdpbsud tmm", "tdpbf16ps tmm",
                                                "vfmadd231ps zmm")}

    def test_instructions_are_those_of_the_level(self):
        model = compiled(DENSE)
        for level in LEVELS:
            if not level_runs(model, level):
                continue
            report = json.loads(must("bench", model, "--limits", "--json", "--cpu-level", level))
            self.assertEqual(report["level"], level)
            macs = report["limits"]["macs"]
            self.assertEqual(tuple(macs[kind]["instruction"] for kind in
                                   ("int8", "bfloat16", "float32")), self.INSTRUCTIONS[level])
            for limit in (report["limits"]["read_bytes_per_second"],
                          *(kind["macs_per_second"] for kind in macs.values())):
                self.assertGreater(limit, 0)

    def test_text(self):
        self.assertRegex(must("bench", compiled(DENSE), "--limits"), r"^reads \d.*\n(v.*\n){3}$")


class Tools(unittest.TestCase):
    FOLDER = os.path.join(os.path.dirname(os.path.dirname(DATA)), "tools", "bench")

    def tool(self, name, *args):
        done = command(sys.executable, "-B", os.path.join(self.FOLDER, name), *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_shapes_have_the_published_sizes(self):
        for name, layers, parameters in (("llama-3.2-1b", 16, 1235814400),
                                         ("llama-3.1-8b", 32, 8030261248),
                                         ("llama-3.2-11b-vision", 40, 10670220835)):
            folder = temp(name)
            os.makedirs(folder)
            with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
                file.write(self.tool("shapes.py", "config", name, "--layers", layers))
            plan = json.loads(command(COMPILE, folder, "--plan-only", "--json").stdout)
            self.assertEqual(plan["parameters"], parameters, name)

    def test_shapes_are_those_that_are_measured(self):
        lines = self.tool("shapes.py", "list").splitlines()
        self.assertEqual([line.split(" of width")[0] for line in lines],
                         ["llama-3.2-1b: 16 layers", "llama-3.1-8b: 4 layers", "scout: 4 layers",
                          "llama-3.2-11b-vision: 8 layers"])

    def test_beside_a_program_of_known_speed(self):
        """A stand-in for llama-bench that says 10 tokens a second, and one that ends with an
        error."""
        peers = []
        for name, text in (("slow", "#!/bin/sh\necho '[{\"avg_ts\": 10.0}]'\n"),
                           ("broken", "#!/bin/sh\necho out of luck >&2; exit 3\n")):
            peers.append(temp(f"{name}-bench"))
            with open(peers[-1], "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(peers[-1], 0o700)
        table = self.tool("compare.py", DENSE, "--bin", BIN, "--threads", 1, "--prompt", 8, "--new",
                          2, "--rounds", 2, "--json", temp("compare.json"), "--llama-bench",
                          peers[0], "--llama-bench", peers[1], "--llama-bench", temp("nothing"))
        self.assertRegex(table, r"(?m)^skipped: .*nothing: .* is not there$")
        self.assertEqual(len(re.findall(r"broken-bench \| skipped: out of luck", table)), 2, table)
        with open(temp("compare.json"), encoding="utf-8") as file:
            report = json.load(file)
        slow = [row for row in report["rows"] if row["program"].endswith("slow-bench")]
        self.assertEqual([row["test"] for row in slow], ["prompt 8", "decode 2"])
        for row, test in zip(slow, report["tests"]):
            ours = sorted(one["llama4-run"]["rate"] for one in test["rounds"])
            self.assertEqual((row["tokens_per_second"], row["rounds"]), (10, 2))
            self.assertAlmostEqual(row["least"], ours[0] / 10)
            self.assertAlmostEqual(row["most"], ours[1] / 10)
            self.assertAlmostEqual(row["ratio"], sum(ours) / 20)
            self.assertIn(f"{row['ratio']:.2f} ({row['least']:.2f} - {row['most']:.2f})", table)


class Usage(unittest.TestCase):
    def test_wrong_numbers(self):
        model = compiled(DENSE)
        for options in (["--runs", 0], ["--batch", 0], ["--new-tokens", 0], ["-p", 0], ["-d", -1],
                        ["--runs", "some"], ["--depth", 1 << 31], ["--limits", "--what"],
                        ["--batch", 100000], ["--depth", 1 << 29], ["--threads", 2000]):
            done = run("bench", model, *options)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (options, done.stderr))
            self.assertRegex(done.stderr, r"\d|what|some")


if __name__ == "__main__":
    main()
