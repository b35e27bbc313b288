"""Throw-away heads: they teach the model what an answer needs before it can answer. Not exported.

- On each image token: the shape and colour in its cell, and which cell it is.
- On each word of a conversation that refers to objects ("the red circle", "stars", "leftmost",
  "top left?"), after the second layer: how many objects it means, and the place, colour and shape
  if it is one; and which words stand between two objects ("left of").
- On the second object of "Is the red circle left of the blue star?", after the third layer: how the
  two lie to each other, and whether the words between them are true.
"""
import numpy as np
import torch
import torch.nn.functional as F

import glyphs
import scenes
from scenes import IGNORE

NONE, SEVERAL = scenes.GRID ** 2, scenes.GRID ** 2 + 1  # instead of a place


class References:
    """Finds the referring words of a token sequence and what they mean in a scene."""

    COLUMNS = 8  # objects, place, colour, shape; of two objects: columns, rows, truth, words

    def __init__(self, encode):
        def table(words):
            ids = [encode(" " + w) for w in words]
            return {i[0]: k for k, i in enumerate(ids) if len(i) == 1}

        self.colours = table(scenes.COLOUR_NAMES)
        self.shapes = table(scenes.SHAPES)
        self.shapes.update(table([scenes.plural(s) for s in scenes.SHAPES]))
        self.nouns = table(["shapes", "objects", "things"])
        self.sides = {encode(" " + side)[0]: side for side in scenes.SIDES
                      if len(encode(" " + side)) == 1}
        # What may stand between two objects: words until "the", and when it is true.
        self.between = {encode(" left")[0]: (2, 0, -1), encode(" right")[0]: (2, 0, 1),
                        encode(" above")[0]: (1, 1, -1), encode(" below")[0]: (1, 1, 1)}
        question = encode("?")[0]
        self.places = {tuple(encode(" " + place) + [question]): cell
                       for cell, place in enumerate(scenes.PLACES)}

    def labels(self, ids, s):
        """i64[T, COLUMNS] for a scene; IGNORE where nothing is to be said."""
        result = np.full((len(ids), self.COLUMNS), IGNORE, np.int64)
        for t, token in enumerate(ids):
            if token in self.shapes:
                result[t, :4] = meaning(self.named(ids, t, s))
                result[t, 4:] = self.relation(ids, t, s)
            elif token in self.nouns:
                result[t, :4] = meaning([o for o in s.objects
                                         if o.colour == self.colours.get(ids[t - 1], o.colour)])
            elif token in self.sides:
                result[t, :4] = meaning(scenes.outermost(s, self.sides[token]))
            elif token in self.colours and ids[min(t + 1, len(ids) - 1)] not in self.shapes:
                result[t, :4] = meaning([o for o in s.objects if o.colour == self.colours[token]])
        for t in range(2, len(ids)):
            two, three = tuple(ids[t - 1:t + 1]), tuple(ids[t - 2:t + 1])
            cell = self.places.get(three, self.places.get(two))
            if cell is not None:
                result[t - 1, :4] = meaning([o for o in s.objects if o.cell == cell])
        return result

    def named(self, ids, t, s):
        """The objects that the shape's word at t means, with a colour if there is one before it."""
        return [o for o in s.objects if o.shape == self.shapes[ids[t]] and
                o.colour == self.colours.get(ids[t - 1], o.colour)]

    def relation(self, ids, t, s):
        """Of "A left of the B" with B's last word at t: which of the two has the lower column and
        which the lower row, 0 is A, 1 none, 2 B; 1 if the words are true; which words they are."""
        for back in (4, 5):  # above the blue star; left of the blue star
            first = t - back
            words, axis, sign = self.between.get(ids[first + 1], (0, 0, 0))
            if first > 0 and ids[first] in self.shapes and words == back - 3:
                a, b = self.named(ids, first, s), self.named(ids, t, s)
                if len(a) == len(b) == 1:
                    signs = [int(np.sign(getattr(a[0], key) - getattr(b[0], key)))
                             for key in ("column", "row")]
                    return [1 + signs[0], 1 + signs[1], int(signs[axis] == sign),
                            2 * axis + (sign + 1) // 2]
        return [IGNORE] * 4


def meaning(objects):
    """The labels of a word that means these objects."""
    if len(objects) != 1:
        return [len(objects), SEVERAL if objects else NONE, IGNORE, IGNORE]
    o = objects[0]
    return [1, o.cell, o.colour, o.shape]


class Heads(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        places, colours, shapes = scenes.GRID ** 2, len(scenes.COLOURS), len(scenes.SHAPES)
        self.image = torch.nn.Linear(width, places + 1 + colours + 1 + shapes)
        self.image_parts = [1 + shapes, 1 + colours, places]
        self.text_parts = [scenes.MAX_OBJECTS + 1, places + 2, colours, shapes, 4]
        self.text = torch.nn.Linear(width, sum(self.text_parts))
        self.two = torch.nn.Linear(width, 8)

    def image_loss(self, features, labels):
        """features [B, N, hidden], the last nine of each the cells; labels i64[B, 9, 2] of
        `cells`."""
        features = features[:, -labels.shape[1]:]
        place = torch.arange(labels.shape[1]).expand(len(labels), -1)[..., None]
        place = place.masked_fill(labels[..., :1] == IGNORE, IGNORE)
        return loss(self.image(normal(features)), torch.cat([labels, place], -1), self.image_parts)

    def text_loss(self, second, third, labels):
        """What is behind the second and third layer [B, T, hidden]; labels i64[B, T, 8] of
        `References`."""
        total = second.new_zeros((), dtype=torch.float32)
        words = labels[..., [0, 1, 2, 3, 7]]
        for x, head, part, parts in ((second, self.text, words, self.text_parts),
                                     (third, self.two, labels[..., 4:7], [3, 3, 2])):
            wanted = part[..., 0] != IGNORE
            if wanted.any():
                total = total + loss(head(normal(x[wanted])), part[wanted], parts)
        return total


class Reader(torch.nn.Module):
    """One more throw-away head: the characters of a text in the picture, from all its cells."""

    def __init__(self, width):
        super().__init__()
        self.parts = [len(glyphs.FONT) + 1] * glyphs.LONGEST
        self.linear = torch.nn.Linear(scenes.GRID ** 2 * width, sum(self.parts))

    def loss(self, features, texts):
        """features [B, N, hidden], the last nine of each the cells; what is written there."""
        characters = list(glyphs.FONT)
        labels = [[characters.index(c) for c in text] +
                  [len(characters)] * (glyphs.LONGEST - len(text)) for text in texts]
        rows = normal(features[:, -scenes.GRID ** 2:]).flatten(1)
        return loss(self.linear(rows), torch.tensor(labels), self.parts)


def normal(x):
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)


def loss(logits, labels, parts):
    """The sum over parts of the mean cross-entropy of those that have a label."""
    logits, labels = logits.flatten(0, -2), labels.flatten(0, -2)
    total = 0
    for part, label in zip(logits.split(parts, -1), labels.unbind(-1)):
        each = F.cross_entropy(part, label, ignore_index=IGNORE, reduction="sum")
        total = total + each / (label != IGNORE).sum().clamp(min=1)
    return total
