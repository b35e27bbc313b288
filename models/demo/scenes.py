"""Draws scenes of coloured shapes and asks about them.

A scene is up to `MAX_OBJECTS` shapes in the cells of a 3 x 3 grid, each shifted and scaled a
little, on a plain background. Pictures are drawn with numpy alone (signed distances, two pixels of
antialiasing), a batch at once. Questions are about what the list of objects says, in several
wordings; the answers are short and unambiguous, or the question is not asked.

Everything is a function of a seed: `scene(rng)`, `turns(rng, scene, n)` and `draw(scenes)` have no
other source of chance.
"""
import dataclasses

import numpy as np

SIDE = 84  # pixels of a picture's side
GRID = 3  # cells of a side
CELL = SIDE // GRID
MAX_OBJECTS = 4

SHAPES = ["circle", "square", "triangle", "star", "cross"]
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 210, 40),
    "purple": (150, 50, 180),
    "orange": (245, 130, 30),
}
COLOUR_NAMES = list(COLOURS)
BACKGROUNDS = [(250, 250, 250), (205, 205, 205), (60, 60, 60), (10, 10, 10)]
PLACES = ["top left", "top", "top right", "left", "centre", "right",
          "bottom left", "bottom", "bottom right"]


@dataclasses.dataclass
class Object:
    """One shape: indices into SHAPES, COLOUR_NAMES and PLACES; pixels from the cell's middle."""

    shape: int
    colour: int
    cell: int
    dx: float
    dy: float
    radius: float
    tint: tuple

    @property
    def row(self):
        return self.cell // GRID

    @property
    def column(self):
        return self.cell % GRID

    def name(self):
        return f"{COLOUR_NAMES[self.colour]} {SHAPES[self.shape]}"

    def kind(self):
        return (self.colour, self.shape)


@dataclasses.dataclass
class Scene:
    background: tuple
    objects: list  # of Object, by cell


def scene(rng, most=MAX_OBJECTS, least=1):
    """A scene of `least` to `most` objects. Kinds repeat colours and shapes more often than chance
    does, so that neither alone tells the objects apart."""
    count = int(rng.integers(least, most + 1))
    cells = sorted(rng.permutation(GRID * GRID)[:count].tolist())
    kinds = []
    for _ in range(count):
        colour, shape = int(rng.integers(len(COLOURS))), int(rng.integers(len(SHAPES)))
        if kinds and rng.random() < 0.35:
            other = kinds[rng.integers(len(kinds))]
            if rng.random() < 0.5:
                colour = other[0]
            else:
                shape = other[1]
        kinds.append((colour, shape))
    objects = []
    for cell, (colour, shape) in zip(cells, kinds):
        dx, dy = (float(x) for x in rng.uniform(-3, 3, 2))
        tint = tuple(int(x) for x in rng.integers(-15, 16, 3))
        objects.append(Object(shape, colour, cell, dx, dy, float(rng.uniform(8, 12)), tint))
    return Scene(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], objects)


# --- pictures -------------------------------------------------------------------------------------

WINDOW = 34  # pixels of the square an object is drawn in


def _polygon(x, y, corners):
    """Signed distance of points to a closed polygon, negative inside."""
    best = np.full(x.shape, 1e9, np.float32)
    inside = np.zeros(x.shape, bool)
    for i, (ax, ay) in enumerate(corners):
        bx, by = corners[(i + 1) % len(corners)]
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        best = np.minimum(best, (px - ex * t) ** 2 + (py - ey * t) ** 2)
        crosses = ((ay > y) != (by > y)) & (px < ex * py / (ey if ey != 0 else 1e-9))
        inside ^= crosses
    return np.where(inside, -1, 1) * np.sqrt(best)


def _corners(count, inner=None, turn=-np.pi / 2):
    """Corners of a regular polygon of radius 1, or of a star when `inner` is given."""
    steps = count if inner is None else 2 * count
    radii = [1.0 if inner is None or i % 2 == 0 else inner for i in range(steps)]
    angles = [turn + 2 * np.pi * i / steps for i in range(steps)]
    return [(r * float(np.cos(a)), r * float(np.sin(a))) for r, a in zip(radii, angles)]


_TRIANGLE = [(x, y + 0.2) for x, y in _corners(3)]
_STAR = _corners(5, inner=0.42)


def distance(shape, x, y):
    """Signed distance to a shape of radius 1, x to the right, y down."""
    name = SHAPES[shape]
    if name == "circle":
        return np.sqrt(x * x + y * y) - 0.95
    if name == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.85
    if name == "triangle":
        return _polygon(x, y, _TRIANGLE)
    if name == "star":
        return _polygon(x, y, _STAR)
    a, b = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(a - 1, b - 0.3), np.maximum(a - 0.3, b - 1))


def draw(scenes, scale=1):
    """The pictures of scenes, u8[N, scale * SIDE, scale * SIDE, 3]."""
    margin = window = scale * WINDOW
    side = scale * SIDE
    canvas = np.empty((len(scenes), side + 2 * margin, side + 2 * margin, 3), np.float32)
    axis = np.arange(window, dtype=np.float32) + 0.5
    flat = []
    for i, s in enumerate(scenes):
        canvas[i] = s.background
        flat += [(i, o) for o in s.objects]
    for shape in range(len(SHAPES)):
        group = [(i, o) for i, o in flat if o.shape == shape]
        if not group:
            continue
        middle = scale * np.array([[CELL * (o.column + 0.5) + o.dx, CELL * (o.row + 0.5) + o.dy]
                                   for _, o in group], np.float32)
        corner = np.floor(middle).astype(int) - window // 2
        radius = scale * np.array([o.radius for _, o in group], np.float32)[:, None, None]
        x = (axis[None, None, :] + corner[:, 0, None, None] - middle[:, 0, None, None]) / radius
        y = (axis[None, :, None] + corner[:, 1, None, None] - middle[:, 1, None, None]) / radius
        x, y = np.broadcast_arrays(x, y)
        alpha = np.clip(0.5 - distance(shape, x, y) * radius, 0, 1)[..., None]
        for k, (i, o) in enumerate(group):
            colour = np.array(COLOURS[COLOUR_NAMES[o.colour]], np.float32) + np.array(o.tint)
            cx, cy = corner[k] + margin
            part = canvas[i, cy:cy + window, cx:cx + window]
            part += alpha[k] * (colour - part)
    inner = canvas[:, margin:margin + side, margin:margin + side]
    return np.clip(np.rint(inner), 0, 255).astype(np.uint8)


def halved(picture):
    """A picture of half the size, bit for bit what Pillow's bilinear resize makes of it: weights of
    a triangle in 22-bit fixed point, rows first, rounded between the passes."""
    for axis in (1, 0):
        picture = _halved(picture, axis)
    return picture


def _halved(picture, axis):
    x = np.moveaxis(picture, axis, 0).astype(np.int64)
    count = len(x) // 2
    at = 2 * np.arange(count)[:, None] + np.arange(-1, 3)
    weights = np.where((at >= 0) & (at < len(x)), [0.25, 0.75, 0.75, 0.25], 0)
    weights = np.rint(weights / weights.sum(1, keepdims=True) * 2 ** 22).astype(np.int64)
    sums = np.einsum("ik,ik...->i...", weights, x[at.clip(0, len(x) - 1)])
    made = ((sums + 2 ** 21) >> 22).clip(0, 255).astype(np.uint8)
    return np.moveaxis(made, 0, axis)


# --- what is where --------------------------------------------------------------------------------

IGNORE = -100  # instead of a label, where nothing is to be said


def cells(s):
    """What each cell holds, i64[9, 2] of shape and colour; 0 is nothing, else 1 + the index."""
    result = np.zeros((GRID ** 2, 2), np.int64)
    for o in s.objects:
        result[o.cell] = 1 + o.shape, 1 + o.colour
    return result


# --- questions ------------------------------------------------------------------------------------

def _some(rng, options):
    return options[rng.integers(len(options))]


def article(name):
    """The name with its article."""
    return ("an " if name[0] in "aeiou" else "a ") + name


def at(cell):
    """Where a cell is, as a sentence says it."""
    return "in the centre" if PLACES[cell] == "centre" else f"at the {PLACES[cell]}"


def plural(shape):
    """The word for several of a shape."""
    return shape + ("es" if shape.endswith("s") else "s")


def _unique(objects, key):
    """Objects whose `key` no other object shares."""
    keys = [key(o) for o in objects]
    return [o for o, k in zip(objects, keys) if keys.count(k) == 1]


def count(rng, s):
    wording = ["How many shapes are there?", "How many objects do you see?",
               "How many things are in the picture?"]
    return _some(rng, wording), str(len(s.objects))


def count_colour(rng, s):
    colour = _some(rng, s.objects).colour
    if rng.random() < 0.25:
        colour = int(rng.integers(len(COLOURS)))
    name = COLOUR_NAMES[colour]
    wording = [f"How many {name} shapes are there?", f"How many {name} objects do you see?"]
    return _some(rng, wording), str(sum(o.colour == colour for o in s.objects))


def count_shape(rng, s):
    shape = _some(rng, s.objects).shape
    if rng.random() < 0.25:
        shape = int(rng.integers(len(SHAPES)))
    name = plural(SHAPES[shape])
    wording = [f"How many {name} are there?", f"How many {name} do you see?"]
    return _some(rng, wording), str(sum(o.shape == shape for o in s.objects))


def colour(rng, s):
    alone = _unique(s.objects, lambda o: o.shape)
    if not alone:
        return None
    o = _some(rng, alone)
    name = SHAPES[o.shape]
    wording = [f"What colour is the {name}?", f"What color is the {name}?",
               f"Which colour does the {name} have?"]
    return _some(rng, wording), COLOUR_NAMES[o.colour]


def shape(rng, s):
    alone = _unique(s.objects, lambda o: o.colour)
    if not alone:
        return None
    o = _some(rng, alone)
    name = COLOUR_NAMES[o.colour]
    wording = [f"What shape is the {name} object?", f"Which shape is {name}?",
               f"What is the {name} thing?"]
    return _some(rng, wording), SHAPES[o.shape]


def where(rng, s):
    alone = _unique(s.objects, Object.kind)
    if not alone:
        return None
    o = _some(rng, alone)
    wording = [f"Where is the {o.name()}?", f"Where do you see the {o.name()}?"]
    return _some(rng, wording), PLACES[o.cell]


def what_at(rng, s):
    taken = {o.cell: o for o in s.objects}
    cell = _some(rng, s.objects).cell
    if rng.random() < 0.3:
        cell = int(rng.integers(GRID * GRID))
    wording = [f"What is {at(cell)}?", f"What do you see {at(cell)}?"]
    return _some(rng, wording), article(taken[cell].name()) if cell in taken else "nothing"


def exists(rng, s):
    kinds = {o.kind() for o in s.objects}
    if rng.random() < 0.5:
        kind, answer = _some(rng, sorted(kinds)), "yes"
    else:
        near = _some(rng, s.objects)
        for _ in range(20):
            kind = (int(rng.integers(len(COLOURS))), int(rng.integers(len(SHAPES))))
            which = rng.random()
            if which < 0.4:
                kind = (near.colour, kind[1])
            elif which < 0.8:
                kind = (kind[0], near.shape)
            if kind not in kinds:
                break
        else:
            return None
        answer = "no"
    name = article(f"{COLOUR_NAMES[kind[0]]} {SHAPES[kind[1]]}")
    wording = [f"Is there {name}?", f"Do you see {name}?", f"Is there {name} in the picture?"]
    return _some(rng, wording), answer


def relation(rng, s):
    """The answer says both places before it judges: from pictures alone, without these words, the
    judgement stayed at chance for 2,000 steps."""
    alone = _unique(s.objects, Object.kind)
    if len(alone) < 2:
        return None
    a, b = (alone[i] for i in rng.permutation(len(alone))[:2])
    options = []
    if a.column != b.column:
        options += [("left of", a.column < b.column), ("right of", a.column > b.column)]
    if a.row != b.row:
        options += [("above", a.row < b.row), ("below", a.row > b.row)]
    words, truth = _some(rng, options)
    places = f"{at(a.cell)}, the other {at(b.cell)}"
    return f"Is the {a.name()} {words} the {b.name()}?", f"{places}: {'yes' if truth else 'no'}"


SIDES = {"leftmost": ("column", 1), "rightmost": ("column", -1),
         "topmost": ("row", 1), "lowest": ("row", -1)}


def outermost(s, side):
    """The objects that lie furthest to a side."""
    key, sign = SIDES[side]
    edge = min(sign * getattr(o, key) for o in s.objects)
    return [o for o in s.objects if sign * getattr(o, key) == edge]


def extreme(rng, s):
    side = _some(rng, list(SIDES))
    there = outermost(s, side)
    if len(s.objects) < 2 or len(there) != 1:
        return None
    wording = [f"What is the {side} shape?", f"Which object is {side}?"]
    return _some(rng, wording), f"the {there[0].name()}"


def describe(rng, s):
    wording = ["Describe the picture.", "What do you see?", "What is in the picture?"]
    parts = [f"{article(o.name())} {at(o.cell)}" for o in s.objects]
    return _some(rng, wording), ", ".join(parts)


KINDS = {f.__name__: f for f in [count, count_colour, count_shape, colour, shape, where, what_at,
                                 exists, relation, extreme, describe]}


def turns(rng, s, number, weights=None):
    """`number` different questions about a scene as (kind, question, answer), one `describe` at
    most. `weights` says how often each kind of KINDS is drawn."""
    names = list(KINDS)
    p = np.full(len(names), 1.0) if weights is None else np.array([weights[k] for k in names])
    p = p / p.sum()
    result, asked = [], set()
    for _ in range(10 * number):
        if len(result) == number:
            break
        kind = names[int(np.searchsorted(np.cumsum(p), rng.random(), side="right")) % len(names)]
        pair = KINDS[kind](rng, s)
        about = "describe" if kind == "describe" else pair and pair[0]
        if pair is None or about in asked:
            continue
        asked.add(about)
        result.append((kind, *pair))
    return result
