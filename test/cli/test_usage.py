"""Exit codes and messages of llama4-run, without any model."""

import os
import unittest

from clitest import DATA, TEMP, main, run, temp

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
                     ["inspect"], ["verify"], ["inspect", "a", "b"]):
            self.expect(2, *args)

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
                "generate", "invoke", "tokenize", "bench", "inspect", "verify"))):
            done = run(*args)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("llama4-run", done.stdout)
        text = run("generate", "--help").stdout
        for group in ("Model:", "Machine:", "Prompt:", "Generation:", "Output:"):
            self.assertIn("\n" + group, text)


if __name__ == "__main__":
    main()
