#!/usr/bin/env python3
"""Records how the PyPI package `tokenizers` cuts text, for every splitter.

Writes test/data/tokenizers/splitters.json: {splitter: [[text, [piece lengths in bytes]], ...]}.
The texts are random, from an alphabet of what the expressions tell apart.

  python3 tools/dev/splitter_cases.py > test/data/tokenizers/splitters.json
"""
import json
import random
import sys

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA4 = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
          r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPLITTERS = {
    "gpt2": ByteLevel(False, use_regex=True),
    "llama3": Split(Regex(LLAMA3), "isolated"),
    "llama4": Split(Regex(LLAMA4), "isolated"),
    "smollm": Sequence([Digits(True), ByteLevel(False, use_regex=True)]),
    "digit_runs": Sequence([Digits(False), ByteLevel(False, use_regex=True)]),
}
# Letters of every category, marks, digits (also ones that only some call digits), spaces of every
# kind, contractions, U+017F (an s without case), symbols, characters beyond the first plane.
ALPHABET = (list("abzAZ") + ["é", "É", "ǅ", "ʰ", "ª", "中", "ß", "ſ", "K", "\u0301", "\u0903",
            "\u20dd", "𝐀", "𝑎", "𐐀"] + list("0159") + ["²", "½", "٣", "Ⅷ", "〇", "𝟙"] +
            [" ", " ", " ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085",
             "\u200b", "\u180e", "\x1c"] + list("'.,/-_<|>!") + ["'s", "'S", "'ſ", "'t", "'re",
             "'LL", "'vE", "'d", "'x", "😀", "👍🏽", "€", "\ufffd"])


def main():
    rng = random.Random(20)
    result = {}
    for name, splitter in SPLITTERS.items():
        cases = []
        for number in range(400):
            text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 24)))
            pieces = splitter.pre_tokenize_str(text)
            sizes = [len(text[b:e].encode()) for _, (b, e) in pieces]
            assert sum(sizes) == len(text.encode())
            cases.append([text, sizes])
        result[name] = cases
    json.dump(result, sys.stdout, ensure_ascii=True, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
