"""Progress bars: on a terminal, never in a pipe."""

import os
import pty
import re
import subprocess
import unittest

from clitest import COMPILE, DATA, RUN, main, temp

SOURCE = os.path.join(DATA, "oracles", "llama3-text-tied")
ONE = ["--target", "cpu:x86-64-v3"]


def on_terminal(*args, env=None):
    """stdout, and what a terminal at stderr gets, of a program that ends well."""
    leader, follower = pty.openpty()
    merged = {"TERM": "xterm", **{name: value for name, value in os.environ.items()
                                  if name != "TERM" and not name.startswith("LLAMA4_ARG_")}}
    merged.update(env or {})
    with subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=follower,
                          stdin=subprocess.DEVNULL, env=merged) as program:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # nobody has the other end any more
                break
            if not part:
                break
            shown += part
        os.close(leader)
        out = program.stdout.read()
    if program.returncode != 0:
        raise AssertionError(f"{args} ended with {program.returncode}: {shown!r}")
    return out, shown.decode()


@unittest.skipUnless(os.path.exists(COMPILE), "llama4-compile is not built")
class Progress(unittest.TestCase):
    def check_bars(self, shown, count):
        levels = re.findall(rf"\rcode of levels \[(#*) *\] (\d) of {count}, \d+ s", shown)
        weights = re.findall(r"\rweights \[(#*) *\] ([\d.]+) of ([\d.]+) MB, \d+ s", shown)
        self.assertEqual((levels[0][1], levels[-1][1]), ("0", str(count)), shown)
        self.assertEqual(len(levels[-1][0]), 40)
        self.assertEqual(len(weights[-1][0]), 40, shown)
        self.assertEqual(weights[-1][1], weights[-1][2])
        self.assertGreater(float(weights[-1][2]), 0)
        done = [float(row[1]) for row in weights]
        self.assertEqual(done, sorted(done))
        self.assertTrue(shown.endswith("\n"))

    def test_compile(self):
        out, shown = on_terminal(COMPILE, SOURCE, "-o", temp("bar.l4x"), *ONE)
        self.assertEqual(out, b"")
        self.check_bars(shown, 1)

    def test_compile_on_first_use(self):
        args = (RUN, "tokenize", SOURCE, "--text-file", os.path.join(DATA, "golden", "config.json"))
        env = {"XDG_CACHE_HOME": temp("cache")}
        out, shown = on_terminal(*args, env=env)
        version = subprocess.run([COMPILE, "--version"], capture_output=True, check=True, text=True)
        self.check_bars(shown, version.stdout.count("cpu:x86-64"))
        self.assertRegex(out, rb"^[\d ]+\n$")
        self.assertEqual(on_terminal(*args, env=env), (out, ""))  # the second time it is there

    def test_nothing_in_a_pipe(self):
        done = subprocess.run([COMPILE, SOURCE, "-o", temp("pipe.l4x"), *ONE], capture_output=True,
                              check=True)
        self.assertEqual((done.stdout, done.stderr), (b"", b""))

    def test_nothing_on_a_terminal_that_cannot(self):
        shown = on_terminal(COMPILE, SOURCE, "-o", temp("dumb.l4x"), *ONE, env={"TERM": "dumb"})
        self.assertEqual(shown, (b"", ""))


if __name__ == "__main__":
    main()
