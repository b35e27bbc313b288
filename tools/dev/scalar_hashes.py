#!/usr/bin/env python3
"""Records what the tokenizers package makes of every Unicode scalar value.

Each scalar c is encoded as "c", "ac", " c" and "1c" by the tokenizers of SmolLM2, Llama 3 and
Llama 4. The ids of a block of 4096 code points, all contexts, are hashed; a control token between
the texts keeps them apart. Llama's tokenizer.json files are not free to copy: --references is the
folder that holds tokenizers/llama3/tokenizer.json.xz and tokenizers/llama4/tokenizer.json.xz.

  python3 tools/dev/scalar_hashes.py --references DIR > test/data/tokenizers/scalars.json
  python3 tools/dev/scalar_hashes.py --references DIR --show llama3 17   # the ids of one block
"""
import argparse
import hashlib
import json
import lzma
import os
import struct
import sys

from tokenizers import Tokenizer

DATA = os.path.join(os.path.dirname(__file__), "../../test/data/tokenizers")
BLOCK = 4096
CONTEXTS = ["", "a", " ", "1"]
SEPARATORS = {"smollm2": "<|endoftext|>", "llama3": "<|end_of_text|>",
              "llama4": "<|end_of_text|>"}


def load(name, references):
    folder = DATA if name == "smollm2" else os.path.join(references, "tokenizers")
    with lzma.open(os.path.join(folder, name, "tokenizer.json.xz"), "rt", encoding="utf-8") as file:
        return Tokenizer.from_str(file.read())


def block_text(block, separator):
    return "".join(separator + context + chr(code)
                   for code in range(block * BLOCK, (block + 1) * BLOCK)
                   if not 0xD800 <= code < 0xE000 for context in CONTEXTS)


def block_ids(tokenizer, block, separator):
    return tokenizer.encode(block_text(block, separator), add_special_tokens=False).ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--references", required=True)
    parser.add_argument("--show", nargs=2, metavar=("NAME", "BLOCK"))
    options = parser.parse_args()
    if options.show:
        name, block = options.show
        print(*block_ids(load(name, options.references), int(block), SEPARATORS[name]))
        return
    result = {"block": BLOCK, "contexts": CONTEXTS}
    for name, separator in SEPARATORS.items():
        tokenizer = load(name, options.references)
        hashes, count = [], 0
        for block in range(0x110000 // BLOCK):
            ids = block_ids(tokenizer, block, separator)
            count += len(ids)
            hashes.append(hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()[:16])
        result[name] = {"separator": separator, "ids": count, "hashes": hashes}
    json.dump(result, sys.stdout, ensure_ascii=True, indent=1)
    print()


if __name__ == "__main__":
    main()
