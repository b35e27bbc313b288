"""Draws digits and short words: a 5 x 7 dot font, scaled, with numpy alone."""
import numpy as np

import scenes

# Seven rows of five dots, a row as one base-32 digit (0-9, A-V): the highest bit is the left dot.
FONT = dict(zip("0123456789abcdefghijklmnopqrstuvwxyz", (
    "EHJLPHE 4C4444E EH1248V V24A1HE 26AIV22 VGU11HE 68GUHHE V124888 EHHEHHE EHHF12C "
    "EHHHVHH UHHUHHU EHGGGHE SIHHHIS VGGUGGV VGGUGGG EHGNHHF HHHVHHH E44444E 72222IC "
    "HIKOKIH GGGGGGV HRLLHHH HHPLJHH EHHHHHE UHHUGGG EHHHLID UHHUKIH FGGE11U V444444 "
    "HHHHHHE HHHHHA4 HHHLLLA HHA4AHH HHHA444 V1248GV").split()))
WORDS = ("cat dog sun sea tea cup car bus hat map pen key box bed egg fish bird tree moon "
         "star rain snow milk cake door book ship boat hand home king lion bear wolf frog "
         "duck leaf rose lamp ring").split()
LONGEST = 4  # characters


def bitmap(text):
    """bool[7, 6 n - 1] of a text of digits and small letters (drawn as capitals)."""
    columns = []
    for c in text:
        rows = [int(row, 32) for row in FONT[c]]
        columns += [[bool(row >> (4 - x) & 1) for row in rows] for x in range(5)] + [[False] * 7]
    return np.array(columns[:-1]).T


def picture(rng, text):
    """(u8[SIDE, SIDE, 3], index of the colour): a text in the middle of a picture, shifted a
    little, in one colour."""
    dots = bitmap(text)
    scale = min(4 if len(text) < 3 else 3, (scenes.SIDE - 8) // dots.shape[1])
    dots = dots.repeat(scale, 0).repeat(scale, 1)
    height, width = dots.shape
    y, x = ((scenes.SIDE - n) // 2 + int(rng.integers(-3, 4)) for n in (height, width))
    colour = int(rng.integers(len(scenes.COLOURS)))
    ink = np.array(scenes.COLOURS[scenes.COLOUR_NAMES[colour]]) + rng.integers(-15, 16, 3)
    result = np.empty((scenes.SIDE, scenes.SIDE, 3), np.int64)
    result[:] = scenes.BACKGROUNDS[rng.integers(len(scenes.BACKGROUNDS))]
    result[y:y + height, x:x + width][dots] = ink
    return np.clip(result, 0, 255).astype(np.uint8), colour


def number_or_word(rng):
    """(kind, text): a number of one to three digits, or one of WORDS."""
    if rng.random() < 0.5:
        return "number", str(int(rng.integers(10 ** int(rng.integers(1, 4)))))
    return "word", WORDS[rng.integers(len(WORDS))]


def turns(rng, kind, text, colour):
    """Questions about a picture with a text, as scenes.turns."""
    noun = "number" if kind == "number" else "word"
    read = ["What number is in the picture?", "Which number do you see?"] if kind == "number" else \
        ["What word is written there?", "Which word do you see?"]
    result = [(kind, read[rng.integers(2)], text),
              ("text_colour", f"What colour is the {noun}?", scenes.COLOUR_NAMES[colour])]
    return [result[i] for i in rng.permutation(2)]
