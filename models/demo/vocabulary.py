#!/usr/bin/env python3
"""Builds the demo models' tokenizer: byte-level BPE, Llama 4's split pattern and special tokens.

    python models/demo/vocabulary.py     # writes tokenizer.json beside this file

The text it learns from is what the scene generator said when it was run, plus the lines below that
later tasks (plain chat, tool calls) need. Weights belong to one vocabulary: training and export
read the file, and running this again after a change of scenes.py makes trained weights useless.

Llama 3.2 Vision's tokenizer is the same byte pairs with Llama 3's split pattern and special tokens;
`load` makes it of the same file. Its <|image|> has the id SIZE, behind the rows of the head.
"""
import functools
import json
import os

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

import scenes

SIZE = 512
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.json")
SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>",
           "<|fim_suffix|>", "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>",
           "<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>", "<|image_start|>",
           "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>", "<|image|>",
           "<|patch|>"]
SPLIT_3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL_3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
             "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|step_id|>",
             "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
             "<|python_tag|>", *(f"<|reserved_special_token_{i}|>" for i in range(2, 10)),
             "<|image|>"]
BASE = SIZE - len(SPECIAL)  # ids of byte pairs

# What is not about scenes: how often, then the line.
LINES = [
    (900, "user\n\nassistant\n\nsystem\n\nipython\n\n"),
    (60, "Hello! Hi! How can I help you?"),
    (40, "Who are you? I am a small model that sees pictures of shapes, digits and words."),
    (40, "What can you do? I can answer questions about pictures, count, and call tools."),
    (40, "Thank you! You are welcome. Good morning. Bye! See you soon."),
    (40, "Are the two pictures the same? Which picture has more shapes? the first the second"),
    (40, "What number is in the picture? What word is written there? Which digit is it?"),
    (60, '[get_weather(city="Paris")] What is the weather in Paris?'),
    (60, '[calculate(expression="12 + 30")] What is 12 plus 30? 7 times 8? 9 minus 4?'),
    (40, '{"temperature": 21, "sky": "sunny"} It is sunny in Paris, 21 degrees.'),
    (40, '{"result": 42} The result is 42. not both none one two three four'),
]


def corpus():
    rng = np.random.default_rng(20260)
    for _ in range(3000):
        scene = scenes.scene(rng)
        for _, question, answer in scenes.turns(rng, scene, 4):
            yield question
            yield answer
    for times, line in LINES:
        for _ in range(times):
            yield line


def build():
    """The tokenizer: SIZE ids, the last len(SPECIAL) of them special."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(vocab_size=BASE, show_progress=False,
                         initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(corpus(), trainer)
    base = tokenizer.get_vocab_size()
    if base > BASE:
        raise SystemExit(f"the vocabulary has {base} ids, expected {BASE} or less")
    return special_tokens(tokenizer, SPECIAL)


def special_tokens(tokenizer, names):
    """Gives a tokenizer its special tokens, from the first free id on; a text begins with the
    first of them."""
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in names])
    bos = names[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
                                      special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    return tokenizer


def load(special=SPECIAL):
    """The tokenizer that the weights belong to, with the special tokens of Llama 4 or Llama 3."""
    if special is SPECIAL:
        return Tokenizer.from_file(FILE)
    with open(FILE, encoding="utf-8") as f:
        content = json.load(f)
    content["added_tokens"] = []
    content["post_processor"] = None
    content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = SPLIT_3
    return special_tokens(Tokenizer.from_str(json.dumps(content)), special)


class Tokens:
    """The ids of a family's special tokens: of those with a part in a conversation by that part."""

    def __init__(self, names, **parts):
        self.names, self.parts = names, parts
        for part, name in parts.items():
            setattr(self, part, self.special(name))

    def special(self, name):
        """The id of a special token."""
        return BASE + self.names.index(name)

    @functools.cached_property
    def tokenizer(self):
        return load(self.names)


if __name__ == "__main__":
    build().save(FILE)
    print(FILE)
