"""Models of full width without weights: made up at load, or only planned."""

import json
import pathlib
import tempfile
import time
import unittest

import numpy as np

from support import DATA, load_file, run, save_file

ORACLE = DATA / "oracles" / "llama3-text-tied"

# The shape of Llama 3.2 1B, cut to two layers.
SMALL = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
         "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 2,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
         "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
         "tie_word_embeddings": True, "hidden_act": "silu", "torch_dtype": "bfloat16",
         "bos_token_id": 128000, "eos_token_id": 128001}
# The shape of Llama 3.1 405B.
LARGE = {**SMALL, "hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126,
         "num_attention_heads": 128, "num_key_value_heads": 8, "head_dim": 128,
         "tie_word_embeddings": False}


def matrices(config):
    """(rows, columns) of every matrix, and the columns of every norm, from the configuration."""
    hidden, inner, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    layer = [(queries, hidden), (keys, hidden), (keys, hidden), (hidden, queries),
             (inner, hidden), (inner, hidden), (hidden, inner)]
    shapes = layer * config["num_hidden_layers"] + [(config["vocab_size"], hidden)]
    if not config["tie_word_embeddings"]:
        shapes.append((config["vocab_size"], hidden))
    return shapes, [hidden] * (2 * config["num_hidden_layers"] + 1)


def expected_bytes(config, bits):
    """Packed bytes of all weights; all sizes here are whole panels of 16 rows and whole blocks."""
    shapes, norms = matrices(config)
    assert all(rows % 16 == 0 and columns % 64 == 0 for rows, columns in shapes)
    return sum(rows * columns * bits // 8 for rows, columns in shapes), sum(norms) * 4


class Folder(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def config(self, config):
        (self.folder / "config.json").write_text(json.dumps(config))
        return self.folder

    def refused(self, code, says, *arguments, tool="llama4-compile"):
        done = run(tool, *arguments, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(says, done.stderr)


class SyntheticWeights(Folder):
    def compile(self, name, source, *options, config=SMALL):
        path = self.folder / name
        run("llama4-compile", self.config(config), "-o", path, "--synthetic-weights", source,
            "--target", "cpu:x86-64-v3", "--max-length", 4096, *options)
        return path

    def generate(self, path, *options):
        ids = run("llama4-run", "generate", path, "--prompt-ids", "1,2,3,40000", "--max-new-tokens",
                  6, "--ignore-eos", "--ids", *options).stdout.split()
        self.assertEqual(len(ids), 6)
        return [int(word) for word in ids]

    def test_a_model_of_full_width_without_weights(self):
        start = time.monotonic()
        path = self.compile("random.l4x", "random:42", "--quantization-encoding", "q8_0")
        self.assertLess(time.monotonic() - start, 60)
        self.assertLess(path.stat().st_size, 4 << 20)
        ids = self.generate(path)
        self.assertEqual(ids, self.generate(path, "--threads", 1))
        self.assertGreater(len(set(ids)), 1, "random weights give more than one token")
        again = self.compile("again.l4x", "random:42", "--quantization-encoding", "q8_0")
        self.assertEqual(path.read_bytes(), again.read_bytes())
        facts = json.loads(run("llama4-run", "inspect", path, "--json").stdout)
        shapes, norms = matrices(SMALL)
        self.assertEqual(facts["weight_source"], "random:42")
        self.assertEqual(sum(weight["bytes"] for weight in facts["weights"]),
                         sum(r * c * 34 // 32 for r, c in shapes) + sum(norms) * 4)
        self.assertNotIn("weights", [section["kind"] for section in facts["sections"]])
        self.assertIn("made up, random:42", run("llama4-run", "inspect", path).stdout)
        self.assertIn("weights made up: random:42", run("llama4-run", "verify", path).stdout)

    def test_seed_and_source_are_part_of_the_identity(self):
        narrow = {**SMALL, "vocab_size": 2048, "bos_token_id": 1, "eos_token_id": 2}
        prompt = ["--prompt-ids", "1,2,3,4"]
        seen = {}
        for source in ("random:1", "random:2", "splat:0.01"):
            path = self.compile("a.l4x", source, "--quantization-encoding", "q4_1", config=narrow)
            facts = json.loads(run("llama4-run", "inspect", path, "--json").stdout)
            ids = run("llama4-run", "generate", path, *prompt, "--max-new-tokens", 8,
                      "--ignore-eos", "--ids").stdout
            seen[source] = (facts["content_id"], ids)
        self.assertEqual(len({identity for identity, _ in seen.values()}), 3)
        self.assertNotEqual(seen["random:1"][1], seen["random:2"][1])
        # All logits are equal: ties go to the lowest id.
        self.assertEqual(seen["splat:0.01"][1].split(), ["0"] * 8)

    def test_every_encoding_runs(self):
        narrow = {**SMALL, "vocab_size": 1000, "bos_token_id": 1, "eos_token_id": 2}
        given, found = self.folder / "in.safetensors", self.folder / "out.safetensors"
        save_file({"input_ids": np.array([1, 2, 3, 500, 999], dtype=np.int64)}, str(given))
        for encoding in ("float32", "bfloat16", "q8_0", "q4_1"):
            path = self.compile("e.l4x", "random:5", "--quantization-encoding", encoding,
                                config=narrow)
            run("llama4-run", "invoke", path, "--in", given, "--out", found)
            logits = load_file(str(found))["logits"]
            self.assertEqual(logits.shape, (5, 1000))
            self.assertTrue(np.isfinite(logits).all(), encoding)
            # Normed rows times uniform weights of variance 1 / (3 * columns).
            self.assertTrue((np.abs(logits.std(axis=1) - 3 ** -0.5) < 0.15).all(),
                            f"{encoding}: {logits.std(axis=1)}")
            self.assertLess(np.corrcoef(logits[0], logits[4])[0, 1], 0.9)

    def test_profile_counts_bytes(self):
        path = self.compile("p.l4x", "random:5", "--quantization-encoding", "q8_0")
        report = json.loads(run("llama4-run", "bench", path, "--prompt-tokens", 4, "--new-tokens", 2,
                                "--runs", 1, "--json", "--profile").stdout)
        head = 128256 * 2048 * 34 // 32  # of lm_head, the largest kernel
        for phase, rows in (("prompt", 1), ("decode", 1)):
            kernels = report["profile"][phase]
            for kernel in kernels:
                self.assertEqual(kernel["bytes_per_dispatch"],
                                 (kernel["weight_bytes"] + kernel["activation_bytes"])
                                 // kernel["dispatches"])
            (logits,) = [kernel for kernel in kernels
                         if kernel["weight_bytes"] == kernel["dispatches"] * head]
            # Blocks of 32 int8 with scale, scaled sum and sum; logits in float32.
            self.assertEqual(logits["activation_bytes"],
                             logits["dispatches"] * rows * (2048 // 32 * 44 + 128256 * 4))

    def test_damage_is_refused(self):
        path = self.compile("a.l4x", "random:42", "--quantization-encoding", "q8_0")
        content = bytearray(path.read_bytes())
        for place in (20, 4096, 9000, len(content) - 1):  # header, checksums, program, end
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            self.refused(65, "expected", "verify", path, tool="llama4-run")
        path.write_bytes(content + bytes(4096))
        self.refused(65, "file_bytes", "verify", path, tool="llama4-run")

    def test_the_module_says_it(self):
        config = self.config(SMALL)
        made = ["--synthetic-weights", "random:42"]
        dump = self.folder / "plan.mlir"
        dump.write_text(run("llama4-compile", config, *made, "--target", "cpu:x86-64-v3",
                            "--dump-phase", "plan").stdout)
        self.assertIn('synthetic_weights = "random:42"', dump.read_text())
        again = ["--from-phase", "plan", dump, "--checkpoint", config, "-o", self.folder / "x.l4x"]
        run("llama4-compile", *again)
        self.assertEqual((self.folder / "x.l4x").read_bytes(),
                         self.direct(*made, "--target", "cpu:x86-64-v3"))
        self.refused(2, "contradicts", *again, "--synthetic-weights", "random:43")
        dump.write_text(dump.read_text().replace('"random:42"', '"random:fortytwo"'))
        self.refused(65, "random:SEED", *again)

    def direct(self, *options):
        path = self.folder / "direct.l4x"
        run("llama4-compile", self.folder, "-o", path, *options)
        return path.read_bytes()

    def test_wrong_uses(self):
        config = self.config(SMALL)
        out = ["-o", self.folder / "x.l4x"]
        self.refused(66, "model.safetensors", config, *out)
        for source in ("random", "random:-1", "splat:1e9", "noise:1"):
            self.refused(2, "random:SEED", config, *out, "--synthetic-weights", source)
        dump = self.folder / "lm.mlir"
        dump.write_text(run("llama4-compile", ORACLE, "--dump-phase", "lm").stdout)
        self.refused(2, "contradicts", "--from-phase", "lm", dump, "--checkpoint", ORACLE, *out,
                     "--synthetic-weights", "random:1")


def llama4(experts, interval):
    """The published configurations of Llama 4 Scout (16, 1) and Maverick (128, 2)."""
    text = {"model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192,
            "intermediate_size_mlp": 16384, "num_hidden_layers": 48, "num_attention_heads": 40,
            "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048,
            "num_local_experts": experts, "num_experts_per_tok": 1,
            "interleave_moe_layer_step": interval, "max_position_embeddings": 10485760,
            "attention_chunk_size": 8192, "use_qk_norm": experts == 16, "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0, "attn_temperature_tuning": 4, "attn_scale": 0.1,
            "floor_scale": 8192, "no_rope_layers": [], "bos_token_id": 200000,
            "eos_token_id": [200001, 200007, 200008]}
    if experts == 16:
        text["rope_scaling"] = {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0,
                                "high_freq_factor": 1.0, "original_max_position_embeddings": 8192}
    vision = {"model_type": "llama4_vision_model", "hidden_size": 1408, "intermediate_size": 5632,
              "num_hidden_layers": 34, "num_attention_heads": 16, "num_channels": 3,
              "image_size": 336, "patch_size": 14, "pixel_shuffle_ratio": 0.5,
              "projector_input_dim": 4096, "projector_output_dim": 4096,
              "vision_output_dim": 4096, "rope_theta": 10000}
    return {"architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4",
            "text_config": text, "vision_config": vision, "image_token_index": 200092,
            "torch_dtype": "bfloat16", "tie_word_embeddings": False}


def vision_parameters():
    """Of the image tower of that configuration, its adapter and projector."""
    hidden, inner, layers = 1408, 5632, 34
    layer = (4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden)
    ends = 3 * 14 * 14 * hidden + hidden + (24 * 24 + 1) * hidden + 4 * hidden
    return layers * layer + ends + 4 * hidden * 4096 + 4096 * 4096 + 4096 * 5120


class PlanOnly(Folder):
    def plan(self, config, *options):
        start = time.monotonic()
        plan = json.loads(run("llama4-compile", self.config(config), "--plan-only", "--json",
                              *options).stdout)
        plan["seconds"] = time.monotonic() - start
        return plan

    def test_405_billion_parameters_in_seconds(self):
        plan = self.plan(LARGE, "--quantization-encoding", "q4_1", "--max-length", 8192,
                         "--max-batch-size", 4, "--max-step-tokens", 128)
        self.assertLess(plan["seconds"], 5)
        shapes, norms = matrices(LARGE)
        self.assertEqual(plan["parameters"], sum(r * c for r, c in shapes) + sum(norms))
        self.assertEqual(plan["parameters"], 405_853_388_800)
        matrix, norm = expected_bytes(LARGE, 5)
        self.assertEqual(plan["encodings"]["q4_1"]["bytes"], matrix)
        self.assertEqual(plan["encodings"]["float32"]["bytes"], norm)
        # bfloat16 keys and values of 8 heads of 128 in 126 layers.
        token = 2 * 2 * 8 * 128 * 126
        (kv,) = plan["kv"]
        self.assertEqual((kv["layers"], kv["bytes_per_token"]), (126, token))
        self.assertEqual(kv["bytes_per_sequence"], 8192 * token)
        memory = plan["memory_bytes"]
        self.assertEqual(memory["cache"], 4 * 8192 * token)
        self.assertEqual(memory["weights"], matrix + norm)
        # ids, angles and hidden rows of 128 tokens; hidden rows, row numbers and logits of 4 rows.
        step = 128 * (4 + 2 * 64 * 4 + 16384 * 4)
        logits = 128 * 16384 * 4 + 4 * (4 + 128256 * 4)
        self.assertEqual(memory["step"], step + logits)
        self.assertEqual(memory["all"], sum(memory[part] for part in
                                            ("weights", "arena", "step", "cache", "host")))
        # At least the largest transient: gate and up of every token.
        self.assertGreater(memory["arena"], 128 * 53248 * 2)

    def test_the_plan_is_what_the_artifact_says(self):
        plan = self.plan(SMALL, "--quantization-encoding", "q8_0")
        path = self.folder / "a.l4x"
        run("llama4-compile", self.folder, "-o", path, "--synthetic-weights", "random:1",
            "--quantization-encoding", "q8_0", "--target", "cpu:x86-64-v3")
        facts = json.loads(run("llama4-run", "inspect", path, "--json").stdout)
        for part in ("weights", "arena"):
            self.assertEqual(plan["memory_bytes"][part], facts["memory_bytes"][part])
        self.assertEqual(sum(kind["bytes_per_token"] for kind in plan["kv"]),
                         facts["memory_bytes"]["cache_per_token"])

    def test_full_llama4_in_seconds(self):
        """Scout and Maverick as published: 109 and 402 billion parameters, from config.json alone."""
        for experts, interval, short in ((16, 1, "109B"), (128, 2, "402B")):
            config = llama4(experts, interval)
            expert, moe = 3 * 5120 * 8192, 48 // interval
            text = (moe * (experts * expert + expert + experts * 5120)
                    + (48 - moe) * 3 * 5120 * 16384 + 48 * (2 * 5120 + 2 * 1024) * 5120
                    + 2 * 202048 * 5120 + 97 * 5120)
            plan = self.plan(config, "--quantization-encoding", "q4_1", "--max-length", 1 << 20,
                             "--max-batch-size", 1)
            self.assertLess(plan["seconds"], 5)
            self.assertEqual(plan["parameters"], text + vision_parameters())
            alone = self.plan(config, "--quantization-encoding", "q4_1", "--text-only")
            self.assertEqual(alone["parameters"], text)
            self.assertEqual(alone["parameters_left_out"], vision_parameters())
            # Both sides together are the whole.
            vision, rest = plan["sides"]["vision"], plan["sides"]["text"]
            memory = plan["memory_bytes"]
            self.assertEqual(vision["weights"]["parameters"], vision_parameters())
            self.assertEqual(rest["weights"]["parameters"], text)
            self.assertEqual(vision["weights"]["bytes"] + rest["weights"]["bytes"],
                             memory["weights"])
            self.assertEqual(vision["step"] + rest["step"], memory["step"])
            self.assertEqual(max(vision["arena"], rest["arena"]), memory["arena"])
            # The pool is rows of features, five images of 16 tiles and a whole one.
            self.assertGreater(vision["step"], 5 * 17 * 144 * 5120 * 4)
            self.assertIsNone(alone["sides"])
            # The tower stays as it is stored.
            self.assertEqual(plan["encodings"]["q4_1"], alone["encodings"]["q4_1"])
            kinds = {kind["name"]: kind for kind in plan["kv"]}
            # Chunked layers keep one chunk and the step's tokens, however long the sequence.
            self.assertEqual(kinds["chunked"]["layers"], 36)
            chunked = kinds["chunked"]["bytes_per_sequence"]
            self.assertLess(chunked, kinds["chunked"]["bytes_per_token"] * (8192 + 512 + 32))
            self.assertEqual(kinds["full"]["bytes_per_sequence"],
                             (1 << 20) * kinds["full"]["bytes_per_token"])
            longer = self.plan(config, "--quantization-encoding", "q4_1", "--max-length", 10 << 20,
                               "--max-batch-size", 1)
            flat = {kind["name"]: kind["bytes_per_sequence"] for kind in longer["kv"]}
            self.assertEqual(flat["chunked"], chunked)
            self.assertIn(short, run("llama4-compile", self.config(config), "--plan-only").stdout)

    def test_text_and_bounds(self):
        text = run("llama4-compile", self.config(SMALL), "--plan-only", "--kv-type", "float32",
                   "--max-length", 1000, "--max-batch-size", 3).stdout
        parameters = sum(r * c for r, c in matrices(SMALL)[0]) + sum(matrices(SMALL)[1])
        self.assertIn(f"{parameters} parameters", text)
        self.assertIn("3 sequences of 1000 tokens", text)
        self.assertIn(f"{2 * 2 * 4 * 8 * 64} bytes a token", text)
        self.refused(2, "--plan-only", self.folder, "--json", "-o", self.folder / "x.l4x")
        self.refused(2, "max-length", self.folder, "--plan-only", "--max-length", 200000)


if __name__ == "__main__":
    unittest.main()
