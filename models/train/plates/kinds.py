"""Every type of plate drawn: its size, its lines, a random text and its face.

GOST R 50577-2018: type 1 (`type1`), 1A (`type1a`, two lines), 1B (`taxi`, yellow; `taxi2` in two lines), 2 (`trailer`, and `trailer2` in
two lines), 3 (`tractor`), 4 (`moto`), 20 (`police`, blue). Other countries: `eu` (one line, blue band), `eu2` (two lines), `us`
(305 x 152 mm, one line with small lettering above and below, as in North America).
"""

from . import abroad, gost, grammar
from .layout import Style, draw_plate

SIZES = {
    "type1": (520, 112), "type1a": (290, 170), "taxi": (520, 112), "taxi2": (290, 170), "trailer": (520, 112), "trailer2": (290, 170),
    "moto": (245, 185), "tractor": (288, 206), "police": (520, 112), "eu": (520, 110), "eu2": (280, 200), "us": (305, 152),
}  # fmt: skip
TWO_LINES = {"type1a", "taxi2", "trailer2", "moto", "tractor", "eu2"}
KINDS = tuple(SIZES)
# How often each is drawn: mostly type 1, as on the road, and enough of the others to be learnt.
SHARES = {
    "type1": 0.56, "type1a": 0.10, "taxi": 0.04, "taxi2": 0.01, "trailer": 0.04, "trailer2": 0.02,
    "moto": 0.03, "tractor": 0.02, "police": 0.03, "eu": 0.10, "eu2": 0.03, "us": 0.02,
}  # fmt: skip
LATIN_KINDS = {"eu": abroad.one_line, "eu2": abroad.two_lines, "us": abroad.between_lettering}


def size_mm(kind):
    """(width, height) of a kind's plate in millimetres."""
    return SIZES[kind]


def lines(kind):
    """1 or 2: how many lines of text the kind has."""
    return 2 if kind in TWO_LINES else 1


def random_kind(rng):
    """A kind, as often as `SHARES` says."""
    return KINDS[int(rng.choice(len(KINDS), p=[SHARES[kind] for kind in KINDS]))]


def random_plate(rng, kind=None):
    """(text, kind) of a random plate; the text as the reader is to give it, without separators."""
    kind = kind or random_kind(rng)
    if kind in LATIN_KINDS:
        return grammar.bare(grammar.random_latin(rng)[0]), kind
    return grammar.random_text(rng, kind), kind


def draw(kind, text, style=None, scale=2.0):
    """The face of a plate as a BGR picture of `scale` pixels per millimetre, evenly lit; ValueError when the text does not fit the kind."""
    style, size = style or Style(), SIZES[kind]
    if kind in LATIN_KINDS:
        if not 4 <= len(text) <= 9 or any(c not in grammar.ALPHABET for c in text):
            raise ValueError(f"{text!r} is no {kind} plate: expected 4 to 9 of A-Z and 0-9")
        return LATIN_KINDS[kind](text, size, style, scale)
    series, region = grammar.split_region(kind, text)
    if kind == "type1":
        return draw_plate(text, style, scale)
    return (gost.two_lines if kind in TWO_LINES else gost.one_line)(kind, series, region, size, style, scale)
