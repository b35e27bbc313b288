#!/usr/bin/env python3
"""Compares this project's reference interpreter with transformers on a saved demo model.

    python models/demo/compare.py FOLDER [--items 4] [--opt build/bin/llama4-opt]

Prints the largest difference between the logits of both, at every position of held-out
conversations with a picture, in float32; fails above 2e-4 of their standard deviation. Where
transformers differs from Meta's code it is corrected (`families.Family.reference`).
"""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

import evaluate
import samples

TOLERANCE = 2e-4


@torch.no_grad()
def difference(model, builder, item, folder, opt):
    """The largest difference of logits over their standard deviation."""
    inputs = builder.inputs([item.sample], [builder.conversation(item.sample)[0]])
    with builder.family.reference(model):
        expected = model(**inputs).logits[0]
    inputs["input_ids"] = inputs["input_ids"][0]
    with tempfile.TemporaryDirectory() as place:
        source, result = (os.path.join(place, name) for name in ("in", "out"))
        save_file({name: x.contiguous() for name, x in inputs.items()}, source)
        subprocess.run([opt, "--interpret", "--vision", "--checkpoint", folder, "--in", source,
                        "--out", result], check=True)
        found = load_file(result)["logits"].view(expected.shape)
    return ((found - expected).abs().max() / expected.std()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--mix", type=samples.mixture, default="scene:2,tiled:1,pair:1")
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--opt", default="build/bin/llama4-opt")
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, model, builder = evaluate.load(options.folder)
    worst = 0.0
    for item in evaluate.questions(options.mix, options.items, 2):
        found = difference(model, builder, item, options.folder, options.opt)
        worst = max(worst, found)
        print(f"{found:.1e} of the logits' deviation: {item.question}")
    if not worst <= TOLERANCE:
        sys.exit(f"the largest difference is {worst:.1e}, expected {TOLERANCE:.0e} or less")


if __name__ == "__main__":
    main()
