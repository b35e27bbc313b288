#!/usr/bin/env python3
"""Shows that tests can fail: breaks a copy of the tree, one mutation at a time, and runs a test.

  tools/dev/mutate.py                 all mutations of tools/dev/mutations/*.toml
  tools/dev/mutate.py NAME...         those whose name has one of the words
  tools/dev/mutate.py --list          their names and tests
  tools/dev/mutate.py --check         only whether each still fits the sources (seconds; in the gate)
  options: --work FOLDER (build-mutate), --jobs N, --report FILE (a Markdown table)

A mutation is a file, the exact text that is there once, what to put in its place, and the test that
must see it: a program of the build and a filter of its tests (`program`, `test`), a test of ctest
(`ctest`, `needs`: what to build for it) or a .mlir file (`lit`). The test passes on the unchanged
copy first. The exit status is 1 where one survives, 2 where one cannot be judged: its text is no
longer there, it does not compile, or its test runs nothing.

The working tree is only read. The copy and its build are kept in the work folder, so that a later
run compiles little; its files get a fresh time whenever their content changes.
"""
import argparse
import dataclasses
import glob
import os
import re
import subprocess
import sys
import time
import tomllib

import tree

FOLDER = os.path.join(tree.ROOT, "tools/dev/mutations")
TEST_SECONDS = 300


class Invalid(Exception):
    """The mutation cannot be judged."""


@dataclasses.dataclass
class Mutation:
    name: str
    file: str
    before: str
    after: str
    program: str = ""
    test: str = ""
    ctest: str = ""
    lit: str = ""
    needs: list = dataclasses.field(default_factory=list)

    @property
    def shown(self):
        return f"{self.program} {self.test}" if self.program else self.ctest or self.lit

    @property
    def targets(self):
        return ([self.program] if self.program else []) + self.needs + \
            (["llama4-opt"] if self.lit else [])

    def check(self, text):
        """What keeps it from being applied to `text`, the file's content (None: no such file)."""
        if sum(map(bool, (self.program, self.ctest, self.lit))) != 1 or \
                bool(self.program) != bool(self.test):
            return "expected a program and a test, a ctest or a lit, and one of them only"
        if self.ctest and not self.needs:
            return "a ctest needs the list of what to build for it"
        if text is None:
            return f"{self.file} is not there"
        if self.before == self.after:
            return "it changes nothing"
        count = text.count(self.before)
        return None if count == 1 else f"its text is {count} times in {self.file}, expected once"

    def apply(self, text):
        return text.replace(self.before, self.after)


def read_mutations(folder=FOLDER):
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "*.toml"))):
        with open(path, "rb") as file:
            found += [Mutation(**entry) for entry in tomllib.load(file)["mutation"]]
    names = [m.name for m in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SystemExit(f"mutate: two mutations are called {', '.join(sorted(twice))}")
    return found


def check_all(mutations, root=tree.ROOT):
    """One line for each mutation that no longer fits the sources below `root`."""
    found = []
    for m in mutations:
        exists = os.path.isfile(os.path.join(root, m.file))
        wrong = m.check(tree.read(m.file, root) if exists else None)
        if wrong:
            found.append(f"tools/dev/mutations: {m.name}: {wrong}: write it for the sources of now")
    return found


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Copy:
    """A copy of the tree and its build."""

    def __init__(self, work, jobs, source=tree.ROOT):
        self.root, self.build = os.path.join(work, "tree"), os.path.join(work, "build")
        self.jobs = jobs
        self.synchronize(source)
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            self.run(["cmake", "--preset", "release", "-S", self.root, "-B", self.build], 600)
        self.green, self.built = {}, set()

    def synchronize(self, source):
        wanted = tree.files(source)
        for path in wanted:
            target, data = os.path.join(self.root, path), content(os.path.join(source, path))
            if not os.path.isfile(target) or content(target) != data:
                write(target, data)
                if os.access(os.path.join(source, path), os.X_OK):
                    os.chmod(target, 0o755)
        for folder, _, names in os.walk(self.root):
            for name in names:
                if os.path.relpath(os.path.join(folder, name), self.root) not in set(wanted):
                    os.remove(os.path.join(folder, name))

    def run(self, command, seconds):
        """(exit status or None where it took too long, output)"""
        environment = dict(os.environ, LLAMA4_BINARY_DIR=os.path.join(self.build, "bin"))
        try:
            done = subprocess.run(command, cwd=self.root, env=environment, timeout=seconds,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, done.stdout.decode(errors="replace")

    def compile(self, m):
        status, output = self.run(["ninja", "-C", self.build, "-j", str(self.jobs), *m.targets],
                                  3600)
        if status != 0:
            lines = [line for line in output.splitlines() if "error:" in line] or [output[-300:]]
            raise Invalid("does not compile: " + lines[0])

    def test(self, m):
        """(passed, what was seen)"""
        if m.program:
            command = [os.path.join(self.build, "test", m.program), "--gtest_filter=" + m.test]
            ran = r"(?m)^\[       OK |^\[  FAILED  \]"
        elif m.lit:
            tools = "/usr/lib/llvm-22/bin"
            command = [f"{tools}/lit", "-v", "--param", f"build={self.build}", "--param",
                       f"llvm_tools={tools}", m.lit]
            ran = r"Testing: [1-9]"
        else:
            command = ["ctest", "--test-dir", self.build, "-R", f"^{re.escape(m.ctest)}$",
                       "--no-tests=error"]
            ran = r"tests (passed|failed)"
        status, output = self.run(command, TEST_SECONDS)
        if status is None:
            return False, f"ran for more than {TEST_SECONDS} s"
        if status >= 0 and not re.search(ran, output) or "(Skipped)" in output:
            raise Invalid(f"{m.shown}: runs nothing: {output[-200:].strip()}")
        if status < 0:
            return False, f"ended by signal {-status}"
        failed = re.findall(r"^\[  FAILED  \] .*\(\d+ ms\)$", output, re.M)
        return status == 0, f"{len(failed) or 1} failed" if status else "passed"

    def judge(self, m):
        """(verdict, what was seen); the copy is as before afterwards."""
        path = os.path.join(self.root, m.file)
        if not os.path.isfile(path):
            raise Invalid(f"{m.file} is not there")
        original = content(path)
        if wrong := m.check(original.decode()):
            raise Invalid(wrong)
        if m.shown not in self.green:
            self.compile(m)
            passed, seen = self.test(m)
            self.green[m.shown] = passed
            if not passed:
                raise Invalid(f"{m.shown} fails on the unchanged tree: {seen}")
        if not self.green[m.shown]:
            raise Invalid(f"{m.shown} fails on the unchanged tree")
        write(path, m.apply(original.decode()).encode())
        try:
            self.compile(m)
            passed, seen = self.test(m)
        finally:
            write(path, original)
        return ("SURVIVES" if passed else "killed"), seen


def table(rows):
    lines = ["| mutation | test | verdict | seconds |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {m.name} | `{m.shown}` | {verdict}: {seen} | {seconds:.0f} |"
                              for m, verdict, seen, seconds in rows]) + "\n"


def judge_all(mutations, copy):
    rows = []
    for m in mutations:
        start = time.monotonic()
        try:
            verdict, seen = copy.judge(m)
        except Invalid as wrong:
            verdict, seen = "INVALID", str(wrong)
        rows.append((m, verdict, seen, time.monotonic() - start))
        print(f"{verdict:8}  {m.name:34} {m.shown}: {seen} ({rows[-1][3]:.0f} s)", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description="Breaks a copy of the tree; tests must see it.")
    parser.add_argument("words", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--work", default=os.path.join(tree.ROOT, "build-mutate"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--report")
    parser.add_argument("--source", default=tree.ROOT, help="the tree to copy (this one)")
    options = parser.parse_args()
    mutations = [m for m in read_mutations()
                 if not options.words or any(word in m.name for word in options.words)]
    if options.list:
        print("\n".join(f"{m.name:34} {m.shown}" for m in mutations))
        return 0
    if options.check:
        return tree.report(check_all(mutations, options.source))
    copy = Copy(os.path.abspath(options.work), options.jobs, options.source)
    rows = judge_all(mutations, copy)
    if options.report:
        with open(options.report, "w", encoding="utf-8") as file:
            file.write(table(rows))
    verdicts = [row[1] for row in rows]
    print(f"mutate: {verdicts.count('killed')} killed, {verdicts.count('SURVIVES')} survive, "
          f"{verdicts.count('INVALID')} invalid, of {len(rows)}")
    return 2 if "INVALID" in verdicts else 1 if "SURVIVES" in verdicts or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
