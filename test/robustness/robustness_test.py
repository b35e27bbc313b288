"""Damage that comes from outside of the programs: killed while writing, a full disk, files that claim
to be huge, folders that point elsewhere, bits that flip. Nothing here needs more than the standard
library; `./setup.sh test --full` runs it. LLAMA4_BINARY_DIR says where the programs are.
"""

import json
import os
import pathlib
import random
import resource
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


def run(*words):
    """(exit status, stderr, peak bytes of memory, seconds) of llama4-run."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(BIN / "llama4-run"), *map(str, words)], stderr=errors,
                                   stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read().decode()
    return process.returncode, text, usage.ru_maxrss << 10, time.monotonic() - start


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def link_checkpoint(self, name="model"):
        """A folder with the files of the checkpoint, copied, so that they can be changed."""
        folder = self.folder / name
        folder.mkdir()
        for path in CHECKPOINT.iterdir():
            if path.is_file():
                (folder / path.name).write_bytes(path.read_bytes())
        return folder

    def refused(self, code, status, errors):
        self.assertEqual(status, code, errors)
        self.assertEqual(len(errors.strip().splitlines()), 1, errors)


class Writing(Folder):
    def test_killed_at_any_time(self):
        """The output is absent or whole, and the next compile removes what was left."""
        whole = self.folder / "whole.l4x"
        start = time.monotonic()
        self.assertEqual(compile_model(CHECKPOINT, whole)[0], 0)
        longest = 1.2 * (time.monotonic() - start)
        expected, out = whole.read_bytes(), self.folder / "out.l4x"
        chance, kills = random.Random(5), 0
        for _ in range(50):
            process = subprocess.Popen(arguments(CHECKPOINT, out), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, longest))
            process.kill()
            kills += process.wait() == -signal.SIGKILL
            if out.exists():
                self.assertEqual(out.read_bytes(), expected)
                out.unlink()
        self.assertGreater(kills, 10)
        # One that was surely left: a temporary file of a process that is no more.
        gone = subprocess.Popen(["true"])
        gone.wait()
        (self.folder / f".out.l4x.tmp.{gone.pid}").write_bytes(b"left over")
        self.assertEqual(compile_model(CHECKPOINT, out)[0], 0)
        self.assertEqual(out.read_bytes(), expected)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["out.l4x", "whole.l4x"])

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
                self.refused(65, status, errors)
                self.assertLess(memory, MOST_MEMORY)
                self.assertLess(seconds, 5)

    def test_sparse_weights(self):
        folder = self.link_checkpoint()
        weights = folder / "model.safetensors"
        good = weights.read_bytes()
        for begin in (b"", struct.pack("<Q", 1 << 39) + b"{", struct.pack("<Q", 99_000_000) + b"{",
                      good):
            self.sparse(weights, begin)
            start = time.monotonic()
            status, errors = compile_model(folder, self.folder / "out.l4x")
            self.refused(65, status, errors)
            self.assertIn("model.safetensors", errors)
            self.assertLess(time.monotonic() - start, 10)

    def test_numbers_of_the_configuration(self):
        folder = self.link_checkpoint()
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
        folder = self.link_checkpoint()
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


class Bits(Folder):
    def test_thousand_flipped_bits(self):
        """Each is found: in what describes the program by loading it, in weights by `verify`."""
        good = self.folder / "good.l4x"
        self.assertEqual(compile_model(CHECKPOINT, good)[0], 0)
        data = bytearray(good.read_bytes())
        chance, path = random.Random(7), self.folder / "bad.l4x"
        path.write_bytes(data)
        for _ in range(int(os.environ.get("LLAMA4_FLIPS", "1000"))):
            at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ bit]))
            status, errors, _, _ = run("verify", path)
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at]]))
            self.assertEqual(status, 65, f"bit {bit} of byte {at}: {errors}")
        self.assertEqual(run("verify", path)[0], 0)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
