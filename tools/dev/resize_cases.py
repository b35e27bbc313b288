#!/usr/bin/env python3
"""Adds what the installed Pillow's resize gives to test/data/image_resize/cases.json.

    for v in 12.0.0 13.0.0; do
      python3 -m venv P$v && P$v/bin/pip install pillow==$v numpy
      P$v/bin/python tools/dev/resize_cases.py test/data/image_resize/cases.json
    done

A case is a picture of `from` pixels, filled by a linear congruential generator that starts at
`seed`, scaled to `to`; `pillow12` and `pillow13` are the SHA-256 of the RGB bytes.
"""
import hashlib
import json
import os
import random
import sys

import numpy as np
import PIL
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Corners: one pixel, one row, one column, one axis kept, strong shrinking of one axis.
SIZES = [((1, 1), (9, 5)), ((9, 5), (1, 1)), ((1, 40), (7, 7)), ((40, 1), (7, 7)),
         ((30, 20), (30, 20)), ((30, 20), (30, 11)), ((30, 20), (11, 20)), ((16, 300), (12, 20)),
         ((300, 16), (20, 12)), ((64, 64), (21, 21)), ((21, 21), (64, 64)), ((100, 80), (99, 79)),
         ((33, 90), (60, 30)), ((90, 33), (30, 60)), ((17, 17), (16, 18)), ((2, 2), (200, 3))]


def picture(size, seed):
    count, state = size[0] * size[1] * 3, seed
    values = np.empty(count, np.uint8)
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state >> 24
    return Image.fromarray(values.reshape(size[1], size[0], 3))


def main():
    path = sys.argv[1]
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            known = {c["seed"]: c for c in json.load(file)}
    rng = random.Random(5)
    sizes = SIZES + [tuple((rng.randint(1, 90), rng.randint(1, 90)) for _ in "io")
                     for _ in range(44)]
    version = "pillow13" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow12"
    cases = []
    for seed, (before, after) in enumerate(sizes):
        for name, kind in FILTERS.items():
            number = 2 * seed + (name == "bicubic") + 1
            case = known.get(number, {"seed": number, "from": before, "to": after, "filter": name})
            scaled = picture(before, number).resize(after, kind)
            case[version] = hashlib.sha256(np.asarray(scaled).tobytes()).hexdigest()
            cases.append(case)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
