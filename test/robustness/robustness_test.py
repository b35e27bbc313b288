"""Damage that comes from outside of the programs: killed while writing, a full disk, files that claim
to be huge or end early, folders that point elsewhere, bits that flip. Nothing here needs more than
the standard library; `./setup.sh test --full` runs it. LLAMA4_BINARY_DIR says where the programs are.
"""

import json
import math
import os
import pathlib
import random
import resource
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ["LLAMA4_BINARY_DIR"])
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
CHECKPOINT = DATA / "oracles" / "llama3-text-tied"
MOST_MEMORY = 200 << 20
KILLS, FLIPS = 50, 1000
# How long something may take that must not depend on the size a file claims.
PROMPT_SECONDS = 30


def report(text):
    """A count for the summary, beside what unittest prints."""
    print(text, file=sys.stderr, flush=True)


def arguments(checkpoint, out):
    return [str(BIN / "llama4-compile"), str(checkpoint), "-o", str(out), "--compute", "float32",
            "--target", "cpu:x86-64-v3"]


def compile_model(checkpoint, out, limit=None):
    """(exit status, stderr); `limit` is the largest file in bytes that may be written."""
    def restrict():
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    done = subprocess.run(arguments(checkpoint, out), capture_output=True, text=True, check=False,
                          preexec_fn=restrict, restore_signals=False, timeout=120)
    return done.returncode, done.stderr


def run_program(words):
    """(exit status, stderr, peak bytes of memory, seconds) of a program."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stderr=errors, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read().decode()
    return process.returncode, text, usage.ru_maxrss << 10, time.monotonic() - start


def run(*words):
    return run_program([str(BIN / "llama4-run"), *map(str, words)])


def weights_of(program):
    """Where the weights begin: the section of kind 6 in the header."""
    count = struct.unpack_from("<I", program, 32)[0]
    sections = [struct.unpack_from("<IIQQ", program, 104 + 24 * i) for i in range(count)]
    return next(offset for kind, _, offset, _ in sections if kind == 6)


def gguf_file():
    """A whole model in GGUF: one layer, no vocabulary, zeros as weights."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()
    keys = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    keys += [text("llama." + key) + struct.pack("<II", 4, value) for key, value in (
        ("block_count", 1), ("context_length", 128), ("embedding_length", 64),
        ("feed_forward_length", 96), ("attention.head_count", 2), ("vocab_size", 32))]
    keys += [text("llama." + key) + struct.pack("<If", 6, value) for key, value in (
        ("attention.layer_norm_rms_epsilon", 1e-5), ("rope.freq_base", 1e4))]
    shapes = {"token_embd": (64, 32), "output_norm": (64,)}
    for name, shape in {"attn_norm": (64,), "ffn_norm": (64,), "attn_q": (64, 64), "attn_k": (64, 64),
                        "attn_v": (64, 64), "attn_output": (64, 64), "ffn_gate": (64, 96),
                        "ffn_up": (64, 96), "ffn_down": (96, 64)}.items():
        shapes["blk.0." + name] = shape
    tensors, offset = b"", 0
    for name, shape in shapes.items():
        tensors += text(name + ".weight") + struct.pack("<I", len(shape))
        tensors += b"".join(struct.pack("<Q", length) for length in shape)
        tensors += struct.pack("<IQ", 0, offset)
        offset += 4 * math.prod(shape)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(keys)) + b"".join(keys) + tensors
    return header + bytes(-len(header) % 32) + bytes(offset)


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def copy_checkpoint(self, name="model"):
        """A folder with the files of the checkpoint, copied, so that they can be changed."""
        folder = self.folder / name
        folder.mkdir()
        for path in CHECKPOINT.iterdir():
            if path.is_file():
                (folder / path.name).write_bytes(path.read_bytes())
        return folder

    def refused(self, code, status, errors, name=""):
        """One sentence that names the file."""
        self.assertEqual(status, code, errors)
        self.assertEqual(len(errors.strip().splitlines()), 1, errors)
        self.assertIn(name, errors)


class Writing(Folder):
    def test_killed_at_any_time(self):
        """The output is absent, or as before, or whole; the next compile removes what was left."""
        whole = self.folder / "whole.l4x"
        start = time.monotonic()
        self.assertEqual(compile_model(CHECKPOINT, whole)[0], 0)
        longest = time.monotonic() - start
        expected, out, old = whole.read_bytes(), self.folder / "out.l4x", b"an older file"
        chance, kills, left, tries = random.Random(5), 0, 0, 0
        while kills < KILLS and tries < 20 * KILLS:
            tries += 1
            out.write_bytes(old) if tries % 2 else out.unlink(missing_ok=True)
            process = subprocess.Popen(arguments(CHECKPOINT, out), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, longest))
            process.kill()
            kills += process.wait() == -signal.SIGKILL
            left += len(list(self.folder.iterdir())) > 1 + out.exists()
            if tries % 2 or out.exists():
                self.assertIn(out.read_bytes(), (old, expected) if tries % 2 else (expected,))
        self.assertEqual(kills, KILLS)
        # One that was surely left: a temporary file of a process that is no more.
        gone = subprocess.Popen(["true"])
        gone.wait()
        (self.folder / f".out.l4x.tmp.{gone.pid}").write_bytes(b"left over")
        self.assertEqual(compile_model(CHECKPOINT, out)[0], 0)
        self.assertEqual(out.read_bytes(), expected)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["out.l4x", "whole.l4x"])
        report(f"counted: {kills} kills in {tries} compiles")

    def test_full_disk(self):
        """No room: one sentence, status 74, and nothing new in the folder; an old file stays."""
        out = self.folder / "out.l4x"
        self.assertEqual(compile_model(CHECKPOINT, out)[0], 0)
        old = out.read_bytes()
        for limit in (0, 4096, len(old) // 2, len(old) - 1):
            status, errors = compile_model(CHECKPOINT, out, limit)
            self.refused(74, status, errors)
            self.assertEqual(out.read_bytes(), old)
            self.assertEqual([p.name for p in self.folder.iterdir()], ["out.l4x"])

    def test_full_file_system(self):
        """The same on a file system of 1 MiB, where one can be mounted."""
        enter = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
        mount = f"mount -t tmpfs -o size=1m none {shlex.quote(str(self.folder))}"
        if subprocess.run([*enter, "sh", "-c", mount], capture_output=True, check=False).returncode:
            self.skipTest("no file system can be mounted here")
        out = self.folder / "out.l4x"
        words = " ".join(map(shlex.quote, arguments(CHECKPOINT, out)))
        done = subprocess.run(
            [*enter, "sh", "-c", f"{mount} && {words}; echo $?; ls -A {self.folder} | wc -l"],
            capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.stdout.split(), ["74", "0"], done.stderr)
        self.refused(74, 74, done.stderr, "out.l4x")


class Huge(Folder):
    """A file of 1 TiB that holds nothing is refused at once and is not read into memory."""

    def sparse(self, path, begin):
        with open(path, "wb") as file:
            file.write(begin)
            file.truncate(1 << 40)

    def test_sparse_program(self):
        good = self.folder / "good.l4x"
        self.assertEqual(compile_model(CHECKPOINT, good)[0], 0)
        for begin in (b"", good.read_bytes()[:4096], good.read_bytes()):
            self.sparse(self.folder / "huge.l4x", begin)
            for words in (["inspect"], ["verify"], ["generate", "--prompt-ids", "1"]):
                status, errors, memory, seconds = run(words[0], self.folder / "huge.l4x", *words[1:])
                self.refused(65, status, errors, "huge.l4x")
                self.assertLess(memory, MOST_MEMORY)
                self.assertLess(seconds, PROMPT_SECONDS)

    def test_sparse_weights(self):
        folder = self.copy_checkpoint()
        weights = folder / "model.safetensors"
        good = weights.read_bytes()
        for begin in (b"", struct.pack("<Q", 1 << 39) + b"{", struct.pack("<Q", 99_000_000) + b"{",
                      good):
            self.sparse(weights, begin)
            self.refused_at_once(folder, "model.safetensors")

    def test_sparse_gguf(self):
        path, good = self.folder / "model.gguf", gguf_file()
        path.write_bytes(good)
        self.assertEqual(compile_model(path, self.folder / "good.l4x")[0], 0)
        huge = b"GGUF" + struct.pack("<I", 3)
        for begin in (b"", huge + struct.pack("<QQ", 1 << 36, 0), huge + struct.pack("<QQ", 0, 1 << 36),
                      huge + struct.pack("<QQQ", 0, 1, 1 << 39), huge + struct.pack("<QQ", 1, 1)):
            self.sparse(path, begin)
            self.refused_at_once(path, "model.gguf")
        # What only has zeros behind its last tensor is read as it is, and not the zeros.
        self.sparse(path, good)
        status, errors, memory, seconds = run_program(arguments(path, self.folder / "out.l4x"))
        self.assertIn(status, (0, 65), errors)
        self.assertLess(memory, MOST_MEMORY + (100 << 20))
        self.assertLess(seconds, PROMPT_SECONDS)

    def refused_at_once(self, checkpoint, name):
        status, errors, memory, seconds = run_program(arguments(checkpoint, self.folder / "out.l4x"))
        self.refused(65, status, errors, name)
        self.assertFalse((self.folder / "out.l4x").exists())
        self.assertLess(memory, MOST_MEMORY)
        self.assertLess(seconds, PROMPT_SECONDS)

    def test_numbers_of_the_configuration(self):
        folder = self.copy_checkpoint()
        good = json.loads((folder / "config.json").read_text())
        for field, value in (("num_hidden_layers", 10**9), ("num_hidden_layers", 0),
                             ("head_dim", 0), ("hidden_size", 1 << 62), ("rope_theta", 0),
                             ("vocab_size", -1), ("num_key_value_heads", 3),
                             ("rms_norm_eps", "NaN"), ("max_position_embeddings", 1 << 63)):
            with self.subTest(field=field, value=value):
                (folder / "config.json").write_text(json.dumps({**good, field: value}))
                status, errors = compile_model(folder, self.folder / "out.l4x")
                self.refused(65, status, errors)
                self.assertFalse((self.folder / "out.l4x").exists())


class Elsewhere(Folder):
    """Names of an index never lead out of the folder, nor to what is no regular file."""

    def test_paths_of_the_index(self):
        folder = self.copy_checkpoint()
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").unlink()
        outside = self.folder / "outside.safetensors"
        outside.write_bytes(weights)
        os.symlink(outside, folder / "link.safetensors")
        os.mkfifo(folder / "pipe.safetensors")
        os.mkdir(folder / "folder.safetensors")
        names = list(json.loads(weights[8:8 + struct.unpack("<Q", weights[:8])[0]]))
        for target in ("../outside.safetensors", str(outside), "link.safetensors", "/dev/zero",
                       "pipe.safetensors", "folder.safetensors", "", ".", "a/../../outside",
                       "missing.safetensors", "x\0y", "x\ny"):
            with self.subTest(target=target):
                index = {"weight_map": {name: target for name in names if name != "__metadata__"}}
                (folder / "model.safetensors.index.json").write_text(json.dumps(index))
                status, errors = compile_model(folder, self.folder / "out.l4x")
                self.assertIn(status, (65, 66), errors)
                self.assertEqual(len(errors.strip().splitlines()), 1, errors)
                self.assertFalse((self.folder / "out.l4x").exists())


class Cut(Folder):
    """A file that ends inside of its header is refused by name, and nothing is written. Every byte is
    tried in the readers' own tests: DamageTest, GgufTest, SafetensorsTest; here every 16th."""

    def cut(self, name, header, command, path):
        """Runs `command` with the file `path` cut at every 16th of its first `header` bytes."""
        data, sizes = path.read_bytes(), [*range(0, header, 16), header - 1]
        for size in sizes:
            path.write_bytes(data[:size])
            status, errors, _, _ = run_program(command)
            self.refused(65, status, f"{size}: {errors}", path.name)
        self.assertEqual(list(self.folder.glob("*out.l4x*")), [])
        report(f"counted: {name} cut at {len(sizes)} places of its header of {header} bytes")

    def test_safetensors(self):
        folder = self.copy_checkpoint()
        path = folder / "model.safetensors"
        header = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
        self.cut("safetensors", header, arguments(folder, self.folder / "out.l4x"), path)

    def test_gguf(self):
        path, data = self.folder / "model.gguf", gguf_file()
        path.write_bytes(data)
        self.assertEqual(compile_model(path, self.folder / "good.l4x")[0], 0)
        self.cut("GGUF", data.index(bytes(64)), arguments(path, self.folder / "out.l4x"), path)

    def test_program(self):
        path = self.folder / "model.l4x"
        self.assertEqual(compile_model(CHECKPOINT, path)[0], 0)
        self.cut(".l4x", 4096, [str(BIN / "llama4-run"), "inspect", str(path)], path)


class Bits(Folder):
    def test_thousand_flipped_bits(self):
        """Each is found: in what describes the program by loading it, in weights by `verify`."""
        good = self.folder / "good.l4x"
        self.assertEqual(compile_model(CHECKPOINT, good)[0], 0)
        data = bytearray(good.read_bytes())
        chance, path, loaded = random.Random(7), self.folder / "bad.l4x", 0
        weights = weights_of(data)
        path.write_bytes(data)
        for _ in range(FLIPS):
            at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ bit]))
            ways = ("verify", "inspect") if at < weights else ("verify",)
            for way in ways:
                status, errors, _, _ = run(way, path)
                self.refused(65, status, f"{way}, bit {bit} of byte {at}: {errors}", "bad.l4x")
            loaded += len(ways) - 1
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at]]))
        self.assertEqual(run("verify", path)[0], 0)
        self.assertGreater(loaded, FLIPS // 10)
        report(f"counted: {FLIPS} flipped bits, {loaded} of them seen by loading alone")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
