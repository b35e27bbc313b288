"""Conversations as tensors, in a family's chat format.

`rows` are the places whose logits are the tokens of an answer and the end behind it; padding
has weight 0. Tiles of all conversations lie one behind the other, in the order of their
placeholders.
"""
import dataclasses

import numpy as np
import torch

import heads
import samples


@dataclasses.dataclass
class Batch:
    pixels: torch.Tensor | None  # f32[P, 3, S, S]; None if no conversation has a picture
    cells: torch.Tensor  # i64[P, 9, 2], see heads.py
    shapes: list  # of each picture, (rows, columns) of tiles
    ids: torch.Tensor  # i64[B, T]
    marks: torch.Tensor  # bool[B, T]: where a picture or a row of it stands
    references: torch.Tensor  # i64[B, T, heads.References.COLUMNS]
    rows: torch.Tensor  # i64[B, K]
    targets: torch.Tensor  # i64[B, K]
    weights: torch.Tensor  # f32[B, K]
    turns: torch.Tensor  # i64[B, K], the number of the turn in the batch; -1 for padding
    kinds: list  # of the turns
    counts: list  # of each conversation, (its pictures, their tiles)

    def of(self, i):
        """(pixels, shapes) of conversation i; (None, []) if it has no picture."""
        (pictures, tiles), before = self.counts[i], self.counts[:i]
        picture, tile = (sum(count[k] for count in before) for k in (0, 1))
        pixels = self.pixels[tile:tile + tiles] if tiles else None
        return pixels, self.shapes[picture:picture + pictures]


# Of the tokens of an answer: long ones count less, those of whose tokens one alone is hard more.
WEIGHTS = {"describe": 0.8, "relation": 3}


class Builder:
    """Makes batches for a family (see families.py); texts are encoded once."""

    def __init__(self, family):
        self.family, tokens = family, family.tokens
        self.tokenizer = tokens.tokenizer
        self.known = {}
        self.begin, self.end, self.mark = tokens.begin, tokens.end, tokens.image
        self.head = {role: [tokens.start, *self.encode(role), tokens.stop, *self.encode("\n\n")]
                     for role in ("user", "assistant", "system", "ipython")}
        self.references = heads.References(self.encode)

    def encode(self, text):
        if text not in self.known:
            if len(self.known) > 100000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.known[text]

    def opening(self, sample):
        """The ids before the first question."""
        ids = [self.begin]
        if sample.system:
            ids += self.head["system"] + self.encode(sample.system) + [self.end]
        ids += self.head["user"]
        for rows, columns in sample.images:
            ids += self.family.placeholders(rows, columns)
        return ids

    def prompt(self, sample, number):
        """The ids up to where the answer to a turn begins. What a tool returned follows the turn
        before; any other question is asked alone."""
        turns = sample.turns[number:number + 1]
        if isinstance(turns[0][1], tuple):
            turns = sample.turns[:number + 1]
        ids, wanted, _ = self.conversation(dataclasses.replace(sample, turns=turns))
        first = min(row for row, _, turn in wanted if turn == len(turns) - 1)
        return ids[:first + 1]

    def conversation(self, sample, terse=False, longest=10 ** 9):
        """(ids, wanted, number of turns): as many turns as fit into `longest` tokens; `wanted` is
        (row, token, turn) for each token of an answer. `terse` leaves out most of the headers
        between question and answer, so that more turns fit: for the first part of the training."""
        terse = terse and bool(sample.images)
        ids, wanted = self.opening(sample), []
        for number, (_, question, answer) in enumerate(sample.turns):
            role, question = question if isinstance(question, tuple) else ("user", question)
            more = list(self.head[role]) if number and not terse else []
            more += self.encode(question)
            more += self.head["assistant"][-1:] if terse else [self.end] + self.head["assistant"]
            answer = self.encode(answer) + [self.end]
            if number and len(ids) + len(more) + len(answer) > longest:
                return ids, wanted, number
            ids += more
            for token in answer:
                wanted.append((len(ids) - 1, token, number))
                ids.append(token)
        return ids, wanted, len(sample.turns)

    def batch(self, drawn, terse=False, longest=10 ** 9):
        """The batch of some samples."""
        talks = [self.conversation(s, terse, longest) for s in drawn]
        length = max(len(ids) for ids, _, _ in talks)
        count = max(len(wanted) for _, wanted, _ in talks)
        ids = np.full((len(talks), length), self.family.tokens.pad, np.int64)
        rows, targets = (np.zeros((len(talks), count), np.int64) for _ in range(2))
        weights = np.zeros((len(talks), count), np.float32)
        turn = np.full((len(talks), count), -1, np.int64)
        references = np.full((*ids.shape, self.references.COLUMNS), heads.IGNORE, np.int64)
        kinds = []
        for i, (row, wanted, number) in enumerate(talks):
            ids[i, :len(row)] = row
            if drawn[i].scene is not None:
                references[i, :len(row)] = self.references.labels(row, drawn[i].scene)
            for k, (place, token, of) in enumerate(wanted):
                rows[i, k], targets[i, k], turn[i, k] = place, token, len(kinds) + of
                weights[i, k] = WEIGHTS.get(drawn[i].turns[of][0], 1)
            kinds += [kind for kind, _, _ in drawn[i].turns[:number]]
        tiles = [self.family.tiles(s.images, s.tiles) for s in drawn]
        counts = [(len(s.images), len(of)) for s, of in zip(drawn, tiles)]
        tiles = sum(tiles, [])
        cells = [x for s in drawn for x in self.family.tiles(s.images, s.cells)]
        tensor = torch.from_numpy
        return Batch(self.family.normalise(np.stack(tiles)) if tiles else None,
                     tensor(np.stack(cells)) if tiles else None,
                     [shape for s in drawn for shape in s.images], tensor(ids),
                     tensor(ids == self.mark), tensor(references), tensor(rows), tensor(targets),
                     tensor(weights), tensor(turn), kinds, counts)

    def inputs(self, drawn, prompts):
        """transformers' inputs of prompts (ids, all of one length) about samples with pictures of
        the same shapes."""
        tiles = [tile for s in drawn for tile in self.family.tiles(s.images, s.tiles)]
        pixels = self.family.normalise(np.stack(tiles)) if tiles else None
        return self.family.inputs(torch.tensor(prompts), pixels, drawn[0].images)
