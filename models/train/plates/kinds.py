"""Every type of plate drawn: its size, its lines, a random text and its face.

GOST R 50577-2018: type 1 (`type1`), 1A (`type1a`, two lines), 1B (`taxi`, yellow; `taxi2` in two lines), 2 (`trailer`, and `trailer2` in
two lines), 3 (`tractor`), 4 (`moto`), 20 (`police`, blue). Other countries: `eu` (one line, blue band), `eu2` (two lines), `us`
(305 x 152 mm, one line with small lettering above and below, as in North America).
"""

import numpy as np

from . import grammar
from .layout import BASE_MM, BLACK, DIGIT_MM, HEIGHT_MM, LETTER_MM, WHITE, WIDTH_MM, Face, Style, country_and_flag, draw_plate, right_field

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
YELLOW, BLUE = (30, 190, 250), (150, 70, 20)
LATIN_KINDS = {"eu", "eu2", "us"}


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
    """The face of a plate as a BGR picture of `scale` pixels per millimetre, evenly lit. ValueError when the text does not fit the kind."""
    style = style or Style()
    if kind in LATIN_KINDS:
        if not 4 <= len(text) <= 9 or any(c not in grammar.ALPHABET for c in text):
            raise ValueError(f"{text!r} does not fit {kind}: expected 4 to 9 of A-Z and 0-9")
        return {"eu": _eu, "eu2": _eu_two_lines, "us": _us}[kind](text, style, scale)
    series, region = grammar.split_region(kind, text)
    if kind == "type1":
        return draw_plate(text, style, scale)
    if kind in TWO_LINES:
        return _square(kind, series, region, style, scale)
    return _long(kind, series, region, style, scale)


def _long(kind, series, region, style, scale):
    """Taxi, trailer and police: the series in one row beside the region code of type 1."""
    face = Face(SIZES[kind], style, scale)
    end = 388 if len(region) == 2 else 358
    pieces, total = [], 0.0
    for i, char in enumerate(series):
        digit = char.isdigit()
        pieces.append((char, DIGIT_MM if digit else LETTER_MM, digit))
        total += 56 if digit else 54
        if i and digit != series[i - 1].isdigit():
            total += 8
    squeeze = min(1.0, (end - 28) / total)
    at = (end + 24) / 2 - total * squeeze / 2 + style.shift[0]
    for i, (char, size, digit) in enumerate(pieces):
        at += 8 * squeeze if i and digit != pieces[i - 1][2] else 0
        step = (56 if digit else 54) * squeeze
        stretch = (style.digit_stretch if digit else style.letter_stretch) * min(1.0, squeeze * 1.08)
        pen = style.digit_pen if digit else style.letter_pen
        face.put(char, at + step / 2, BASE_MM + style.shift[1], size, pen, stretch)
        at += step
    right_field(face, region, style.region_pen)
    face.border()
    face.bolts(((14, 56), (WIDTH_MM - 13, HEIGHT_MM / 2)))
    if kind == "police":
        return face.finish(BLUE, WHITE)
    return face.finish(YELLOW if kind == "taxi" else WHITE, BLACK)


def _square(kind, series, region, style, scale):
    """Two lines: `LDDD / LL RR` and `LLDDDD / RR` at 290 x 170, `DDDD / LL RR` on motorcycles and tractors."""
    width, height = SIZES[kind]
    face, unit = Face(SIZES[kind], style, scale), height / 170
    # where the upper line ends; makers of taxi and trailer plates differ
    cut = {"type1a": 4, "moto": 4, "tractor": 4, "taxi2": 5, "trailer2": 6}[kind]
    if kind in ("taxi2", "trailer2") and style.rng is not None and style.rng.random() < 0.5:
        cut = 2
    upper, lower = series[:cut], series[cut:]
    size = style.between(54, 66) * unit
    pen, base = style.digit_pen * 0.9 * unit, style.between(76, 82) * unit + style.shift[1]
    gap = style.between(6, 14) * (width / 290)
    spaced = "".join((" " if i and upper[i - 1].isdigit() != c.isdigit() else "") + c for i, c in enumerate(upper))
    start = style.between(22, 40) * (width / 290)
    face.row(spaced, (start, width - start), base, size, pen, gap, style.digit_stretch * 0.95, wide=style.between(4, 14))
    boxed = style.between(0.52, 0.60) * width if lower else 0.3 * width
    if len(lower) > 3:
        boxed = style.between(0.62, 0.68) * width
    if lower:
        face.row(lower, (start * 0.7, boxed - 4), height - style.between(16, 24) * unit, style.between(50, 60) * unit, pen, gap, style.letter_stretch * 0.95)
    _region_box(face, region, boxed, unit)
    face.border()
    places = ((20, 20), (width - 20, 20)) if style.between(0, 1) > 0.4 else ((14, height / 2), (width - 14, height / 2))
    face.bolts(places)
    return face.finish(YELLOW if kind == "taxi2" else WHITE, BLACK)


def _region_box(face, region, left, unit):
    """The framed region code at the lower right, the country below it."""
    style, width, height = face.style, face.width, face.height
    top = style.between(0.50, 0.55) * height
    if style.between(0, 1) > 0.12:
        face.outline((left, top, width - 3, height - 3), style.line * 0.8, 7 * unit)
    size = style.between(40, 48) * unit
    room = (left + 7, width - 9)
    face.row(region, room, top + 7 * unit + size, size, style.region_pen * 0.8 * unit, style.between(3, 8), style.digit_stretch)
    wide = room[1] - room[0]
    country_and_flag(face, left + wide * 0.14 + style.nudge(2), height - style.between(8, 12) * unit, min(15 * unit, wide / 5.4))


def _grouped(text, rng):
    """The text with separators as some country with that pattern would set them, and that country's sign."""
    if rng is None:
        return text, "D"
    bare = "".join("D" if c.isdigit() else "A" for c in text)
    fitting = [(p, sign) for sign, patterns in grammar.LATIN.items() for p in patterns if grammar.bare(p) == bare]
    if not fitting:
        cut = int(rng.integers(1, len(text)))
        return text[:cut] + " " + text[cut:], str(rng.choice(list(grammar.LATIN)))
    pattern, sign = fitting[int(rng.integers(len(fitting)))]
    rest = iter(text)
    return "".join(next(rest) if c in "AD" else c for c in pattern), sign


def _latin_look(style):
    """(hand, stretch, pen share of the height, ground, ink) of a country's plates."""
    if style.rng is None:
        return "din", 0.95, 0.14, WHITE, BLACK
    rng = style.rng
    ground = WHITE if rng.random() < 0.78 else YELLOW
    ink = BLACK if rng.random() < 0.85 else tuple(float(v) for v in rng.uniform(0, 130, 3))
    if rng.random() < 0.06:
        ground, ink = (30, 30, 30), (230, 230, 230)
    return str(rng.choice(["din", "fe"])), style.between(0.72, 1.05), style.between(0.11, 0.19), ground, ink


def _band(face, sign, height):
    """The blue band at the left with stars and the country's sign; returns where it ends."""
    style = face.style
    if style.between(0, 1) > 0.88:
        return 8.0
    end = style.between(38, 48)
    tone = (150, 60, 10) if style.rng is None else style.rng.uniform(0.6, 1.2) * np.array([150, 60, 10])
    face.paint(3, 3, end, height - 3, tone)
    x, y, radius = end / 2 + 1.5, height * 0.33, end * 0.27
    for angle in np.radians(np.arange(0, 360, 30)):
        at = (x + radius * np.cos(angle), y + radius * np.sin(angle), 1.6)
        face.painted.append(("disc", at, (40.0, 200.0, 240.0)))
    face.signs = (sign, x, height * 0.86)
    return end


def _write_sign(picture, face):
    """The country's letters on the band, white; after `finish`, for they lie over it."""
    sign, x, base = getattr(face, "signs", ("", 0, 0))
    if sign:
        letters = Face((face.width, face.height), Style(), face.scale)
        size = 24.0 if len(sign) < 3 else 17.0
        letters.row(sign, (x - 20, x + 20), base, size, size * 0.14, 2.0, 0.8, "din")
        cover = letters.ink[..., None].astype(np.float32) / 255
        picture = (picture * (1 - cover) + 245 * cover).astype(np.uint8)
    return picture


def _eu(text, style, scale):
    """One line beside a blue band; letters and digits equally tall."""
    face = Face(SIZES["eu"], style, scale)
    spaced, sign = _grouped(text, style.rng)
    hand, stretch, pen, ground, ink = _latin_look(style)
    size = style.between(70, 82)
    left, right = _band(face, sign, face.height), face.width - style.between(8, 44)
    face.row(spaced, (left + 8, right - 4), (face.height + size) / 2 + style.shift[1], size, size * pen, style.between(6, 14), stretch, hand, style.between(12, 34))
    if style.between(0, 1) > 0.25:
        face.border()
    face.bolts(((style.between(40, 110), 55), (style.between(410, 500), 55)))
    return _write_sign(face.finish(ground, ink), face)


def _eu_two_lines(text, style, scale):
    """Two lines of Latin characters."""
    face = Face(SIZES["eu2"], style, scale)
    spaced, sign = _grouped(text, style.rng)
    hand, stretch, pen, ground, ink = _latin_look(style)
    parts = [p for p in spaced.replace("-", " ").replace(":", " ").split(" ") if p]
    cut = 1 if len(parts) > 1 and len(parts[0]) > 1 else max(1, len(parts) - 1)
    upper, lower = " ".join(parts[:cut]), " ".join(parts[cut:])
    if not lower:
        upper, lower = text[: len(text) // 2], text[len(text) // 2 :]
    size = style.between(66, 76)
    left = _band(face, sign, face.height / 2)
    face.row(upper, (left + 6, face.width - 12), 14 + size, size, size * pen, style.between(6, 16), stretch, hand, style.between(10, 30))
    face.row(lower, (12, face.width - 12), face.height - 14, size, size * pen, style.between(6, 14), stretch, hand, style.between(10, 24))
    face.border()
    face.bolts(((20, 100), (face.width - 20, 100)))
    return _write_sign(face.finish(ground, ink), face)


def _us(text, style, scale):
    """One line of tall narrow characters between two lines of small lettering."""
    face = Face(SIZES["us"], style, scale)
    spaced, _ = _grouped(text, style.rng)
    hand, stretch, pen, ground, ink = _latin_look(style)
    size = style.between(62, 76)
    face.row(spaced.replace(":", " ").replace("-", " "), (12, 293), (152 + size) / 2 + style.between(-4, 6), size, size * pen * 0.8, style.between(4, 9), stretch * 0.85, hand, style.between(8, 20))
    if style.rng is not None:
        for base, high in ((26, 16), (146, 11)):
            name = "".join(style.rng.choice(list(grammar.LATIN_LETTERS), int(style.rng.integers(4, 13))))
            face.row(name, (50, 255), base, high, high * 0.16, 3, 0.9, "din")
    face.bolts(((55, 12), (250, 12), (55, 140), (250, 140)))
    return face.finish(ground, ink)
