"""What the program tests share: running the tools, writing checkpoints, generating programs."""

import json
import os
import pathlib
import random
import subprocess

import numpy as np
from safetensors.numpy import load_file, save_file

BIN = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"])
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
AMX_FLAGS = ("amx_tile", "amx_int8", "amx_bf16")


def run(tool, *arguments, check=True, text=True):
    """Runs a program of the build; fails the test with its message when it fails."""
    done = subprocess.run([str(BIN / tool), *map(str, arguments)], capture_output=True, text=text)
    if check and done.returncode != 0:
        raise AssertionError(f"{tool} {' '.join(map(str, arguments))}\n"
                             f"exit {done.returncode}: {done.stderr}")
    return done


def cpu_levels():
    """The CPU levels that this machine runs, by the runtime's own check."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    levels = ["x86-64-v3"]
    if all(f" {flag}" in flags for flag in ("avx512f", "avx512bw", "avx512vl", "avx512_vnni")):
        levels.append("x86-64-v4+vnni")
    else:
        print("skipped: level x86-64-v4+vnni, this CPU has no AVX-512 with VNNI")
    if len(levels) > 1 and " avx512_bf16" in flags:
        levels.append("x86-64-v4+vnni+bf16")
    else:
        print("skipped: level x86-64-v4+vnni+bf16, this CPU has no AVX-512 with BF16")
    if len(levels) > 2 and all(f" {flag}" in flags for flag in AMX_FLAGS):
        levels.append("x86-64-v4+vnni+bf16+amx")
    else:
        print("skipped: level x86-64-v4+vnni+bf16+amx, this CPU has no AMX")
    return levels


def write_checkpoint(folder, tensors):
    """A folder that --checkpoint accepts, with tensors of no model."""
    folder.mkdir(exist_ok=True)
    save_file(tensors, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps({"architectures": ["None"]}))


class RandomProgram:
    """A program of the lm dialect that belongs to no model: `text`, `tensors`, `inputs`."""

    WIDTHS = [16, 32, 33, 40, 64, 96, 100, 160, 256, 512]
    FORMATS = ["f32", "bf16"]
    # By the columns of a block.
    BLOCKS = {32: ["q8_0", "q4_1", "q4_0", "q5_0"], 128: ["int4_g128"], 256: ["q4_k", "q6_k"]}

    def __init__(self, seed, compute):
        self.random = random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.compute = compute
        self.params, self.body, self.tensors = [], [], {}
        self.values = []  # (name, width), results of ops only
        width = self.random.choice(self.WIDTHS)
        self.rows = self.random.choice([1, 2, 7, 16, 33, 65])
        self.inputs = {"x": self.normal((self.rows, width)), "y": self.normal((self.rows, width))}
        self.input_width = width
        self.norm("x", width)
        self.combine(("%0", width), ("y", width))
        for _ in range(self.random.randint(4, 12)):
            self.step()
        self.finish()

    def normal(self, shape, scale=1.0):
        return (self.numpy.standard_normal(shape) * scale).astype(np.float32)

    def emit(self, text, width):
        name = f"%{len(self.values)}"
        self.body.append(f"    {name} = {text}")
        self.values.append((name, width))
        return self.values[-1]

    def param(self, shape, scale, element="f32", offset=0.0):
        name = f"p{len(self.params)}"
        self.tensors[name] = self.normal(shape, scale) + np.float32(offset)
        kind = "x".join(map(str, shape)) + "x" + element
        self.params.append(f"  lm.param @{name} : tensor<{kind}> from #lm.source<\"{name}\">")
        self.body.append(f"    %{name} = lm.load_param @{name} : tensor<{kind}>")
        return f"%{name}", f"tensor<{kind}>"

    @staticmethod
    def rows_type(width):
        return f"tensor<?x{width}xf32>"

    @staticmethod
    def use(name):
        return name if name.startswith("%") else "%" + name

    def norm(self, name, width):
        weight, kind = self.param((width,), 0.1, offset=1.0)
        return self.emit(f"lm.rms_norm {self.use(name)}, {weight} {{eps = 1.0e-5 : f32}} : "
                         f"{self.rows_type(width)}, {kind}", width)

    def combine(self, a, b):
        op = self.random.choice(["add", "mul"])
        return self.emit(f"lm.{op} {self.use(a[0])}, {self.use(b[0])} : {self.rows_type(a[1])}", a[1])

    def linear(self):
        name, width = self.random.choice(self.values)
        rows = self.random.choice(self.WIDTHS)
        formats = self.FORMATS + [f"!lm.block<{name}>" for columns, names in self.BLOCKS.items()
                                  if width % columns == 0 for name in names]
        weight, kind = self.param((rows, width), width ** -0.5, self.random.choice(formats))
        out = self.emit(f"lm.linear {name}, {weight} : {self.rows_type(width)}, {kind} -> "
                        f"{self.rows_type(rows)}", rows)
        if self.random.random() < 0.5:
            bias, kind = self.param((rows,), 0.5)
            out = self.emit(f"lm.bias {out[0]}, {bias} : {self.rows_type(rows)}, {kind}", rows)
        return out

    def row(self):
        """A scalar expression that no named op has."""
        name, width = self.random.choice(self.values)
        constant = self.random.uniform(0.25, 2.0)
        reduce = self.random.choice(["sum", "max", None])
        lines = [f"%e = lm.element {name} : {self.rows_type(width)}",
                 f"%c = arith.constant {constant:.4e} : f32",
                 "%m = arith.maximumf %e, %c : f32", "%t = arith.mulf %m, %e : f32"]
        last = "%t"
        if reduce:
            scale = 1.0 / width if reduce == "sum" else 0.5
            lines += [f"%r = lm.reduce {reduce} %t", f"%s = arith.constant {scale:.6e} : f32",
                      "%q = arith.mulf %r, %s : f32", "%d = arith.subf %t, %q : f32"]
            last = "%d"
        inner = "\n".join("      " + line for line in lines)
        return self.emit(f"lm.row {width} {{\n{inner}\n      lm.yield {last} : f32\n    }} -> "
                         f"{self.rows_type(width)}", width)

    def step(self):
        choice = self.random.random()
        if choice < 0.4:
            out = self.linear()
            if self.random.random() < 0.4:
                self.emit(f"lm.silu {out[0]} : {self.rows_type(out[1])}", out[1])
        elif choice < 0.6:
            self.norm(*self.random.choice(self.values))
        elif choice < 0.75:
            name, width = self.random.choice(self.values)
            partners = [value for value in self.values if value[1] == width]
            self.norm(self.combine((name, width), self.random.choice(partners))[0], width)
        elif choice < 0.9:
            self.norm(*self.row())
        else:
            self.rope()

    def rope(self):
        name, width = self.random.choice([v for v in self.values])
        dims = [dim for dim in (8, 16, 20, 32) if width % dim == 0]
        if not dims:
            return
        dim = self.random.choice(dims)
        for kind in ("cos", "sin"):
            self.inputs.setdefault(f"{kind}{dim}", self.normal((self.rows, dim // 2)))
        style = self.random.choice(["half", "pairs"])
        self.emit(f"lm.rope {name}, %cos{dim}, %sin{dim}, {style} : {self.rows_type(width)}, "
                  f"{self.rows_type(dim // 2)}", width)

    def finish(self):
        results = self.values[-2:]
        arguments = ", ".join(f"%{name}: {self.rows_type(value.shape[1])} {{lm.name = \"{name}\"}}"
                              for name, value in self.inputs.items())
        types = ", ".join(self.rows_type(width) for _, width in results)
        self.text = "\n".join(
            [f"module attributes {{lm.options = {{compute = \"{self.compute}\"}}}} {{", *self.params,
             f"  func.func @main({arguments}) -> ({types})",
             "      attributes {lm.entry = #lm.entry<\"T\", bound = 128>} {", *self.body,
             f"    return {', '.join(name for name, _ in results)} : {types}", "  }", "}", ""])


def relative_error(found, expected):
    """Largest difference in units of the largest expected magnitude."""
    return float(np.max(np.abs(found - expected)) / max(1e-6, float(np.max(np.abs(expected)))))


__all__ = ["BIN", "DATA", "RandomProgram", "cpu_levels", "load_file", "relative_error", "run",
           "save_file", "write_checkpoint"]
