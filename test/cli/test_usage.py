"""Exit codes and messages of llama4-run, most of them without any model."""

import os
import socket
import subprocess
import unittest

from clitest import BIN, COMPILE, DATA, RUN, TEMP, command, compiled, generate_ids, main, run, temp

TINY = os.path.join(DATA, "golden", "tiny-1.0.l4x")
PREFILL = os.path.join(DATA, "oracles/llama3-text-tied/golden/prefill.p5.safetensors")


class Usage(unittest.TestCase):
    def expect(self, code, *args, says=None, env=None):
        done = run(*args, env=env)
        self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
        self.assertEqual(done.stdout, "", f"{args}: results on stdout")
        self.assertNotEqual(done.stderr, "")
        if says:
            self.assertIn(says, done.stderr)
        return done.stderr

    def test_wrong_command_lines(self):
        for args in ([], ["frobnicate"], ["generate"], ["generate", "m.l4x", "--no-such-flag"],
                     ["generate", "m.l4x", "--prompt-ids", "1", "--max-new-tokens", "0"],
                     ["generate", "m.l4x", "--prompt-ids", "1", "--max-new-tokens", "many"],
                     ["generate", "m.l4x", "--prompt-ids", "1", "--threads", "-1"],
                     ["generate", "m.l4x", "--prompt-ids", "1", "--prefill-chunk-size", "0"],
                     ["invoke", "m.l4x", "--in", "x"], ["bench", "m.l4x", "--runs", "0"],
                     ["inspect"], ["verify"], ["inspect", "a", "b"],
                     ["generate", "m.l4x", "-p", "a", "-ngl", "99"],  # nothing here would do it
                     ["serve", "m.l4x", "--tensor-parallel-size", "2"]):
            self.expect(2, *args)

    def test_kinds_of_errors(self):
        """2, 65 and 66 are below, 78 in test_config.py."""
        with open("/dev/full", "wb") as full:
            done = subprocess.run([RUN, "inspect", TINY], stdout=full, stderr=subprocess.PIPE,
                                  check=False)
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (74, 1), done.stderr)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            model = compiled(os.path.join(DATA, "oracles", "llama3-text-tied"))
            port = str(taken.getsockname()[1])
            self.expect(69, "serve", model, "--port", port, says=port)
        self.expect(71, "generate", TINY, "--prompt-ids", "1", "--memory", "1", says="memory")
        self.assertEqual(run("inspect", TINY).returncode, 0)

    def test_wrong_values(self):
        self.expect(2, "generate", "m.l4x", says="exactly one of")
        self.expect(2, "generate", "m.l4x", "--prompt", "a", "--prompt-ids", "1",
                    says="exactly one of")
        for flag, values in {"--temperature": ("-1", "1001", "nan", "hot"), "--top-k": ("-1", "x"),
                             "--top-p": ("1.5", "-0.1", "nan"), "--min-p": ("2", "-1"),
                             "--frequency-penalty": ("3", "-3"), "--presence-penalty": ("2.5",),
                             "--repetition-penalty": ("0", "-1"), "--seed": ("-1", "x")}.items():
            for value in values:
                self.expect(2, "generate", "m.l4x", "--prompt-ids", "1", f"{flag}={value}",
                            says=flag)
        self.expect(2, "generate", "m.l4x", "--prompt-ids", "1", "--memory", "lots",
                    says="8GiB")
        self.expect(2, "tokenize", "m.l4x")
        self.expect(2, "tokenize", "m.l4x", "--text-file", "a", "--messages", "b")

    def test_weights(self):
        """Wherever the weights lie, the answer is the same; other words are refused before a model is looked for."""
        plain = generate_ids(TINY, [1, 2, 3], 8)
        self.assertEqual(len(plain), 8)
        for form in ("map", "copy", "auto"):
            self.assertEqual(generate_ids(TINY, [1, 2, 3], 8, "--weights", form), plain, form)
        for word in ("mapped", "MAP", "", "copy,auto"):
            says = self.expect(2, "generate", "m.l4x", "--prompt-ids", "1", f"--weights={word}", says="--weights")
            self.assertNotIn("m.l4x", says)
        for program in ("serve", "bench"):
            self.expect(2, program, "m.l4x", "--weights", "swap", says="--weights")
        self.expect(2, "generate", "m.l4x", "--prompt-ids", "1", env={"LLAMA4_ARG_WEIGHTS": "swap"}, says="weights")

    def test_environment_names_options(self):
        env = {"LLAMA4_ARG_TEMPERATURE": "-0.5"}
        self.expect(2, "generate", "m.l4x", "--prompt", "a", env=env, says="temperature")

    def test_missing_files(self):
        missing = temp("missing")
        for args in (["inspect", missing], ["verify", missing], ["bench", missing],
                     ["generate", missing, "--prompt", "a"],
                     ["generate", missing + ".gguf", "--prompt", "a"],
                     ["invoke", missing, "--in", PREFILL, "--out", temp("o")],
                     ["invoke", missing, "--in", missing, "--out", temp("o")],
                     ["tokenize", missing, "--text-file", missing]):
            self.assertIn("missing", self.expect(66, *args))

    def test_bad_files(self):
        junk = temp("junk.l4x")
        for content in (b"", b"x", b"LLAMA4X\n" + bytes(5000), os.urandom(70000)):
            with open(junk, "wb") as file:
                file.write(content)
            for args in (["inspect", junk], ["verify", junk], ["generate", junk, "--prompt", "a"],
                         ["invoke", junk, "--in", PREFILL, "--out", temp("o")],
                         ["invoke", PREFILL, "--in", junk, "--out", temp("o")]):
                self.assertIn("junk.l4x" if args[1] == junk or args[3] == junk else "prefill",
                              self.expect(65, *args))
        self.assertEqual([name for name in os.listdir(TEMP) if name == "o"], [])

    def test_help_and_version(self):
        for args in (["--help"], ["--version"], *([name, "--help"] for name in (
                "generate", "invoke", "tokenize", "bench", "inspect", "verify", "completion", "man"))):
            done = run(*args)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("llama4-run", done.stdout)
        text = run("generate", "--help").stdout
        for group in ("Model:", "Machine:", "Prompt:", "Generation:", "Output:"):
            self.assertIn("\n" + group, text)


    def test_version_says_what_runs(self):
        lines = run("--version").stdout.splitlines()
        self.assertRegex(lines[0], r"^llama4-run \d+\.\d+\.\d+$")
        facts = dict(line.split(": ", 1) for line in lines[1:])
        self.assertRegex(facts["file format"], r"^1\.\d+, reads 1\.0 to 1\.\d+$")
        levels = facts["CPU levels"].split(", ")
        self.assertIn("x86-64-v3", levels)
        self.assertIn(facts["this machine"], levels)
        model = compiled(os.path.join(DATA, "oracles", "llama3-text-tied"))
        self.assertIn(f"code {facts['this machine']} loads", run("verify", model).stdout)
        self.assertEqual(run("generate", "--version").stdout.splitlines(), lines)

    @unittest.skipUnless(os.path.exists(COMPILE), "llama4-compile is not built")
    def test_versions_of_the_compilers(self):
        levels = dict(line.split(": ", 1) for line in run("--version").stdout.splitlines()[1:])
        for name in ("llama4-compile", "llama4-opt"):
            program = os.path.join(BIN, name)
            if not os.path.exists(program):
                continue
            lines = command(program, "--version").stdout.splitlines()
            self.assertEqual(lines[0], name + " " + run("--version").stdout.split()[1])
            facts = dict(line.split(": ", 1) for line in lines[1:])
            self.assertRegex(facts["LLVM"], r"^22\.\d+")
            self.assertEqual(facts["file format"], levels["file format"].split(",")[0])
            self.assertEqual(facts["targets"], ", ".join(
                "cpu:" + level for level in levels["CPU levels"].split(", ")))
            if name == "llama4-compile":
                self.assertEqual(facts["cpu:native"], levels["this machine"])


if __name__ == "__main__":
    main()
