"""Checkpoints of format pack-quantized: the artifact holds the stored integers, scales, zero points.

Whatever is packed here is unpacked by numpy with functions that are first held against matrices that
the package compressed-tensors packed itself (test/data/packed); the same numbers in float32 make the
plain checkpoint that everything is compared with.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from tensors import write_safetensors
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

BIN = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"])
DATA = pathlib.Path(os.environ["LLAMA4_TEST_DATA"])
LLAMA3, LLAMA4 = DATA / "oracles/llama3-text-tied", DATA / "oracles/llama4-text-f32"
# Bits, columns of a group (None: a scale for each row), symmetric, type of scales
# -> format of the artifact, how it is reported where that isn't the same.
WIDE, SHIFTED = (4, 128, True, "BF16"), (4, 128, False, "BF16")
FORMS = {WIDE: ("int4_g128", None), SHIFTED: ("int4_g128", None),
         (4, None, True, "F16"): ("int4_g128", None),
         (4, 64, True, "F16"): ("q4_0", None),
         (4, 32, False, "F16"): ("q8_0", "int4 in groups of 32 with zero points"),
         (8, 32, True, "BF16"): ("q8_0", None),
         (8, None, False, "BF16"): ("f32", "int8 with a scale per row with zero points"),
         (4, 128, True, "F32"): ("f32", "int4 in groups of 128 whose scales are no float16")}


def levels():
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = ["x86-64-v3"]
    if " avx512_vnni" in flags:
        found.append("x86-64-v4+vnni")
    if " avx512_bf16" in flags:
        found.append("x86-64-v4+vnni+bf16")
    return found


def pack(integers, bits):
    """int32 [rows, columns bits / 32] of integers from 0 on."""
    per = 32 // bits
    padded = np.zeros((len(integers), -(-integers.shape[1] // per) * per), np.uint32)
    padded[:, :integers.shape[1]] = integers
    shifts = np.arange(per, dtype=np.uint32) * bits
    return np.bitwise_or.reduce(padded.reshape(len(integers), -1, per) << shifts, 2).view(np.int32)


def unpack(words, bits, columns):
    shifts = np.arange(32 // bits, dtype=np.uint32) * bits
    spread = np.ascontiguousarray(words).view(np.uint32)[..., None] >> shifts & ((1 << bits) - 1)
    return spread.reshape(len(words), -1)[:, :columns].astype(np.int64)


def floats_of(dtype, values):
    """Bytes of a stored type, and the numbers that they stand for."""
    values = values.astype(np.float32)
    if dtype == "F16":
        return values.astype(np.float16), values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        stored = (values.view(np.uint32) + 0x8000 >> 16).astype(np.uint16)
        return stored, (stored.astype(np.uint32) << 16).view(np.float32)
    return values, values


def quantize(matrix, form):
    """The tensors of a matrix, by their suffixes, and its values."""
    bits, group, symmetric, dtype = form
    rows, columns = matrix.shape
    groups = matrix.reshape(rows, -1, group or columns)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    least, largest = np.minimum(groups.min(2), 0), np.maximum(groups.max(2), 0)
    step = (np.maximum(-least, largest) / (high + 0.5) if symmetric else
            (largest - least) / (high - low))
    stored, step = floats_of(dtype, np.maximum(step, 1e-5))
    zero = np.zeros(step.shape) if symmetric else np.clip(np.rint(low - least / step), low, high)
    quants = np.clip(np.rint(groups / step[..., None]) + zero[..., None], low, high)
    values = (step[..., None] * (quants - zero[..., None]).astype(np.float32)).astype(np.float32)
    tensors = {"_packed": ("I32", pack((quants - low).reshape(rows, columns).astype(np.uint32), bits)),
               "_scale": (dtype, stored), "_shape": ("I64", np.array(matrix.shape, np.int64))}
    if not symmetric:
        packed = pack((zero - low).T.astype(np.uint32), bits).T
        tensors["_zero_point"] = ("I32", np.ascontiguousarray(packed))
    return tensors, values.reshape(rows, columns)


def group_of(form, targets):
    bits, group, symmetric, _ = form
    return {"targets": targets, "input_activations": None, "output_activations": None,
            "weights": {"num_bits": bits, "type": "int", "symmetric": symmetric, "dynamic": False,
                        "strategy": "group" if group else "channel", "group_size": group,
                        "actorder": None, "block_structure": None, "observer": "minmax"}}


def quantization(groups, ignore=("lm_head",)):
    return {"quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {f"group_{i}": group_of(*group) for i, group in enumerate(groups)},
            "ignore": list(ignore), "kv_cache_scheme": None, "quantization_status": "compressed"}


def run(tool, *arguments, code=0):
    done = subprocess.run([str(BIN / tool), *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode != code:
        raise AssertionError(f"{tool} {' '.join(map(str, arguments))}: {done.returncode}: "
                             f"{done.stderr}")
    return done


def read_oracle(folder):
    """The tensors of a model in float32."""
    raw = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        kind = {"F32": np.float32, "BF16": np.uint16}[entry["dtype"]]
        values = np.frombuffer(raw[8 + size + begin:8 + size + end], kind).reshape(entry["shape"])
        tensors[name] = (values.astype(np.uint32) << 16).view(np.float32) if kind == np.uint16 \
            else values
    return tensors


class Packed(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def write(self, name, config, tensors):
        folder = self.folder / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        write_safetensors(folder / "model.safetensors", tensors)
        return folder

    def checkpoints(self, config, tensors, form_of, described):
        """The packed checkpoint and the plain one with its values."""
        stored, plain = {}, {}
        for name, values in tensors.items():
            form = form_of(name)
            if form is None:
                stored[name] = plain[name] = ("F32", values)
                continue
            parts, values = quantize(values, form)
            plain[name] = ("F32", values)
            stored.update({name + suffix: part for suffix, part in parts.items()})
        config = {**config, "dtype": "float32"}
        return (self.write("packed", {**config, "quantization_config": described}, stored),
                self.write("plain", config, plain))

    def interpret(self, checkpoint, source):
        out = self.folder / "out.safetensors"
        run("llama4-opt", "--interpret", "--checkpoint", checkpoint, "--in", source, "--out", out)
        return load_file(str(out))["logits"]

    def compile(self, checkpoint, *options):
        out = self.folder / f"model{len(list(self.folder.iterdir()))}.l4x"
        done = run("llama4-compile", checkpoint, "-o", out, *options)
        return out, done.stderr

    def invoke(self, model, source, level):
        out = self.folder / "out.safetensors"
        run("llama4-run", "invoke", model, "--in", source, "--out", out, "--cpu-level", level)
        return load_file(str(out))["logits"]

    def tensor_errors(self, a, b):
        """Formats of both, and the largest error, of all tensors whose formats differ."""
        report = json.loads(run("llama4-run", "diff", a, b, "--json", code=1).stdout)
        return {one["what"].split()[1]: (one["a"], one["b"], one["max_error"])
                for one in report["differences"] if one["what"].startswith("tensor ")}


class Numpy(unittest.TestCase):
    def test_packing_is_that_of_the_package(self):
        raw = (DATA / "packed/cases.safetensors").read_bytes()
        size = int.from_bytes(raw[:8], "little")
        kinds = {"I32": np.int32, "I64": np.int64, "F32": np.float32, "F16": np.float16,
                 "BF16": np.uint16}
        found = {name: np.frombuffer(raw[8 + size:][slice(*entry["data_offsets"])],
                                     kinds[entry["dtype"]]).reshape(entry["shape"])
                 for name, entry in json.loads(raw[8:8 + size]).items() if name != "__metadata__"}
        cases = {name.split(".")[0] for name in found}
        self.assertEqual(len(cases), 9)
        for case in cases:
            bits = int(case[1])
            rows, columns = found[case + ".values"].shape
            words = found[case + ".weight_packed"]
            quants = unpack(words, bits, columns)
            np.testing.assert_array_equal(pack(quants, bits), words)
            scale = found[case + ".weight_scale"]
            if scale.dtype == np.uint16:
                scale = (scale.astype(np.uint32) << 16).view(np.float32)
            zero = np.full(scale.shape, 1 << bits - 1)
            if case + ".weight_zero_point" in found:
                zero = unpack(found[case + ".weight_zero_point"].T, bits, rows).T
            per = columns // scale.shape[1]
            values = scale.astype(np.float32).repeat(per, 1) * \
                (quants - zero.repeat(per, 1)).astype(np.float32)
            np.testing.assert_array_equal(values, found[case + ".values"])


class Llama3(Packed):
    """One form in each layer, another one for its down_proj."""

    SOURCE = LLAMA3 / "golden/prefill.p45.safetensors"

    def form_of(self, name):
        layer = re.match(r"model\.layers\.(\d)\..*_proj\.weight", name)
        if not layer:
            return None
        number = int(layer[1]) + (name.endswith("down_proj.weight") and 3)
        return list(FORMS)[number % len(FORMS)]

    def setUp(self):
        super().setUp()
        config = json.loads((LLAMA3 / "config.json").read_text())
        tensors = read_oracle(LLAMA3)
        targets = {form: [] for form in FORMS}
        for name in tensors:
            if self.form_of(name):
                targets[self.form_of(name)].append(name.removesuffix(".weight"))
        # Names before patterns before the class.
        targets[WIDE] = ["Linear"]
        targets[SHIFTED] = [r"re:.*layers\.1\.", r"re:model\.layers\.4\.mlp\.down_proj$"]
        self.forms = {name: self.form_of(name) for name in tensors if self.form_of(name)}
        self.assertEqual(set(self.forms.values()), set(FORMS))
        self.packed, self.plain = self.checkpoints(config, tensors, self.form_of,
                                                   quantization(targets.items()))

    def test_interpreted_as_the_values(self):
        found, wanted = (self.interpret(each, self.SOURCE) for each in (self.packed, self.plain))
        self.assertGreater(wanted.std(), 0.5)
        np.testing.assert_array_equal(found, wanted)

    def test_stored_numbers_reach_the_artifact(self):
        one = ("--target", "cpu:x86-64-v3", "--compute", "float32")
        packed, log = self.compile(self.packed, *one)
        plain, _ = self.compile(self.plain, *one)
        errors = self.tensor_errors(packed, plain)
        for name, form in self.forms.items():
            element = FORMS[form][0]
            if element == "f32":
                self.assertNotIn(name, errors)  # the same numbers in the same format
            else:
                self.assertEqual(errors.pop(name), (element, "float32", 0), name)
        self.assertEqual(errors, {})
        for form, (element, text) in FORMS.items():
            count = list(self.forms.values()).count(form)
            if text:
                self.assertIn(f"{count} tensors are stored as {text}, which the artifact doesn't "
                              f"have; they become {element}\n", log)
        self.assertEqual(log.count("are stored as"), 3, log)

    def test_dump_says_where_the_numbers_are(self):
        dump = run("llama4-compile", self.packed, "--dump-phase=lm").stdout
        found = {name: rest for name, rest in
                 re.findall(r"lm\.param @(\S+) : tensor<\d+x\d+x(\S+ from <.*>) loc", dump)}
        for name, (bits, _, symmetric, _) in self.forms.items():
            # In the fast mode what no block holds is bfloat16.
            element = FORMS[self.forms[name]][0].replace("f32", "bf16")
            element = element if element == "bf16" else f"!lm.block<{element}>"
            shifted = "" if symmetric else f', zero_point = "{name}_zero_point"'
            self.assertEqual(found[name], f'{element}> from <"{name}_packed", '
                                          f'scale = "{name}_scale", bits = {bits}{shifted}>')

    def test_compiled_in_both_modes(self):
        wanted = self.interpret(self.plain, self.SOURCE)
        for compute in ("float32", "bfloat16"):
            model, _ = self.compile(self.packed, "--compute", compute)
            for level in levels():
                error = self.invoke(model, self.SOURCE, level) - wanted
                rms = float(np.sqrt(np.mean(error * error)))
                print(f"{compute} {level}: rms {rms:.6f} of {wanted.std():.2f}, "
                      f"max {np.abs(error).max():.6f}")
                if compute == "float32":
                    self.assertLess(np.abs(error).max(), 2e-4)
                else: # activations in 8 bits
                    self.assertLess(rms, 0.1 * wanted.std())

    def test_another_encoding_is_made_from_the_values(self):
        one = ("--target", "cpu:x86-64-v3", "--quantization-encoding", "q5_0")
        packed, _ = self.compile(self.packed, *one)
        plain, _ = self.compile(self.plain, *one)
        self.assertEqual(run("llama4-run", "diff", packed, plain).stdout, "")


class Llama4(Packed):
    """Experts as tensors of their own, attention and router as they are."""

    def setUp(self):
        super().setUp()
        config = json.loads((LLAMA4 / "config.json").read_text())
        config.update(hidden_size=128, intermediate_size=256, head_dim=32, num_hidden_layers=4)
        rng = np.random.default_rng(7)
        normal = lambda *shape: (rng.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)
        tensors = {"lm_head.weight": normal(640, 128) * 2, "model.norm.weight": normal(1, 128)[0] + 1,
                   "model.embed_tokens.weight": normal(640, 128) * 11}
        for layer in range(4):
            at = f"model.layers.{layer}."
            for part in ("q", "k", "v", "o"):
                tensors[f"{at}self_attn.{part}_proj.weight"] = normal(128, 128)
            for norm in ("input_layernorm", "post_attention_layernorm"):
                tensors[f"{at}{norm}.weight"] = normal(1, 128)[0] + 1
            tensors[at + "feed_forward.router.weight"] = normal(4, 128) * 3
            for module in ["shared_expert"] + [f"experts.{i}" for i in range(4)]:
                for part, *shape in (("gate", 256, 128), ("up", 256, 128), ("down", 128, 256)):
                    tensors[f"{at}feed_forward.{module}.{part}_proj.weight"] = normal(*shape) * 2
        ignored = [r"re:.*self_attn", r"re:.*router", "lm_head"]
        form_of = lambda name: SHIFTED if "expert" in name else None
        self.packed, self.plain = self.checkpoints(
            config, tensors, form_of, quantization([(SHIFTED, ["Linear"])], ignored))
        self.source = self.folder / "in.safetensors"
        save_file({"input_ids": rng.integers(0, 620, 45)}, str(self.source))

    def test_experts(self):
        wanted = self.interpret(self.plain, self.source)
        self.assertGreater(wanted.std(), 0.5)
        np.testing.assert_array_equal(self.interpret(self.packed, self.source), wanted)
        dump = run("llama4-compile", self.packed, "--dump-phase=lm").stdout
        experts = re.findall(
            r"lm\.param @\S*\.experts\.(\w+)_proj\.weight : tensor<4x\d+x\d+x!lm\.block<int4_g128>> "
            r'from <"\S+\.experts\.\*\.(\w+)_proj\.weight_packed", per_expert = true, '
            r'scale = "\S+\.\*\.(\w+)_proj\.weight_scale", bits = 4, '
            r'zero_point = "\S+\.\*\.(\w+)_proj\.weight_zero_point">', dump)
        self.assertEqual(experts, [(part,) * 4 for part in ("gate", "up", "down")] * 4)
        model, log = self.compile(self.packed, "--compute", "float32")
        self.assertNotIn("are stored as", log)
        for level in levels():
            error = np.abs(self.invoke(model, self.source, level) - wanted).max()
            print(f"experts {level}: max {error:.6f}")
            self.assertLess(error, 2e-4)
        errors = self.tensor_errors(model, self.compile(self.plain, "--compute", "float32")[0])
        self.assertEqual(len(errors), 4 * 6)
        self.assertEqual(set(errors.values()), {("int4_g128", "float32", 0)})


class Refused(Packed):
    """What the files say must fit together."""

    MODULE = "model.layers.0.mlp.down_proj"

    def setUp(self):
        super().setUp()
        self.config = json.loads((LLAMA3 / "config.json").read_text())
        self.tensors = {}
        for name, values in read_oracle(LLAMA3).items():
            if name.endswith("_proj.weight"):
                parts, _ = quantize(values, SHIFTED)
                self.tensors.update({name + suffix: part for suffix, part in parts.items()})
            else:
                self.tensors[name] = ("F32", values)
        self.described = quantization([(SHIFTED, ["Linear"])])

    def error(self, change=None, **fields):
        """What the compiler says to the tensors after `change` and these fields."""
        tensors = dict(self.tensors)
        if change:
            change(tensors)
        described = json.loads(json.dumps(self.described))
        for name, value in fields.items():
            at = described["config_groups"]["group_0"]["weights"]
            (at if name in at else described)[name] = value
        folder = self.write(f"case{len(list(self.folder.iterdir()))}",
                            {**self.config, "quantization_config": described}, tensors)
        done = subprocess.run([BIN / "llama4-compile", folder, "--dump-phase=lm"],
                              capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr

    def put(self, suffix, dtype, values):
        return lambda tensors: tensors.update({f"{self.MODULE}.weight{suffix}": (dtype, values)})

    def drop(self, suffix):
        return lambda tensors: tensors.pop(f"{self.MODULE}.weight{suffix}")

    def test_orders_of_columns(self):
        order = np.arange(256) // 128
        self.assertEqual(self.error(self.put("_g_idx", "I32", order.astype(np.int32))), "")
        order[[5, 200]] = order[[200, 5]]
        for dtype, kind in (("I32", np.int32), ("I64", np.int64)):
            self.assertRegex(self.error(self.put("_g_idx", dtype, order.astype(kind))),
                             r'down_proj.weight_g_idx": found column 5 in group 1, expected group 0, '
                             r'columns in their own order; quantize with actorder "static"')
        self.assertIn("an integer for each of 256 columns",
                      self.error(self.put("_g_idx", "I32", np.zeros(255, np.int32))))

    def test_tensors_that_do_not_fit(self):
        shape = lambda *extents: np.array(extents, np.int64)
        for change, text in (
                (self.put("_shape", "I64", shape(256, 128)), "the extents [256, 128], expected [128, 256]"),
                (self.put("_shape", "I64", shape(128)), "the extents [128], expected [128, 256]"),
                (self.put("_shape", "F32", np.zeros(2, np.float32)), "found f32 [2], expected integers"),
                (self.put("_packed", "I32", np.zeros((128, 31), np.int32)), "found i32 [128, 31], expected i32 [128, 32]"),
                (self.put("_packed", "U8", np.zeros((128, 128), np.uint8)), "found u8 [128, 128]"),
                (self.put("_scale", "F32", np.full((128, 2), np.nan, np.float32)), "found the scale nan"),
                (self.put("_scale", "F32", np.ones(128, np.float32)), "expected f32, f16 or bf16 [128, groups]"),
                (self.put("_zero_point", "I32", np.zeros((128, 2), np.int32)), "expected i32 [16, 2]"),
                (self.put("_zero_point", "I8", np.zeros((128, 2), np.int8)), "found i8 [128, 2]"),
                (self.drop("_scale"), 'found no tensor "model.layers.0.mlp.down_proj.weight_scale"'),
                (self.drop("_shape"), 'found no tensor "model.layers.0.mlp.down_proj.weight_shape"'),
                (self.drop("_zero_point"), 'found no tensor "model.layers.0.mlp.down_proj.weight_zero_point"'),
                (self.drop("_packed"), 'found no tensor "model.layers.0.mlp.down_proj.weight"'),
                (self.put("_global_scale", "F32", np.ones(1, np.float32)), "doesn't use"),
                (self.put("", "F32", np.zeros((128, 256), np.float32)), "doesn't use")):
            error = self.error(change)
            self.assertIn(text, error)
            self.assertIn("down_proj", error)

    def test_configurations_that_do_not_fit(self):
        self.assertEqual(self.error(), "")
        for fields, text in (
                ({"symmetric": True}, 'found zero points, expected none, since quantization_config says "symmetric"'),
                ({"group_size": 64}, "scales for 128 columns, expected 64"),
                ({"num_bits": 8}, "expected i32 [128, 32]"),
                ({"ignore": ["re:.*down_proj"]}, 'lists the module in "ignore"'),
                ({"quant_method": "gptq"}, "found the layout gptq, expected compressed-tensors; give a"),
                ({"quant_method": "awq"}, "found the layout awq, expected compressed-tensors; give a"),
                ({"format": "int-quantized"}, "pack-quantized or mixed-precision")):
            self.assertIn(text, self.error(**fields))


if __name__ == "__main__":
    unittest.main()
