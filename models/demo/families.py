"""The families of demo models, with what training and judging need of each."""
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable

import transformers

import checkpoint
import forward
import mllama_checkpoint
import mllama_forward
import vocabulary


@dataclasses.dataclass
class Family:
    name: str  # of the model
    tokens: vocabulary.Tokens
    create: Callable  # (seed): a float32 model with initial weights
    save: Callable  # (weights by name, place): writes the Hugging Face folder
    forward: Callable  # (model, half): the pass for training
    placeholders: Callable  # (rows, columns): the ids that stand for a picture
    tiles: Callable  # (pictures' shapes, their tiles in Llama 4's order): those the family sees
    normalise: Callable  # u8[N, S, S, 3] to the f32[N, 3, S, S] that the tower takes
    inputs: Callable  # (ids, pixels, shapes): transformers' inputs
    model: type  # of transformers
    reference: Callable  # (model): a context in which transformers computes what is meant


def _family(name, of, forward_of, model, reference):
    return Family(name, of.TOKENS, of.create, of.save, forward_of.Forward, of.placeholders,
                  of.tiles, of.normalise, of.inputs, model, reference)


FAMILIES = {
    "llama4": _family("llama4-demo", checkpoint, forward,
                      transformers.Llama4ForConditionalGeneration, contextlib.nullcontext),
    "mllama": _family("llama3.2-vision-demo", mllama_checkpoint, mllama_forward,
                      transformers.MllamaForConditionalGeneration, mllama_checkpoint.follow_meta),
}


def of_folder(place):
    """The family of a saved model."""
    with open(os.path.join(place, "config.json"), encoding="utf-8") as f:
        return FAMILIES[json.load(f)["model_type"]]
