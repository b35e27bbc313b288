"""The documents of docs/ say what the programs and the code do."""

import json
import os
import re
import struct
import unittest

from clitest import BIN, COMPILE, DATA, command, compiled, main, must, run

ROOT = os.path.dirname(os.path.dirname(DATA))
REFERENCE = os.path.join(os.path.dirname(BIN), "docs", "reference")


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def rows(text, heading):
    """The cells of each row of the first table whose first line is `heading`."""
    table = text[text.index(heading):].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


class Commands(unittest.TestCase):
    TEXT = read(ROOT, "docs", "commands.md")

    def test_every_subcommand_is_there(self):
        named = {re.match(r"`(\w+)", row[0])[1] for row in rows(self.TEXT, "| subcommand | what |")}
        there = re.findall(r"^  ([a-z]+) ", run("--help").stdout.split("Subcommands:")[1], re.M)
        self.assertEqual(named, set(there))

    def test_both_spellings_are_one_option(self):
        for own, peer, other, where in rows(self.TEXT, "| here | llama.cpp |"):
            names = re.findall(r"--?[a-z][\w-]*", f"{own} {peer} {other}")
            if "the same" in peer:
                continue
            for name in re.findall(r"[a-z]+", "generate" if "all" in where else where):
                lines = [line.split()[0] for line in run(name, "--help").stdout.splitlines()
                         if re.match(rf"  ([\w,-]*,)?{re.escape(names[0])}(?![\w-])", line)]
                self.assertEqual(len(lines), 1, f"{name} {names[0]}")
                for one in names:
                    self.assertRegex(lines[0], rf"(?<![\w-]){one}(?![\w-])", name)

    @unittest.skipUnless(os.path.exists(COMPILE), "llama4-compile is not built")
    def test_both_spellings_of_the_compiler(self):
        page = command(COMPILE, "--man").stdout.replace("\\-", "-")
        for row in rows(self.TEXT, "| llama4-compile | llama.cpp |"):
            names = re.findall(r"--?[a-z][\w-]*", " ".join(row).replace("CHECKPOINT", "--checkpoint"))
            lines = [line for line in page.splitlines() if line.startswith(f"\\fB{names[0]}\\fR")]
            self.assertEqual(len(lines), 1, names[0])
            for name in names:
                self.assertIn(f"\\fB{name}\\fR", lines[0])

    def test_exit_codes_are_those_of_the_pages(self):
        codes = [row[0] for row in rows(self.TEXT, "| code | meaning |")]
        page = must("man")
        self.assertEqual(codes, re.findall(r"\\fB(\d+)\\fR", page[page.index(".SH EXIT"):]))


class Format(unittest.TestCase):
    """docs/format.md, read as a description of the header, against a file and `inspect`."""
    TEXT = read(ROOT, "docs", "format.md")

    def setUp(self):
        self.path = compiled(os.path.join(DATA, "oracles", "llama3-text-tied"), "--target",
                             "cpu:x86-64-v3")
        with open(self.path, "rb") as file:
            self.bytes = file.read()

    def fields(self):
        sizes = {"2": "<H", "4": "<I", "8": "<Q"}
        found = {}
        for offset, size, name, _ in rows(self.TEXT, "| offset | bytes | field |"):
            if size in sizes and name:
                found[name] = struct.unpack_from(sizes[size], self.bytes, int(offset))[0]
            elif size.isdigit() and not name:
                self.assertEqual(self.bytes[int(offset):int(offset) + int(size)], bytes(int(size)))
        return found

    def test_header(self):
        fields, said = self.fields(), json.loads(must("inspect", self.path, "--json"))
        self.assertEqual(self.bytes[:8], b"LLAMA4X\n")
        self.assertEqual(f"{fields['major']}.{fields['minor']}",
                         re.search(r"file format: (\S+),", must("--version"))[1])
        self.assertEqual(fields["file_bytes"], len(self.bytes))
        self.assertEqual(fields["header_bytes"], 4096)
        self.assertIn(self.bytes[40:72].hex(), json.dumps(said))
        self.assertEqual(fields["features"], 0)

    def test_sections(self):
        kinds = dict(re.findall(r"(\d) (\w+)", re.search(r"Kinds of sections: (.*?)\.", self.TEXT)[1]))
        starts = {row[0]: row[1] for row in rows(self.TEXT, "| part | starts at |")}
        end, seen = 4096, []
        for i in range(self.fields()["section_count"]):
            kind, zero, offset, size = struct.unpack_from("<IIQQ", self.bytes, 104 + 24 * i)
            name = kinds[str(kind)]
            unit = {"4096": 4096, "next multiple of 4096": 4096,
                    "next multiple of 2 MiB": 2 << 20}[starts[name]]
            self.assertEqual((zero, offset), (0, (end + unit - 1) // unit * unit), name)
            self.assertEqual(self.bytes[end:offset], bytes(offset - end))
            magic = re.search(r"`(L4\w+)`", dict((r[0], r[2]) for r in rows(
                self.TEXT, "| part | starts at |"))[name])
            if magic:
                self.assertIn(magic[1].encode(), self.bytes[offset:offset + 8])
            end = offset + size
            seen.append(name)
        self.assertEqual(end, len(self.bytes))
        self.assertEqual(seen[:2] + seen[-1:], ["Checksums", "Program", "Weights"])

    def test_features_are_all_described(self):
        header = read(ROOT, "runtime", "format", "FileHeader.h")
        values = re.findall(r"uint64_t feature\w+ = (\d+);", header)
        self.assertGreater(len(values), 2)
        self.assertEqual(set(values) - {row[0] for row in rows(self.TEXT, "| value | set when |")},
                         set())

    def test_tables_are_all_described(self):
        schema = read(ROOT, "runtime", "format", "program.fbs")
        named = " ".join(row[0] for row in rows(self.TEXT, "| table | what |"))
        for table in re.findall(r"^table (\w+)", schema, re.M):
            if table != "Program":
                self.assertRegex(named, rf"\b{table}\b")


@unittest.skipUnless(os.path.isdir(REFERENCE), "the reference is not built")
class Reference(unittest.TestCase):
    def test_every_op_and_pass_is_described(self):
        for page, folder, pattern, heading in (
                ("lm", "dialects/lm", r'^def \w+\s*:\s*\w*Lm_\w*Op\w*<\s*"([\w.]+)"', "### `lm.{}` "),
                ("cmd", "dialects/cmd", r'^def \w+\s*:\s*\w*Cmd_\w*Op\w*<\s*"([\w.]+)"',
                 "### `cmd.{}` "),
                ("passes", "passes", r'^def \w+\s*:\s*Pass<\s*"([\w-]+)"', "### `-{}`")):
            text = read(REFERENCE, page + ".md")
            files = [name for name in os.listdir(os.path.join(ROOT, folder)) if name.endswith(".td")]
            names = [name for file in files
                     for name in re.findall(pattern, read(ROOT, folder, file), re.M)]
            self.assertGreater(len(names), 2, page)
            for name in names:
                part = text[text.index(heading.format(name)):].split("\n### ")[0]
                self.assertRegex(part.split("\n\n")[1], r"^_.+_$", f"{name} has no summary")


if __name__ == "__main__":
    main()
