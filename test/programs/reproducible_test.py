"""Two compiles of one checkpoint give the same bytes: whatever the threads, the folders, the time."""

import os
import shutil
import subprocess
import tempfile
import unittest

BIN = os.environ["LLAMA4_BINARY_DIR"]
ORACLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "oracles")


def compile_bytes(checkpoint, folder, *options):
    """The program file made in `folder`, which is the working and the temporary folder too."""
    os.makedirs(folder)
    done = subprocess.run([os.path.join(BIN, "llama4-compile"), checkpoint, "-o", "model.l4x",
                           *options], cwd=folder, stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, "TMPDIR": folder})
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    with open(os.path.join(folder, "model.l4x"), "rb") as file:
        return file.read()


class Reproducible(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory(prefix="llama4-reproducible-")
        self.addCleanup(temp.cleanup)
        self.temp = temp.name

    def check(self, case, *options):
        source = os.path.abspath(os.path.join(ORACLES, case))
        first = compile_bytes(source, os.path.join(self.temp, "a"), "--jobs", "1", *options)
        other = os.path.join(self.temp, "somewhere else", "another name")
        shutil.copytree(source, other)
        second = compile_bytes(os.path.relpath(other, os.path.join(self.temp, "b")),
                               os.path.join(self.temp, "b"), "--jobs", "8", *options)
        self.assertEqual(len(first), len(second))
        self.assertTrue(first == second, f"{case}: different bytes")
        for path in (self.temp, source):
            self.assertNotIn(path.encode(), first, "a path in the file")
        return first

    def test_llama3(self):
        first = self.check("llama3-text-tied")
        # Another program has other bytes: the comparison can fail.
        other = compile_bytes(os.path.abspath(os.path.join(ORACLES, "llama3-text-tied")),
                              os.path.join(self.temp, "c"), "--max-length", "77")
        self.assertNotEqual(first, other)

    def test_llama4(self):
        self.check("llama4-text-f32", "--quantization-encoding", "q8_0")


if __name__ == "__main__":
    unittest.main()
