"""What the tests of the command line share: running the programs, compiled models, reading tensors.

The environment says where things are: LLAMA4_BINARY_DIR (the programs), LLAMA4_TEST_DATA (test/data),
LLAMA4_ORACLES (further reference outputs, may be missing), LLAMA4_SMOLLM2 (the demo model, may be
missing). Without numpy and safetensors a test file ends with 77, which ctest counts as skipped.
"""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

BIN = os.environ["LLAMA4_BINARY_DIR"]
DATA = os.environ["LLAMA4_TEST_DATA"]
RUN = os.path.join(BIN, "llama4-run")
COMPILE = os.path.join(BIN, "llama4-compile")
LEVELS = ["x86-64-v3", "x86-64-v4+vnni"]
with open("/proc/cpuinfo", encoding="utf-8") as cpu_info:
    flags = cpu_info.read()
if " avx512_bf16" in flags:
    LEVELS.append("x86-64-v4+vnni+bf16")
else:
    print("skipped: level x86-64-v4+vnni+bf16, this CPU has no AVX-512 with BF16")
if all(f" {flag}" in flags for flag in ("avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")):
    LEVELS.append("x86-64-v4+vnni+bf16+amx")
else:
    print("skipped: level x86-64-v4+vnni+bf16+amx, this CPU has no AMX")

TEMP = tempfile.mkdtemp(prefix="llama4-cli-")
atexit.register(shutil.rmtree, TEMP, ignore_errors=True)


def command(*args, env=None, timeout=300):
    """A finished process of the given command line; stdout and stderr are text."""
    merged = {name: value for name, value in os.environ.items()
              if not name.startswith("LLAMA4_ARG_")}
    merged.update(env or {})
    return subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=merged, timeout=timeout, check=False)


def run(*args, **kwargs):
    return command(RUN, *args, **kwargs)


def must(*args, **kwargs):
    """The stdout of llama4-run with these arguments, which has to end well."""
    done = run(*args, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"llama4-run {' '.join(map(str, args))} ended with "
                             f"{done.returncode}: {done.stderr}")
    return done.stdout


@functools.cache
def compiled(checkpoint, *options):
    """The path of a checkpoint compiled with these options."""
    if not os.path.exists(COMPILE):
        raise unittest.SkipTest("llama4-compile is not built")
    path = os.path.join(TEMP, f"model{len(os.listdir(TEMP))}.l4x")
    done = command(COMPILE, checkpoint, "-o", path, *options)
    if done.returncode != 0:
        raise AssertionError(f"llama4-compile {checkpoint} ended with {done.returncode}: "
                             f"{done.stderr}")
    return path


@functools.cache
def level_runs(model, level):
    """Whether the model has code of the level that this machine can run."""
    have = [code["level"] for code in json.loads(must("inspect", model, "--json"))["code"]]
    if level not in have:
        raise AssertionError(f"{model}: no code for {level}, only {have}")
    done = run("generate", model, "--prompt-ids", "1", "-n", 1, "--ids", "--cpu-level", level)
    if done.returncode == 69:
        return False
    if done.returncode != 0:
        raise AssertionError(f"--cpu-level {level}: {done.returncode}: {done.stderr}")
    return True


def need_level(model, level):
    if not level_runs(model, level):
        raise unittest.SkipTest(f"this machine cannot run {level}")


def temp(name):
    return os.path.join(TEMP, name)


def invoke(model, tensors, *options):
    """The tensors that invoke writes for these tensors (or for a file of them)."""
    source = tensors
    if not isinstance(tensors, str):
        source = temp("in.safetensors")
        save_file(tensors, source)
    out = temp("out.safetensors")
    must("invoke", model, "--in", source, "--out", out, *options)
    return load_file(out)


def generate_ids(model, prompt, count, *options):
    text = must("generate", model, "--prompt-ids", ",".join(map(str, prompt)), "--ignore-eos",
                "--ids", "--temperature", 0, "-n", count, *options)
    return [int(word) for word in text.split()]


def per_level(base):
    """A test class for every level, from one with the attribute `level`."""
    module = sys.modules[base.__module__]
    for level in LEVELS:
        name = base.__name__ + "_" + level.replace("-", "_").replace("+", "_")
        setattr(module, name, type(name, (base, unittest.TestCase),
                                   {"level": level, "__module__": base.__module__}))
    return base


def main():
    program = unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[1:]], verbosity=2,
                            exit=False)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun == len(result.skipped) else 0)
