"""What a conversation can be about: a scene, a scene in several tiles, two scenes, a number or word
drawn as text, plain chat, tool calls.

Every function draws from its `rng` alone and returns a Sample. `MIX` says which there are; training
chooses among them by weights, `scene:1` being the narrow task.
"""
import argparse
import dataclasses

import numpy as np

import glyphs
import scenes


@dataclasses.dataclass
class Sample:
    """A conversation. Turns are (kind, question, answer); what a tool returns is a question of the
    form ("ipython", text)."""

    turns: list
    tiles: list = dataclasses.field(default_factory=list)  # u8[SIDE, SIDE, 3], all images' in order
    images: list = dataclasses.field(default_factory=list)  # (rows, columns) of tiles
    cells: list = dataclasses.field(default_factory=list)  # of each tile, i64[9, 2]
    scene: scenes.Scene | None = None  # that words refer to
    system: str | None = None
    written: str | None = None  # the text in the picture


UNKNOWN = np.full((scenes.GRID ** 2, 2), scenes.IGNORE, np.int64)


def scene(rng, most, turns, weights):
    s = scenes.scene(rng, most)
    return of_scene(s, scenes.turns(rng, s, turns, weights))


def of_scene(s, turns):
    return Sample(turns, [scenes.draw([s])[0]], [(1, 1)], [scenes.cells(s)], s)


def tiled(rng, most, turns, weights):
    """A picture twice as wide and high: four tiles and the whole, made smaller."""
    s = scenes.scene(rng, most)
    large = scenes.draw([s], scale=2)[0]
    parts = [large[y:y + scenes.SIDE, x:x + scenes.SIDE] for y in (0, scenes.SIDE)
             for x in (0, scenes.SIDE)]
    return Sample(scenes.turns(rng, s, turns, weights), parts + [scenes.halved(large)], [(2, 2)],
                  [UNKNOWN] * 4 + [scenes.cells(s)], s)


def text(rng, most, turns, weights):
    kind, written = glyphs.number_or_word(rng)
    drawn, colour = glyphs.picture(rng, written)
    return Sample(glyphs.turns(rng, kind, written, colour), [drawn], [(1, 1)], [UNKNOWN],
                  written=written)


def pictures(sample):
    """The whole pictures of a sample, put together from their tiles: u8[H, W, 3] each."""
    result, start = [], 0
    for rows, columns in sample.images:
        count = rows * columns
        tiles = np.stack(sample.tiles[start:start + count]).reshape(
            rows, columns, scenes.SIDE, scenes.SIDE, 3)
        result.append(tiles.transpose(0, 2, 1, 3, 4).reshape(
            rows * scenes.SIDE, columns * scenes.SIDE, 3))
        start += count + (count > 1)
    return result


# --- two pictures ---------------------------------------------------------------------------------

def pair(rng, most, turns, weights):
    two = [scenes.scene(rng, min(most, 3)) for _ in range(2)]
    asked, result = set(), []
    for _ in range(turns):
        turn = PAIR[rng.integers(len(PAIR))](rng, two)
        if turn is not None and turn[1] not in asked:
            asked.add(turn[1])
            result.append(turn)
    return Sample(result, [scenes.draw([s])[0] for s in two], [(1, 1)] * 2,
                  [scenes.cells(s) for s in two])


NUMBERS = ("first", "second")


def pair_more(rng, two):
    a, b = (len(s.objects) for s in two)
    answer = "the first" if a > b else "the second" if b > a else "both have the same number"
    return "pair_more", "Which picture has more shapes?", answer


def pair_which(rng, two):
    o = _object(rng, two)
    name = scenes.article(o.name())
    has = [any(p.kind() == o.kind() for p in s.objects) for s in two]
    return "pair_which", f"Which picture has {name}?", "both" if all(has) else \
        "the first" if has[0] else "the second"


def pair_count(rng, two):
    i = int(rng.integers(2))
    return ("pair_count", f"How many shapes are in the {NUMBERS[i]} picture?",
            str(len(two[i].objects)))


def pair_where(rng, two):
    i = int(rng.integers(2))
    o = two[i].objects[rng.integers(len(two[i].objects))]
    if sum(p.kind() == o.kind() for p in two[i].objects) != 1:
        return None
    question = f"Where is the {o.name()} in the {NUMBERS[i]} picture?"
    return "pair_where", question, scenes.PLACES[o.cell]


def _object(rng, two):
    objects = two[rng.integers(2)].objects
    return objects[rng.integers(len(objects))]


PAIR = (pair_more, pair_which, pair_count, pair_where)


# --- text alone -----------------------------------------------------------------------------------

CHAT = (
    (("Hello!", "Hi!", "Hello", "Good morning."), ("Hello! How can I help you?",)),
    (("Who are you?", "What are you?"),
     ("I am a small model that sees pictures of shapes, digits and words.",)),
    (("What can you do?", "How can you help me?"),
     ("I can answer questions about pictures, count, and call tools.",)),
    (("Thank you!", "Thank you."), ("You are welcome.",)),
    (("Bye!", "See you soon."), ("Bye!",)),
)
CITIES = ("Paris London Berlin Rome Madrid Oslo Vienna Athens Lisbon Dublin Tokyo Delhi Cairo Lima "
          "Sydney Toronto Boston Chicago Moscow Warsaw").split()
SKIES = ("sunny", "cloudy", "rainy", "windy")
TOOLS = "Tools: get_weather(city), calculate(expression)"


def talk(rng, most, turns, weights):
    chosen = rng.permutation(len(CHAT))[:int(rng.integers(1, 4))]
    return Sample([("chat", _one(rng, CHAT[i][0]), _one(rng, CHAT[i][1])) for i in chosen])


def tools(rng, most, turns, weights):
    """A question for a tool, the call, what the tool says, the answer."""
    if rng.random() < 0.5:
        city, sky, degrees = _one(rng, CITIES), _one(rng, SKIES), str(int(rng.integers(-9, 40)))
        question = _one(rng, (f"What is the weather in {city}?", f"How is the weather in {city}?"))
        call = f'[get_weather(city="{city}")]'
        result = f'{{"temperature": {degrees}, "sky": "{sky}"}}'
        answer = f"It is {sky} in {city}, {degrees} degrees."
    else:
        a, b = (int(rng.integers(1, 100)) for _ in range(2))
        word, sign, value = ((("plus", "+", a + b), ("minus", "-", a - b), ("times", "*", a * b))
                             [rng.integers(3)])
        question = f"What is {a} {word} {b}?"
        call = f'[calculate(expression="{a} {sign} {b}")]'
        result = f'{{"result": {value}}}'
        answer = f"The result is {value}."
    return Sample([("tool_call", question, call), ("tool_answer", ("ipython", result), answer)],
                  system=TOOLS)


def _one(rng, options):
    return options[rng.integers(len(options))]


MIX = {f.__name__: f for f in (scene, tiled, text, pair, talk, tools)}
KINDS = [*scenes.KINDS, "number", "word", "text_colour", *(f.__name__ for f in PAIR), "chat",
         "tool_call", "tool_answer"]


def draw(rng, mix, most, turns, weights=None):
    """A sample; `mix` is {name: weight}."""
    names = list(mix)
    edges = np.cumsum([mix[name] for name in names])
    name = names[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]
    return MIX[name](rng, most, turns, weights)


def mixture(text):
    """The argument "scene:3,pair:1" as {"scene": 3.0, "pair": 1.0}."""
    pairs = [part.split(":") for part in text.split(",")]
    if unknown := [name for name, _ in pairs if name not in MIX]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(MIX)}")
    return {name: float(weight) for name, weight in pairs}
