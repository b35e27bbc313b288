"""Programs of the ops of image towers, in many sizes, compile, run, and agree with the interpreter."""

import concurrent.futures
import os
import pathlib
import random
import tempfile
import unittest

import numpy as np

from support import (cpu_levels, load_file, relative_error, run, save_file, write_checkpoint)

SEEDS = 6
TOLERANCE = {"float32": 2e-4, "bfloat16": 3e-2}


class Program:
    """Text of a module with one entry, the tensors of its parameters and its inputs."""

    def __init__(self, seed, compute):
        self.random = random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.compute = compute
        self.params, self.body, self.tensors, self.inputs, self.types = [], [], {}, {}, {}
        self.count = 0

    def normal(self, *shape, scale=1.0):
        return (self.numpy.standard_normal(shape) * scale).astype(np.float32)

    def param(self, values, element="f32"):
        name = f"p{len(self.params)}"
        self.tensors[name] = values
        kind = f"tensor<{'x'.join(map(str, values.shape))}x{element}>"
        self.params.append(f"  lm.param @{name} : {kind} from #lm.source<\"{name}\">")
        self.body.append(f"    %{name} = lm.load_param @{name} : {kind}")
        return f"%{name}", kind

    def input(self, name, values, kind):
        self.inputs[name] = values
        self.types["%" + name] = kind
        return "%" + name

    def emit(self, text, kind):
        name = f"%v{self.count}"
        self.count += 1
        self.body.append(f"    {name} = {text}")
        self.types[name] = kind
        return name

    def rows(self, k, n):
        return f"tensor<?x{k}x{n}xf32>"

    def linear(self, x, k, n, outputs):
        element = self.random.choice(["f32", "bf16"] + (["!lm.block<q8_0>"] if n % 32 == 0 else []))
        weight, kind = self.param(self.normal(outputs, n, scale=n ** -0.5), element)
        result = self.rows(k, outputs)
        return self.emit(f"lm.linear {x}, {weight} : {self.types[x]}, {kind} -> {result}", result)

    def module(self, results):
        arguments = ", ".join(f"%{name}: {self.types['%' + name]} {{lm.name = \"{name}\"}}"
                              for name in self.inputs)
        types = ", ".join(self.types[name] for name in results)
        return "\n".join(
            [f"module attributes {{lm.options = {{compute = \"{self.compute}\"}}}} {{",
             *self.params, f"  func.func @main({arguments}) -> ({types})",
             "      attributes {lm.entry = #lm.entry<\"N\", bound = 8>} {", *self.body,
             f"    return {', '.join(results)} : {types}", "  }", "}", ""])


def tower(program):
    """Patches to features: every op whose rows are those of a unit. Returns results."""
    p, choose = program, program.random.choice
    units, groups, channels = choose([1, 2, 3]), choose([1, 2, 4]), choose([1, 3])
    patch, grid = choose([2, 3, 5]), choose([2, 4, 10])
    heads, dim = choose([1, 2, 3]), choose([2, 6, 16])
    side, patches, width = patch * grid, grid * grid, heads * dim
    x = p.input("pixels", p.normal(units, groups * channels * side, side),
                p.rows(groups * channels * side, side))
    columns = channels * patch * patch
    kind = p.rows(groups * patches, columns)
    x = p.emit(f"lm.patches {x} channels {channels} patch {patch} : {p.types[x]} -> {kind}", kind)
    x = p.linear(x, groups * patches, columns, width)
    # A row more in each group; then room for others.
    token, token_kind = p.param(p.normal(width))
    at, real = choose([0, 1, patches]), patches + 1
    kind = p.rows(groups * real, width)
    x = p.emit(f"lm.insert_row {x}, {token} at {at} groups {groups} : {p.types[x]}, {token_kind} "
               f"-> {kind}", kind)
    places, places_kind = p.param(p.normal(real, width))
    x = p.emit(f"lm.bias {x}, {places} : {kind}, {places_kind}", kind)
    places, places_kind = p.param(p.normal(groups * real, width), choose(["f32", "bf16"]))
    gate, gate_kind = p.param(p.normal(1))
    x = p.emit(f"lm.gated_bias {x}, {places}, {gate} : {kind}, {places_kind}, {gate_kind}", kind)
    weight, vector = p.param(1 + p.normal(width, scale=0.1))
    x = p.emit(f"lm.layer_norm {x}, {weight}, {token} {{eps = 1.0e-5 : f32}} : {kind}, {vector}, "
               f"{vector}", kind)
    padded = real + choose([0, 3])
    k, kind = groups * padded, p.rows(groups * padded, width)
    x = p.emit(f"lm.fit_rows {x} groups {groups} : {p.types[x]} -> {kind}", kind)
    angles = p.normal(k, dim // 2)
    cos = p.input("cos", np.cos(angles), f"tensor<{k}x{dim // 2}xf32>")
    sin = p.input("sin", np.sin(angles), f"tensor<{k}x{dim // 2}xf32>")
    q, key = (p.emit(f"lm.rope {p.linear(x, k, width, width)}, {cos}, {sin}, "
                     f"{choose(['pairs', 'half'])} : {kind}, {p.types[cos]}", kind)
              for _ in range(2))
    value = p.linear(x, k, width, width)
    scale = f"heads {heads} scale {dim ** -0.5:.6e}"
    if choose([True, False]):
        # Another number in each unit.
        counts = (p.numpy.integers(0, groups + 1) + np.arange(units)) % (groups + 1)
        pictures = p.input("pictures", counts.astype(np.int32), "tensor<?xi32>")
        a = p.emit(f"lm.unit_attention {q}, {key}, {value} pictures {pictures} {scale} "
                   f"{{groups = {groups} : i64, real = {real} : i64}} : {kind}, tensor<?xi32>", kind)
    else:
        a = p.emit(f"lm.unit_attention {q}, {key}, {value} {scale} : {kind}", kind)
    weight, dim_kind = p.param(1 + p.normal(dim, scale=0.1))
    o = p.emit(f"lm.head_norm {p.linear(a, k, width, width)}, {weight} {{eps = 1.0e-5 : f32}} : "
               f"{kind}, {dim_kind}", kind)
    o = p.emit(f"lm.tanh_gate {o}, {gate} : {kind}, {gate_kind}", kind)
    h = p.emit(f"lm.add {x}, {o} : {kind}", kind)
    hidden = choose([24, 64])
    bias, bias_kind = p.param(p.normal(hidden))
    m = p.linear(h, k, width, hidden)
    m = p.emit(f"lm.bias {m}, {bias} : {p.types[m]}, {bias_kind}", p.types[m])
    m = p.emit(f"lm.gelu {m} : {p.types[m]}", p.types[m])
    y = p.emit(f"lm.add {h}, {p.linear(m, k, hidden, width)} : {kind}", kind)
    return orders(p, h, y, k, width, grid)


def orders(p, h, y, k, width, grid):
    """Results in every order that there is."""
    both = p.rows(k, 2 * width)
    joined = p.emit(f"lm.concat {h}, {y} : {p.types[h]}, {p.types[y]} -> {both}", both)
    mixed = p.emit(f"lm.concat interleaved {h}, {y} : {p.types[h]}, {p.types[y]} -> {both}", both)
    kind = p.rows((grid // 2) ** 2, 4 * width)
    shuffled = p.emit(f"lm.pixel_shuffle {y} columns {grid} side 2 : {p.types[y]} -> {kind}", kind)
    kind = p.rows(3 * (grid // 2) ** 2, 4 * width)
    spread = p.emit(f"lm.spread_rows {shuffled} : {p.types[shuffled]} -> {kind}", kind)
    elements = k * width
    columns = p.random.choice([n for n in range(1, 97) if elements % n == 0])
    kind = p.rows(elements // columns, columns)
    shaped = p.emit(f"lm.reshape {y} : {p.types[y]} -> {kind}", kind)
    return [joined, mixed, spread, shaped]


def text(program):
    """Features among tokens, and attention of tokens over images."""
    p, choose = program, program.random.choice
    tokens, images, groups, rows = choose([1, 5, 8]), choose([1, 4]), choose([1, 3]), choose([5, 40])
    heads, share, dim = choose([1, 2]), choose([1, 4]), choose([4, 10])
    width = heads * share * dim
    x = p.input("x", p.normal(tokens, width), f"tensor<?x{width}xf32>")
    at = p.input("at", p.numpy.integers(-1, 7, tokens).astype(np.int32), "tensor<?xi32>")
    pool = p.input("pool", p.normal(7, width), f"tensor<7x{width}xf32>")
    x = p.emit(f"lm.merge_rows {x}, {at}, {pool} : {p.types[x]}, tensor<?xi32>, {p.types[pool]}",
               p.types[x])
    first = p.numpy.integers(0, images, tokens)
    count = [int(p.numpy.integers(0, images - start + 1)) for start in first]
    kind = f"tensor<{images}x{groups * rows}x{heads * dim}xf32>"
    key, value = (p.input(name, p.normal(images, groups * rows, heads * dim), kind)
                  for name in ("key", "value"))
    p.input("first", first.astype(np.int32), "tensor<?xi32>")
    p.input("count", np.array(count, np.int32), "tensor<?xi32>")
    p.input("tiles", p.numpy.integers(1, groups + 1, images).astype(np.int32),
            f"tensor<{images}xi32>")
    y = p.emit(f"lm.cross_attention {x}, {key}, {value}, %first, %count, %tiles heads "
               f"{heads * share} groups {groups} scale {dim ** -0.5:.6e} : {p.types[x]}, {kind}, "
               f"tensor<?xi32>, tensor<{images}xi32>", p.types[x])
    return [x, y]


class ImagePrograms(unittest.TestCase):
    def check(self, make, seed, compute):
        program = Program(seed, compute)
        module = program.module(make(program))
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_checkpoint(folder / "weights", program.tensors)
            (folder / "lm.mlir").write_text(module)
            save_file(program.inputs, str(folder / "in.safetensors"))
            run("llama4-opt", "--lm-quantize", folder / "lm.mlir", "-o", folder / "ref.mlir")
            run("llama4-opt", "--interpret", folder / "ref.mlir", "--checkpoint",
                folder / "weights", "--entry", "main", "--in", folder / "in.safetensors", "--out",
                folder / "expected.safetensors")
            expected = load_file(str(folder / "expected.safetensors"))
            run("llama4-compile", "--from-phase", "lm", folder / "lm.mlir", "--checkpoint",
                folder / "weights", "-o", folder / "program.l4x")
            # Programs know rows: those of all units, one after the other.
            flat = {name: values.reshape(-1, values.shape[-1]) if values.ndim == 3 else values
                    for name, values in program.inputs.items()}
            save_file(flat, str(folder / "in.safetensors"))
            for level in cpu_levels():
                run("llama4-run", "invoke", folder / "program.l4x", "--entry", "main", "--in",
                    folder / "in.safetensors", "--out", folder / "out.safetensors", "--cpu-level",
                    level)
                found = load_file(str(folder / "out.safetensors"))
                self.assertEqual(sorted(found), sorted(expected))
                for key, values in expected.items():
                    error = relative_error(found[key].reshape(values.shape), values)
                    self.assertLess(error, TOLERANCE[compute],
                                    f"seed {seed}, {compute}, {level}, {key}\n{module}")

    def check_all(self, make, compute):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            done = [pool.submit(self.check, make, seed, compute) for seed in range(SEEDS)]
        for seed, result in enumerate(done):
            with self.subTest(seed=seed):
                result.result()

    def test_tower_in_float32(self):
        self.check_all(tower, "float32")

    def test_tower_in_fast_mode(self):
        self.check_all(tower, "bfloat16")

    def test_text(self):
        self.check_all(text, "float32")


if __name__ == "__main__":
    unittest.main()
