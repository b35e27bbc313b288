#!/usr/bin/env python3
"""Measures a saved demo model on held-out scenes, under transformers, and records its answers.

    python models/demo/evaluate.py FOLDER [--mix scene:1] [--record answers.json] [--pictures PLACE]

Each question is a conversation of its own; the answer is decoded greedily in float32 from the
weights as stored, and counts if it is word for word the expected one. Held-out sample k is drawn
from (HELD_OUT, k); training draws from other seeds. --record writes what a runtime must reproduce:
for each question the number of the sample, the answer and the smallest distance between the
likeliest token's logit and the next. --pictures writes the pictures as PNG files, k.n.png.
"""
import argparse
import contextlib
import dataclasses
import hashlib
import json
import os

import numpy as np
import torch
import transformers

import batches
import families
import samples
import scenes

HELD_OUT = 2 * 10 ** 9  # not the scenes that training watches itself by
LONGEST = 48  # tokens of an answer


@dataclasses.dataclass
class Item:
    """A question of the held-out set: turn `number` of the k-th sample."""

    k: int
    sample: samples.Sample
    number: int

    @property
    def kind(self):
        return self.sample.turns[self.number][0]

    @property
    def question(self):
        question = self.sample.turns[self.number][1]
        return question[1] if isinstance(question, tuple) else question

    @property
    def answer(self):
        return self.sample.turns[self.number][2]


def questions(mix, number, each):
    """The held-out set: up to `each` questions about each of `number` samples."""
    result = []
    for k in range(number):
        sample = samples.draw(np.random.default_rng([HELD_OUT, k]), mix, scenes.MAX_OBJECTS, each)
        result += [Item(k, sample, i) for i in range(len(sample.turns))]
    return result


def load(folder):
    """(family, model in float32, builder) of a saved demo model."""
    family = families.of_folder(folder)
    model = family.model.from_pretrained(folder, dtype=torch.float32).eval()
    return family, model, batches.Builder(family)


def check_prompts(folder, builder, items):
    """The ids that training used are those of the folder's tokenizer and chat template."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for item in items[:50]:
        sample = item.sample
        if item.number and sample.system:
            continue
        content = [{"type": "image"}] * len(sample.images) + [{"type": "text",
                                                              "text": item.question}]
        messages = [{"role": "system", "content": sample.system}] if sample.system else []
        text = tokenizer.apply_chat_template(messages + [{"role": "user", "content": content}],
                                             tokenize=False, add_generation_prompt=True)
        parts = text.split("<|image|>")
        found = tokenizer(parts[0], add_special_tokens=False)["input_ids"]
        for image, part in zip(sample.images, parts[1:]):
            found += builder.family.placeholders(*image)
            found += tokenizer(part, add_special_tokens=False)["input_ids"]
        expected = builder.prompt(sample, item.number)
        if found != expected:
            raise SystemExit(f"{folder}: the template and tokenizer make {found} of "
                             f"{item.question!r}, training used {expected}")


@torch.no_grad()
def answers(model, builder, items, size=64):
    """For each item (ids of the answer without the end, smallest margin). Prompts of one length
    with pictures of the same shapes go together, so that no padding is needed."""
    prompts = [builder.prompt(item.sample, item.number) for item in items]
    groups = {}
    for i, (item, prompt) in enumerate(zip(items, prompts)):
        groups.setdefault((len(prompt), *item.sample.images), []).append(i)
    result = [None] * len(items)
    for (length, *_), members in sorted(groups.items()):
        for start in range(0, len(members), size):
            group = members[start:start + size]
            inputs = builder.inputs([items[i].sample for i in group], [prompts[i] for i in group])
            made = model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False,
                                  return_dict_in_generate=True, output_logits=True)
            tokens = made.sequences[:, length:]
            best = torch.stack(made.logits, 1).topk(2).values
            margins = best[..., 0] - best[..., 1]
            for row, i in enumerate(group):
                ids = tokens[row].tolist()
                count = ids.index(builder.end) if builder.end in ids else len(ids)
                margin = margins[row, :count + 1].min().item()
                result[i] = (ids[:count], round(margin, 5))
    return result


def table(items, right):
    """A Markdown table of accuracy by kind."""
    lines = ["| question | asked | right |", "|---|---|---|"]
    for kind in [*samples.KINDS, "all"]:
        of = [ok for item, ok in zip(items, right) if kind in (item.kind, "all")]
        if of:
            lines.append(f"| {kind} | {len(of)} | {100 * sum(of) / len(of):.1f} % |")
    return "\n".join(lines)


def record(path, options, builder, items, made):
    """What a runtime must reproduce, one question a line."""
    with open(os.path.join(options.folder, "model.safetensors"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    head = {"model_sha256": digest, "transformers": transformers.__version__,
            "torch": torch.__version__, "held_out": HELD_OUT, "mix": options.mix,
            "each": options.each}
    lines = [json.dumps({"sample": i.k, "turn": i.number, "kind": i.kind, "question": i.question,
                         "expected": i.answer, "answer": builder.tokenizer.decode(ids),
                         "margin": margin}) for i, (ids, margin) in zip(items, made)]
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps(head)[:-1] + ', "items": [\n' + ",\n".join(lines) + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--mix", type=samples.mixture, default="scene:1")
    parser.add_argument("--number", type=int, default=500, help="of samples")
    parser.add_argument("--each", type=int, default=4, help="questions a sample at most")
    parser.add_argument("--plain", action="store_true",
                        help="transformers as it is, where it differs from Meta's code too")
    parser.add_argument("--record")
    parser.add_argument("--pictures")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    family, model, builder = load(options.folder)
    items = questions(options.mix, options.number, options.each)
    check_prompts(options.folder, builder, items)
    with contextlib.nullcontext() if options.plain else family.reference(model):
        made = answers(model, builder, items)
    right = [builder.tokenizer.decode(ids) == item.answer for item, (ids, _) in zip(items, made)]
    print(table(items, right))
    if options.record:
        record(options.record, options, builder, items, made)
    if options.pictures:
        from PIL import Image
        os.makedirs(options.pictures, exist_ok=True)
        for k, sample in {item.k: item.sample for item in items}.items():
            for n, picture in enumerate(samples.pictures(sample)):
                path = os.path.join(options.pictures, f"{k}.{n}.png")
                Image.fromarray(picture).save(path)


if __name__ == "__main__":
    main()
