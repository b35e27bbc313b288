#!/usr/bin/env python3
"""Checks sizes of files, open ends, machine paths and links; long functions are only a warning."""
import os
import re
import sys

import tree

MAX_LINES = 500
MAX_LINES_OP_DEFINITIONS = 800  # dialects/*/*.cpp: verifiers, parsers and printers of all ops
MAX_FUNCTION = 60
MAX_FILE = 5 << 20
MAX_WEIGHTS = 12_000_000  # of a demo model, which is committed once
MAX_TREE = 60 << 20

OPEN_END = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\s*\(#\d+\))")
MACHINE_PATH = re.compile(r"(?<![\w.}])/(work|home/\w+|root|tmp/build[\w-]*)/")
NOT_A_FUNCTION = re.compile(r"^\s*(namespace|class|struct|enum|union|extern|switch|if|for|while)\b|=\s*{$")


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def dead_links(path, text, root=tree.ROOT):
    """Relative links of a Markdown file that lead nowhere."""
    folder = os.path.join(root, os.path.dirname(path))
    return [f"{path}:{number}: links to {target}, which does not exist: correct the path"
            for number, line in enumerate(text.splitlines(), 1) for target in LINK.findall(line)
            if not os.path.exists(os.path.join(folder, target))]


def line_limit(path):
    in_dialect = path.startswith("dialects/") and path.endswith(".cpp")
    return MAX_LINES_OP_DEFINITIONS if in_dialect else MAX_LINES


def long_functions(path, lines):
    """Functions and methods of clang-formatted C++ that are longer than MAX_FUNCTION lines."""
    found, start = [], {}
    for number, line in enumerate(lines, 1):
        indent = len(line) - len(line.lstrip(" "))
        if indent > 2:
            continue
        if line.endswith("{") and "(" in "".join(lines[max(0, number - 3):number]) \
                and not NOT_A_FUNCTION.search(line):
            start[indent] = number
        elif line.strip() in ("}", "};"):
            begin = start.pop(indent, number)
            if number - begin + 1 > MAX_FUNCTION:
                found.append(f"{path}:{begin}: warning: a function of {number - begin + 1} lines, "
                             f"aim at {MAX_FUNCTION}: give its parts names")
    return found


def check_text(path, text):
    """(violations, warnings) of one text file."""
    lines = text.splitlines()
    found, warnings = [], []
    for number, line in enumerate(lines, 1):
        match = MACHINE_PATH.search(line)
        if match and not path.startswith("test/data/"):
            found.append(f"{path}:{number}: {match[0]} is a path of one machine: "
                         "make it relative or an option")
        if path.endswith(tree.SOURCES) and (end := OPEN_END.search(line)):
            found.append(f"{path}:{number}: {end[0]} without an issue number: "
                         f"write {end[0]}(#123), or do it")
    if path.endswith(".md"):
        found += dead_links(path, text)
    if path.endswith((".cpp", ".h", ".td", ".py", ".sh")):
        limit = line_limit(path)
        if len(lines) > limit:
            found.append(f"{path}:{limit + 1}: {len(lines)} lines, at most {limit}: "
                         "split the file by what its parts do")
    if path.endswith((".cpp", ".h")):
        warnings = long_functions(path, lines)
    return found, warnings


def check_sizes(sizes):
    """Violations of the limits on bytes; `sizes` has the bytes of each path."""
    def most(path):
        return MAX_WEIGHTS if path.startswith("models/demo/") and path.endswith(".safetensors") else MAX_FILE

    found = [f"{path}:1: {size >> 20} MiB, at most {most(path) >> 20} MiB a file: make it smaller or fetch "
             "it in setup.sh" for path, size in sizes.items() if size > most(path)]
    total = sum(sizes.values())
    if total > MAX_TREE:
        biggest = max(sizes, key=sizes.get)
        found.append(f"{biggest}:1: the tree has {total >> 20} MiB, at most {MAX_TREE >> 20} MiB: "
                     "this is its largest file")
    return found


def main():
    paths = tree.files()
    found = check_sizes({p: os.path.getsize(os.path.join(tree.ROOT, p)) for p in paths})
    warnings = []
    for path in paths:
        text = tree.read(path)
        if text is not None:
            wrong, doubtful = check_text(path, text)
            found += wrong
            warnings += doubtful
    tree.report(warnings)
    return tree.report(found)


if __name__ == "__main__":
    sys.exit(main())
