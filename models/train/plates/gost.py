"""Faces of the types of GOST R 50577-2018 besides type 1: in one line at 520 x 112 mm, and in two."""

from .layout import (
    BASE_MM,
    BLACK,
    BLUE,
    DIGIT_MM,
    LETTER_MM,
    WHITE,
    YELLOW,
    Face,
    Lettering,
    country_and_flag,
    right_field,
)

COLOURS = {"taxi": (YELLOW, BLACK), "taxi2": (YELLOW, BLACK), "police": (BLUE, WHITE)}
DIGIT_STEP, LETTER_STEP, BETWEEN = 56, 54, 8  # from character to character, and between letters and digits
SEPARATED_AT = {2: 388, 3: 358}  # where the series ends, by the digits of the region code
UPPER = {"type1a": 4, "moto": 4, "tractor": 4, "taxi2": 5, "trailer2": 6}  # characters of the series in the upper line


def one_line(kind, series, region, size, style, scale):
    """Taxi, trailer and police: the series in one row beside the region code of type 1."""
    face = Face(size, style, scale)
    end = SEPARATED_AT[len(region)]
    turns = [i > 0 and char.isdigit() != series[i - 1].isdigit() for i, char in enumerate(series)]
    steps = [(DIGIT_STEP if char.isdigit() else LETTER_STEP) for char in series]
    total = sum(steps) + BETWEEN * sum(turns)
    squeeze = min(1.0, (end - 28) / total)
    at = (end + 24 - total * squeeze) / 2 + style.shift[0]
    for char, step, turn in zip(series, steps, turns, strict=True):
        at += BETWEEN * squeeze * turn
        high, pen, stretch = (
            (DIGIT_MM, style.digit_pen, style.digit_stretch)
            if char.isdigit()
            else (LETTER_MM, style.letter_pen, style.letter_stretch)
        )
        middle = at + step * squeeze / 2
        face.put(char, middle, BASE_MM + style.shift[1], high, pen, stretch * min(1.0, squeeze * 1.08))
        at += step * squeeze
    right_field(face, region, style.region_pen)
    face.border()
    face.bolts(((14, 56), (size[0] - 14, 56)))
    return face.finish(*COLOURS.get(kind, (WHITE, BLACK)))


def two_lines(kind, series, region, size, style, scale):
    """`LDDD / LL RR`, `DDDD / LL RR` and the square forms of taxi and trailer plates, the region code framed at the lower right."""
    (width, height), face = size, Face(size, style, scale)
    across, unit, cut = width / 290, height / 170, UPPER[kind]
    if kind in ("taxi2", "trailer2") and style.between(0, 1) > 0.5:  # makers differ
        cut = 2
    upper, lower = series[:cut], series[cut:]
    gap, pen, start = style.between(6, 14) * across, style.digit_pen * 0.9 * unit, style.between(22, 40) * across
    spaced = "".join((" " if i and upper[i - 1].isdigit() != c.isdigit() else "") + c for i, c in enumerate(upper))
    lettering = Lettering(style.between(54, 66) * unit, pen, gap, style.digit_stretch * 0.95, wide=style.between(4, 14))
    face.row(spaced, (start, width - start), style.between(76, 82) * unit + style.shift[1], lettering)
    boxed = width * (0.3 if not lower else style.between(0.52, 0.60) if len(lower) < 3 else style.between(0.62, 0.68))
    if lower:
        lettering = Lettering(style.between(50, 60) * unit, pen, gap, style.letter_stretch * 0.95)
        face.row(lower, (start * 0.7, boxed - 4), height - style.between(16, 24) * unit, lettering)
    _region_box(face, region, boxed, unit)
    face.border()
    high = style.between(0, 1) > 0.4
    face.bolts(((20, 20), (width - 20, 20)) if high else ((14, height / 2), (width - 14, height / 2)))
    return face.finish(*COLOURS.get(kind, (WHITE, BLACK)))


def _region_box(face, region, left, unit):
    """The framed region code at the lower right, the country below it."""
    style, width, height = face.style, face.width, face.height
    top = style.between(0.50, 0.55) * height
    if style.between(0, 1) > 0.12:
        face.outline((left, top, width - 3, height - 3), style.line * 0.8, 7 * unit)
    size, room = style.between(40, 48) * unit, (left + 7, width - 9)
    lettering = Lettering(size, style.region_pen * 0.8 * unit, style.between(3, 8), style.digit_stretch)
    face.row(region, room, top + 7 * unit + size, lettering)
    wide = room[1] - room[0]
    base = height - style.between(8, 12) * unit
    country_and_flag(face, left + wide * 0.14 + style.nudge(2), base, min(15 * unit, wide / 5.4))
