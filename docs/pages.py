#!/usr/bin/env python3
"""Writes manual pages and completions of the programs: pages.py FOLDER_OF_PROGRAMS OUTPUT.

OUTPUT/man/man1 is laid out as man expects it, OUTPUT/completion holds a file for each program and
shell, named as the shell expects it.
"""
import os
import re
import subprocess
import sys

SHELLS = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}


def say(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def write(text, *parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(programs, output):
    run, compiler = (os.path.join(programs, name) for name in ("llama4-run", "llama4-compile"))
    page = say(run, "man")
    write(page, output, "man/man1/llama4-run.1")
    for name in re.findall(r"llama4\\-run\\-([a-z]+)\(1\)", page):
        write(say(run, "man", name), output, f"man/man1/llama4-run-{name}.1")
    write(say(compiler, "--man"), output, "man/man1/llama4-compile.1")
    for shell, file in SHELLS.items():
        for name, text in (("llama4-run", say(run, "completion", shell)),
                           ("llama4-compile", say(compiler, f"--completion={shell}"))):
            write(text, output, "completion", shell, file.format(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
