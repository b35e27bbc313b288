#!/usr/bin/env python3
"""Compares this project's reference interpreter with transformers on a saved demo model.

    python models/demo/compare.py FOLDER [--items 4] [--opt build/bin/llama4-opt]

Prints the largest difference between the logits of both, at every position of held-out
conversations with a picture, in float32; fails above 2e-4 of their standard deviation.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import batches
import evaluate
import samples

TOLERANCE = 2e-4


@torch.no_grad()
def difference(model, builder, item, folder, opt):
    """The largest difference of logits over their standard deviation."""
    ids = torch.tensor([builder.conversation(item.sample)[0]])
    pixels = batches.normalise(np.stack(item.sample.tiles))
    expected = model(input_ids=ids, pixel_values=pixels).logits[0]
    with tempfile.TemporaryDirectory() as place:
        source, result = (os.path.join(place, name) for name in ("in", "out"))
        save_file({"input_ids": ids[0], "pixel_values": pixels}, source)
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
    model = transformers.Llama4ForConditionalGeneration.from_pretrained(
        options.folder, dtype=torch.float32).eval()
    builder = batches.Builder()
    worst = 0.0
    for item in evaluate.questions(options.mix, options.items, 2):
        found = difference(model, builder, item, options.folder, options.opt)
        worst = max(worst, found)
        print(f"{found:.1e} of the logits' deviation: {item.question}")
    if not worst <= TOLERANCE:
        sys.exit(f"the largest difference is {worst:.1e}, expected {TOLERANCE:.0e} or less")


if __name__ == "__main__":
    main()
