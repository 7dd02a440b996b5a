"""Faces of other countries' plates: European ones in one and two lines, and those of 305 x 152 mm as in North America."""

import dataclasses

import numpy as np

from . import grammar
from .layout import BLACK, WHITE, YELLOW, Face, Lettering, Style


@dataclasses.dataclass(frozen=True)
class Look:
    """A country's hand and colours; `pen` is a share of the characters' height."""

    hand: str = "din"
    stretch: float = 0.95
    pen: float = 0.14
    ground: tuple = WHITE
    ink: tuple = BLACK

    @staticmethod
    def of(style):
        """Some country's look; the plain one for the drawing itself."""
        if style.rng is None:
            return Look()
        rng = style.rng
        ground = WHITE if rng.random() < 0.78 else YELLOW
        ink = BLACK if rng.random() < 0.85 else tuple(float(v) for v in rng.uniform(0, 130, 3))
        if rng.random() < 0.06:
            ground, ink = (30, 30, 30), (230, 230, 230)
        hand = str(rng.choice(["din", "fe"]))
        return Look(hand, style.between(0.72, 1.05), style.between(0.11, 0.19), ground, ink)

    def lettering(self, size, gap, wide, stretch=1.0):
        """Characters of that height in this hand."""
        return Lettering(size, size * self.pen, gap, self.stretch * stretch, self.hand, wide)


def grouped(text, rng):
    """The text with separators as some country with that pattern would set them, and that country's sign."""
    if rng is None:
        return text, "D"
    shape = "".join("D" if c.isdigit() else "A" for c in text)
    fitting = [(p, sign) for sign, patterns in grammar.LATIN.items() for p in patterns if grammar.bare(p) == shape]
    if not fitting:
        cut = int(rng.integers(1, len(text)))
        return text[:cut] + " " + text[cut:], str(rng.choice(list(grammar.LATIN)))
    pattern, sign = fitting[int(rng.integers(len(fitting)))]
    rest = iter(text)
    return "".join(next(rest) if c in "AD" else c for c in pattern), sign


def _band(face, sign, height):
    """The blue band at the left with stars and the country's sign, or none; returns where it ends."""
    style = face.style
    if style.between(0, 1) > 0.88:
        return 8.0
    end = style.between(38, 48)
    tone = np.array([150, 60, 10]) * style.between(0.6, 1.2)
    face.paint(3, 3, end, height - 3, tone)
    x, y, radius = end / 2 + 1.5, height * 0.33, end * 0.27
    for angle in np.radians(np.arange(0, 360, 30)):
        at = (x + radius * np.cos(angle), y + radius * np.sin(angle), 1.6)
        face.painted.append(("disc", at, (40.0, 200.0, 240.0)))
    letters = Face((face.width, face.height), Style(), face.scale)
    size = 24.0 if len(sign) < 3 else 17.0
    letters.row(sign, (x - 20, x + 20), height * 0.86, Lettering(size, size * 0.14, 2.0, 0.8, "din"))
    face.on_top = letters.ink
    return end


def one_line(text, size, style, scale):
    """One line beside a blue band; letters and digits equally tall."""
    face, look = Face(size, style, scale), Look.of(style)
    spaced, sign = grouped(text, style.rng)
    high = style.between(70, 82)
    left, right = _band(face, sign, face.height), face.width - style.between(8, 44)
    lettering = look.lettering(high, style.between(6, 14), style.between(12, 34))
    face.row(spaced, (left + 8, right - 4), (face.height + high) / 2 + style.shift[1], lettering)
    if style.between(0, 1) > 0.25:
        face.border()
    face.bolts(((style.between(40, 110), 55), (style.between(410, 500), 55)))
    return face.finish(look.ground, look.ink)


def two_lines(text, size, style, scale):
    """Two lines, the first beside the blue band."""
    face, look = Face(size, style, scale), Look.of(style)
    spaced, sign = grouped(text, style.rng)
    parts = [part for part in spaced.replace("-", " ").replace(":", " ").split(" ") if part]
    if len(parts) < 2:
        parts = [text[: len(text) // 2], text[len(text) // 2 :]]
    cut = 1 if len(parts[0]) > 1 else len(parts) - 1
    high, edge = style.between(66, 76), face.width - 12
    lettering = look.lettering(high, style.between(6, 15), style.between(10, 27))
    face.row(" ".join(parts[:cut]), (_band(face, sign, face.height / 2) + 6, edge), 14 + high, lettering)
    face.row(" ".join(parts[cut:]), (12, edge), face.height - 14, lettering)
    face.border()
    face.bolts(((20, 100), (face.width - 20, 100)))
    return face.finish(look.ground, look.ink)


def between_lettering(text, size, style, scale):
    """One line of tall narrow characters between two lines of small lettering, which is not read."""
    face, look = Face(size, style, scale), Look.of(style)
    spaced = grouped(text, style.rng)[0].replace(":", " ").replace("-", " ")
    high = style.between(62, 76)
    lettering = look.lettering(high, style.between(4, 9), style.between(8, 20), stretch=0.85)
    face.row(spaced, (12, face.width - 12), (face.height + high) / 2 + style.between(-4, 6), lettering)
    if style.rng is not None:
        for base, small in ((26, 16), (146, 11)):
            name = "".join(style.rng.choice(list(grammar.LATIN_LETTERS), int(style.rng.integers(4, 13))))
            face.row(name, (50, 255), base, Lettering(small, small * 0.16, 3, 0.9, "din"))
    face.bolts(((55, 12), (250, 12), (55, 140), (250, 140)))
    return face.finish(look.ground, look.ink)
