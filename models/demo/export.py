#!/usr/bin/env python3
"""Writes the Hugging Face folder of a training state: the running mean of its weights, in bfloat16.

    python models/demo/export.py STATE FOLDER
"""
import os
import sys

import torch

import families


def export(state_folder, folder):
    state = torch.load(os.path.join(state_folder, "state.pt"), weights_only=True)
    family = families.FAMILIES[state.get("family", "llama4")]
    names = [name for name, _ in family.create(0).named_parameters()]
    family.save(dict(zip(names, state["mean"])), folder)
    return state["step"]


if __name__ == "__main__":
    step = export(sys.argv[1], sys.argv[2])
    size = os.path.getsize(os.path.join(sys.argv[2], "model.safetensors"))
    print(f"{sys.argv[2]}: step {step}, {size} bytes of weights")
