#!/usr/bin/env python3
"""Builds the demo models' tokenizer: byte-level BPE, Llama 4's split pattern and special tokens.

    python models/demo/vocabulary.py     # writes tokenizer.json beside this file

The text it learns from is what the scene generator said when it was run, plus the lines below that
later tasks (plain chat, tool calls) need. Weights belong to one vocabulary: training and export
read the file, and running this again after a change of scenes.py makes trained weights useless.
"""
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
    trainer = BpeTrainer(vocab_size=SIZE - len(SPECIAL), show_progress=False,
                         initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(corpus(), trainer)
    base = tokenizer.get_vocab_size()
    if base > SIZE - len(SPECIAL):
        raise SystemExit(f"the vocabulary has {base} ids, expected {SIZE - len(SPECIAL)} or less")
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    bos = SPECIAL[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
                                      special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    return tokenizer


def load():
    """The tokenizer that the weights belong to."""
    return Tokenizer.from_file(FILE)


if __name__ == "__main__":
    build().save(FILE)
    print(FILE)
