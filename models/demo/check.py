#!/usr/bin/env python3
"""Compares the forward pass that training uses with transformers, in float32.

    python models/demo/check.py [--family mllama]

Prints the largest difference of logits, over their standard deviation, for a batch of scenes and
one of every kind of sample, with initial weights; fails above 1e-4.
"""
import argparse
import sys

import numpy as np
import torch

import batches
import families
import samples

TOLERANCE = 1e-4


@torch.no_grad()
def difference(family, model, batch):
    """The largest difference at the rows of answers, over the logits' standard deviation."""
    ours = family.forward(model, half=False)
    ours.load()
    mine = ours.answer(batch, ours.see(batch))
    theirs = []
    with family.reference(model):
        for i, rows in enumerate(batch.rows):
            inputs = family.inputs(batch.ids[i:i + 1], *batch.of(i))
            theirs.append(model(**inputs).logits[0, rows])
    theirs = torch.stack(theirs)
    return ((mine - theirs).abs().max() / theirs.std()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--family", choices=families.FAMILIES, default="llama4")
    options = parser.parse_args()
    torch.set_num_threads(1)
    family = families.FAMILIES[options.family]
    model, builder = family.create(1).eval(), batches.Builder(family)
    rng = np.random.default_rng(1)
    for mix in ({"scene": 1}, dict.fromkeys(samples.MIX, 1)):
        batch = builder.batch([samples.draw(rng, mix, 4, 4) for _ in range(12)])
        found = difference(family, model, batch)
        print(f"{found:.1e} of the logits' deviation: {', '.join(mix)}")
        if not found <= TOLERANCE:
            sys.exit(f"the largest difference is {found:.1e}, expected {TOLERANCE:.0e} or less")


if __name__ == "__main__":
    main()
