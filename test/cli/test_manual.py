"""Completion and manual pages: every option of --help is in them, and shells can read them."""

import os
import re
import shutil
import subprocess
import unittest

from clitest import BIN, COMPILE, RUN, command, main, must, run, temp

COMMANDS = re.findall(r"^  ([a-z]+) ", run("--help").stdout.split("Subcommands:")[1], re.M)


def options_of(text):
    """The names of options in a --help."""
    names = set()
    for line in text.splitlines():
        start = re.match(r"  (-.*?)(  |=| [A-Z<{]|$)", line + "  ")
        if start or re.match(r"  [A-Z]+,-", line):
            names.update(re.findall(r"(?<![\w-])--?[a-z][\w-]*", line[:30 + len(line.split("  ")[1])]
                                    .split("  ")[1].split(" ")[0] if start is None else start[1]))
    return names


def compile_help():
    text = command(COMPILE, "--help").stdout
    names = {name for line in text.splitlines()
             for name in re.findall(r"^  +(--?[\w-]+)", line)}
    return names - {"--help-list"}  # llvm::cl shows it in --help alone


def bash_words(program, script, *words):
    """What bash offers for the last of the words."""
    path = temp("completion.bash")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script)
    ask = (f"source {path}; COMP_WORDS=({program} {' '.join(repr(w) for w in words)}); "
           f"COMP_CWORD={len(words)}; _{program.replace('-', '_')}; "
           "printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False)
    return [word for word in done.stdout.splitlines() if word]


def man_text(page):
    """The page as man shows it; without groff the page itself."""
    if not shutil.which("groff"):
        return page.replace("\\-", "-")
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou"], input=page,
                          capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise AssertionError(f"groff: {done.stderr}")
    return done.stdout


class RunProgram(unittest.TestCase):
    def test_help_has_the_commands(self):
        for name in ("generate", "chat", "serve", "batch", "bench", "perplexity", "tokenize",
                     "invoke", "inspect", "verify", "diff", "completion", "man"):
            self.assertIn(name, COMMANDS)

    def test_every_option_is_in_the_page_of_its_command(self):
        program = man_text(must("man"))
        for command_name in COMMANDS:
            self.assertIn(f"llama4-run-{command_name}(1)", program)
            page = man_text(must("man", command_name))
            words = set(re.findall(r"(?<![\w-])--?[\w-]+", page))
            options = options_of(run(command_name, "--help").stdout)
            self.assertIn("--help", options)
            self.assertEqual(options - words, set(), command_name)
            for heading in ("NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS"):
                self.assertRegex(page, rf"(?m)^{heading}$")
        self.assertIn("78", program)
        self.assertEqual(run("man", "frobnicate").returncode, 2)

    def test_bash_completes_every_option(self):
        script = must("completion", "bash")
        self.assertEqual(set(bash_words("llama4-run", script, "")), set(COMMANDS))
        self.assertEqual(bash_words("llama4-run", script, "gen"), ["generate"])
        for command_name in COMMANDS:
            offered = set(bash_words("llama4-run", script, command_name, "-"))
            options = options_of(run(command_name, "--help").stdout)
            self.assertEqual(options - offered, set(), command_name)
            self.assertEqual(offered - options, {"--config", "--version"}, command_name)

    def test_bash_completes_values(self):
        script = must("completion", "bash")
        self.assertEqual(bash_words("llama4-run", script, "serve", "m.l4x", "--log-format", ""),
                         ["json", "text"])
        self.assertEqual(bash_words("llama4-run", script, "serve", "--log-format", "t"), ["text"])
        self.assertEqual(bash_words("llama4-run", script, "generate", "-n", ""), [])
        here = os.path.join(BIN, "llama4-ru")
        for words in (["generate", here], ["generate", "m.l4x", "--prompt-file", here],
                      ["--config", here]):
            self.assertEqual(bash_words("llama4-run", script, *words), [RUN])

    def test_shells_have_every_option(self):
        for shell in ("bash", "zsh", "fish"):
            script = must("completion", shell)
            checker = shutil.which(shell)
            if checker:
                done = subprocess.run([checker, "-n"], input=script, capture_output=True,
                                      text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            for command_name in COMMANDS:
                for name in options_of(run(command_name, "--help").stdout):
                    if shell == "fish":
                        wanted = rf"seen_subcommand_from {command_name}'.* -[los] {name.lstrip('-')} "
                        if name in ("-h", "--help"):
                            wanted = rf" -[los] {name.lstrip('-')} "
                        self.assertRegex(script, wanted)
                    elif shell == "zsh":
                        self.assertIn(f"'*{name}[", script)
        self.assertEqual(run("completion", "tcsh").returncode, 2)
        self.assertEqual(run("completion").returncode, 2)

    def test_zsh_quotes(self):
        """The script's words are in '...': as bash reads them, quotes close and brackets match."""
        script = must("completion", "zsh")
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in re.findall(r"^    '\*(.*)' \\$", script, re.M):
            plain = re.sub(r"\\.", "", line)
            self.assertEqual((plain.count("["), plain.count("]")), (1, 1), line)


@unittest.skipUnless(os.path.exists(COMPILE), "llama4-compile is not built")
class CompileProgram(unittest.TestCase):
    def test_every_option_is_in_the_page(self):
        page = man_text(command(COMPILE, "--man").stdout)
        words = set(re.findall(r"(?<![\w-])--?[\w-]+", page))
        self.assertIn("--max-length", compile_help())
        self.assertEqual(compile_help() - words, set())

    def test_every_option_is_completed(self):
        script = command(COMPILE, "--completion=bash").stdout
        self.assertEqual(compile_help() - set(bash_words("llama4-compile", script, "-")), set())
        self.assertEqual(bash_words("llama4-compile", script, "m", "--compute", "f"), ["float32"])
        self.assertEqual(bash_words("llama4-compile", script, "m", "-o", RUN[:-1]), [RUN])
        self.assertEqual(bash_words("llama4-compile", script, RUN[:-1]), [RUN])
        fish = command(COMPILE, "--completion", "fish").stdout
        zsh = command(COMPILE, "--completion", "zsh").stdout
        for name in compile_help():
            self.assertRegex(fish, rf" -[los] {name.lstrip('-')} ")
            self.assertIn(f"'*{name}[", zsh)
        done = command(COMPILE, "--completion=tcsh")
        self.assertEqual((done.returncode, done.stdout), (2, ""))


if __name__ == "__main__":
    main()
