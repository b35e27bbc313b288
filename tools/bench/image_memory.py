#!/usr/bin/env python3
"""Peak memory of models that see, beside the bound that their plan prints.

    tools/bench/image_memory.py [--bin build/bin] [--images 5]

Two models of full width and little depth with made-up weights, one shaped like Llama 3.2 Vision
11B, one like Llama 4 Scout, take pictures of 1280 x 720 pixels in one prompt. The peak of the
process (VmHWM) must not exceed what `llama4-compile --plan-only` printed. Needs pillow and numpy.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

from shapes import SCOUT_VISION_TOWER, shape

# Few layers and a small vocabulary: memory is judged by its plan, not by its size.
MLLAMA = shape("llama-3.2-11b-vision", num_hidden_layers=2, vocab_size=32000)
MLLAMA["image_token_index"] = 32000
MLLAMA["vision_config"] |= {"num_hidden_layers": 2, "num_global_layers": 1,
                            "vision_output_dim": 2560, "intermediate_layers_indices": [0]}
SCOUT = {
    "architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4",
    "image_token_index": 1000, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    "text_config": shape("scout", num_hidden_layers=1, vocab_size=32000, num_local_experts=2,
                         bos_token_id=1, eos_token_id=[2]),
    "vision_config": SCOUT_VISION_TOWER | {"num_hidden_layers": 2}}
del SCOUT["text_config"]["architectures"]
OPTIONS = ["--synthetic-weights", "random:1", "--quantization-encoding", "q4_0", "--max-batch-size",
           "1", "--max-step-tokens", "64"]


def prompt(name, images):
    """Ids with a place for every picture; of Llama 4 with places for all features as well."""
    if name == "mllama":
        return [1] + [id for i in range(images) for id in (32000, 5 + i)]
    # A picture of 1280 x 720 is 12 tiles and a whole one, 144 features each.
    return [1] + [id for i in range(images) for id in (*[1000] * (13 * 144), 5 + i)]


def measure(name, config, options, folder):
    (folder / "config.json").write_text(json.dumps(config))
    length = str(len(prompt(name, options.images)) + 8)
    program = folder / f"{name}.l4x"
    compile_ = [options.bin / "llama4-compile", folder, *OPTIONS, "--max-length", length]
    plan = json.loads(subprocess.run([*compile_, "--plan-only", "--json"], check=True,
                                     capture_output=True).stdout)
    subprocess.run([*compile_, "-o", program, "--target", "cpu:native"], check=True)
    shown = [part for i in range(options.images) for part in ("--image", folder / f"{i}.png")]
    child = subprocess.Popen([options.bin / "llama4-run", "generate", program, "--prompt-ids",
                              ",".join(map(str, prompt(name, options.images))), *shown, "-n", "2",
                              "--ids", "--temperature", "0", "--threads", "2"],
                             stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{name}: llama4-run ended with status {status}")
    peak = usage.ru_maxrss * 1024
    bound = plan["memory_bytes"]["all"] + 2 * plan["scratch_bytes_per_thread"]
    print(f"{name}: peak {peak / 1e9:.3f} GB, bound {bound / 1e9:.3f} GB, "
          f"share {peak / bound:.3f}; vision: {plan['sides']['vision']}")
    return peak <= bound


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--only", choices=["mllama", "scout"])
    options = parser.parse_args()
    inside = True
    for name, config in (("mllama", MLLAMA), ("scout", SCOUT)):
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for i in range(options.images):
                pixels = np.random.default_rng(i).integers(0, 256, (720, 1280, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
            inside &= measure(name, config, options, folder)
    return 0 if inside else 1


if __name__ == "__main__":
    sys.exit(main())
