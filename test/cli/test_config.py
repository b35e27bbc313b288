"""--config, LLAMA4_ARG_* and the command line: who has the last word, and what errors say."""

import json
import os
import unittest

from clitest import COMPILE, DATA, command, compiled, main, must, run, temp

SOURCE = os.path.join(DATA, "oracles", "llama3-text-tied")


def config(text, name="options.toml"):
    path = temp(name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Run(unittest.TestCase):
    def expect(self, code, *args, says, env=None):
        done = run(*args, env=env)
        self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for part in says if isinstance(says, list) else [says]:
            self.assertIn(part, done.stderr)

    def tokens(self, *args, env=None):
        """How many tokens a generation had."""
        return len(must(*args, env=env).split())

    def test_command_line_over_environment_over_file(self):
        model = compiled(SOURCE, "--target", "cpu:x86-64-v3")
        file = config(f"""# how we generate
            [generate]
            model = "{model}"
            prompt-ids = '1,2,3'
            ignore-eos
            ids = true
            temperature = 0  # greedy
            n = 5
            """)
        environment = {"LLAMA4_ARG_MAX_NEW_TOKENS": "4"}
        self.assertEqual(self.tokens("generate", "--config", file), 5)
        self.assertEqual(self.tokens("--config", file, "generate"), 5)
        self.assertEqual(self.tokens("generate", env={"LLAMA4_ARG_CONFIG": file}), 5)
        self.assertEqual(self.tokens("generate", "--config", file, env=environment), 4)
        self.assertEqual(self.tokens("generate", "--config", file, "-n", "3", env=environment), 3)
        self.expect(66, "generate", "--config", file, "missing.l4x", says="missing.l4x")
        for name, number in (("--n-predict", 2), ("--max-tokens", 1), ("--predict", 2)):
            self.assertEqual(self.tokens("generate", "--config", file, name, number), number)

    def test_sections(self):
        model = compiled(SOURCE, "--target", "cpu:x86-64-v3")
        file = config(f"""json = true
            prefill-chunk-size = 7
            [bench]
            json = false
            model = {model}
            runs = 1
            prompt-tokens = 4
            new-tokens = 2
            [serve]
            api-key = ["a, b", 'c']
            api-key = d
            """)
        text = must("bench", "--config", file)
        self.assertIn("decode", text)
        self.assertRaises(json.JSONDecodeError, json.loads, text)
        other = config(f"json\n[bench]\nmodel={model}\nruns=1\nprompt-tokens=4\nnew-tokens=2\n")
        self.assertEqual(json.loads(must("bench", "--config", other))["prompt"]["tokens"], 4)

    def test_wrong_lines(self):
        for text, says in (("[generate]\nno-such = 1\n", [":2:", "'no-such'", "generate"]),
                           ("no-such = 1\n", [":1:", "'no-such'"]),
                           ("\n\n[frobnicate]\nn = 1", [":4:", "[frobnicate]"]),
                           ("[generate\n", [":1:", "[section]"]),
                           ("[generate]\ntemperature = hot\n", [":2:", "hot"]),
                           ("[generate]\ntop-k = [1, 2]\n", [":2:", "top-k"]),
                           ("[generate]\ntop-k =\n", [":2:"]),
                           ("[generate]\ntop-k\n", [":2:", "top-k"]),
                           ("[generate]\nids = perhaps\n", [":2:", "'ids'"]),
                           ("[generate]\nprompt = \"a\nb\"\n", [":2:", "prompt"]),
                           ("[generate]\nprompt = [a, b\n", [":2:", "prompt"]),
                           ("[generate]\nprompt = \"a\" b\n", [":2:", "prompt"]),
                           ("[generate]\n--prompt = a\n", [":2:", "dashes"]),
                           ("[generate]\nseed = 1\nseed = 2\n", [":3:", "'seed'", "line 2"]),
                           ("[generate]\nhelp\n", [":2:", "'help'"]),
                           ("[generate]\nconfig = x\n", [":2:", "'config'"])):
            file = config(text)
            self.expect(78, "generate", "m.l4x", "--prompt", "a", "--config", file,
                        says=[file, *says])
        self.expect(66, "generate", "--config", temp("no-file"), says="no-file")
        conflict = config("[serve]\nport = 1\nunix-socket = /tmp/s\n")
        self.expect(78, "serve", "m.l4x", "--config", conflict, says=":3:")

    def test_what_the_command_line_excludes_is_left_out(self):
        file = config("[serve]\nport = 1\n")
        self.expect(66, "serve", temp("missing.l4x"), "--unix-socket", temp("s"), "--config", file,
                    says="missing.l4x")

    def test_wrong_environment_of_others_does_no_harm(self):
        self.expect(66, "inspect", temp("missing"), says="missing",
                    env={"LLAMA4_ARG_TEMPERATURE": "hot", "LLAMA4_ARG_PORT": "x"})

    def test_every_option_has_its_variable(self):
        for name in ("generate", "chat", "invoke", "tokenize", "bench", "perplexity", "inspect",
                     "diff", "serve", "batch"):
            lines = run(name, "--help").stdout.splitlines()
            names = [line for line in lines if line.startswith("  -")]
            for line in names:
                longs = [word for word in line.replace(",", " ").split() if word.startswith("--")]
                if longs and longs[0] != "--help":
                    wanted = "LLAMA4_ARG_" + longs[0][2:].upper().replace("-", "_")
                    self.assertIn(f"(Env:{wanted})", line, name)
            self.assertTrue(any("Env:" in line for line in names), name)


class Compile(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(COMPILE):
            self.skipTest("llama4-compile is not built")

    def plan(self, *args):
        done = command(COMPILE, "--plan-only", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_same_as_the_options(self):
        for text, options in (("max-length = 32\nquantization-encoding = q8_0\n",
                               ["--max-length=32", "--quantization-encoding=q8_0"]),
                              ("max-model-len = 32\nmax-num-seqs = 2\ncompute = float32\njson\n",
                               ["--max-length=32", "--max-batch-size=2", "--compute=float32",
                                "--json"]),
                              ("encoding-for = ['mlp=q8_0', \"o_proj=q8_0\"]\n",
                               ["--encoding-for=mlp=q8_0", "--encoding-for=o_proj=q8_0"]),
                              ("json = off\nb = 32\n", ["--max-step-tokens", "32"])):
            self.assertEqual(self.plan(SOURCE, "--config", config(text)),
                             self.plan(SOURCE, *options), text)
            self.assertNotEqual(self.plan(SOURCE, *options), self.plan(SOURCE), text)

    def test_command_line_has_the_last_word(self):
        file = config(f"max-length = 32\nquantization-encoding = q8_0\nmodel = {SOURCE}\n")
        self.assertEqual(self.plan("--config", file, "--ctx-size", "16", "--isq", "4"),
                         self.plan(SOURCE, "--max-length=16", "--isq=4"))
        self.assertEqual(self.plan("--config", file, SOURCE), self.plan("--config", file))

    def test_wrong_lines(self):
        for text, says in (("no-such = 1\n", [":1:", "'no-such'"]),
                           ("[section]\njson\n", [":2:", "[section]"]),
                           ("\nmax-length = many\n", [":2:", "many"]),
                           ("max-length = 1\nmax-length = 2\n", [":2:", "line 1"]),
                           ("max-length = 1\nmax-model-len = 2\n", [":2:", "line 1"]),
                           ("json = 7\n", [":1:", "json"]), ("config = x\n", [":1:", "'config'"]),
                           ("max-length\n", [":1:", "max-length"]),
                           ("from-phase = lm\n", [":1:", "2"])):
            file = config(text)
            done = command(COMPILE, SOURCE, "--plan-only", "--config", file)
            self.assertEqual(done.returncode, 78, text + done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            for part in [file, *says]:
                self.assertIn(part, done.stderr)
        self.assertEqual(command(COMPILE, SOURCE, "--config", temp("no-file")).returncode, 66)


if __name__ == "__main__":
    main()
