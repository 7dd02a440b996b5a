"""The blank sheet a plate is drawn on, how makers' plates differ, and the face of type 1: 520 x 112 mm, one line, flag at the right.

Positions are the middles of the characters, in millimetres from the left edge, as makers set them: the left part closes
up when the region code has three digits. `kinds` has the other types.
"""

import dataclasses

import cv2
import numpy as np

from . import strokes
from .grammar import split

WIDTH_MM, HEIGHT_MM = 520, 112
DIGIT_MM, LETTER_MM, REGION_MM = 76, 58, 58
BASE_MM, REGION_BASE_MM = 95, 71
MIDDLES = {2: (62, 127, 181, 235, 303, 355), 3: (54, 109, 165, 220, 274, 327)}
REGION_MIDDLES = {2: (424, 467), 3: (388, 429, 471)}
SEPARATOR_MM = {2: 394, 3: 364}
WHITE, BLACK, YELLOW, BLUE = (255, 255, 255), (0, 0, 0), (30, 190, 250), (150, 70, 20)
FLAG = ((250, 250, 250), (190, 60, 20), (30, 30, 200))


class Style:
    """How one maker's plate differs from the drawing; `Style()` is the drawing itself."""

    def __init__(self, rng=None):
        self.rng = rng
        free = rng is not None
        draw = (lambda low, high: float(rng.uniform(low, high))) if free else (lambda low, high: (low + high) / 2)
        self.pen = draw(0.80, 1.22)  # of the standard's stroke; paint bleeds or is thin
        self.digit_pen, self.letter_pen = draw(8.6, 10.8) * self.pen, draw(7.6, 9.6) * self.pen
        self.region_pen = draw(7.2, 9.0) * self.pen
        self.digit_stretch, self.letter_stretch = draw(0.93, 1.08), draw(0.92, 1.08)
        self.shift = np.array([draw(-4, 4), draw(-3, 3)])
        self.spread = draw(0.97, 1.03)
        self.region_shift = draw(-4, 4)
        self.line = draw(1.2, 3.5)
        self.flag = not free or rng.random() < 0.75
        self.country = not free or rng.random() < 0.93
        self.bolts = not free or rng.random() < 0.88
        self.strange_bolts = int(rng.integers(1, 4)) if free and rng.random() < 0.15 else 0
        self.bolt_mm = draw(2.5, 5.5) if not free or rng.random() < 0.75 else draw(5.5, 9)
        self.bolt_grey = draw(10, 130) if not free or rng.random() < 0.75 else draw(130, 245)
        self.caps = free and rng.random() < 0.3  # a cap or washer around the head
        self.relief = 0.0 if not free or rng.random() < 0.5 else draw(0.05, 0.3)
        self.relief_mm = np.array([draw(-1.6, 1.6), draw(-1.6, 1.6)])
        self.wear = draw(0.2, 0.8) if free and rng.random() < 0.12 else 0.0
        self._wobble = draw(0.0, 0.035) if free else 0.0

    def wobble(self, points):
        """Bends a stroke a little: an affine change of its own plus noise, so that curves stay smooth."""
        if not self._wobble:
            return points
        change = np.eye(2) + self.rng.normal(0, self._wobble * 0.5, (2, 2))
        return ((points - 0.5) @ change + 0.5 + self.rng.normal(0, self._wobble * 0.4, 2)).astype(np.float32)

    def nudge(self, amount):
        """A small placement error of one character, millimetres."""
        return 0.0 if self.rng is None else float(self.rng.normal(0, amount))

    def between(self, low, high):
        """A measure that makers vary; the middle of the range for the drawing itself."""
        return (low + high) / 2 if self.rng is None else float(self.rng.uniform(low, high))


@dataclasses.dataclass(frozen=True)
class Lettering:
    """How a row of characters is set: `size` (height), `pen` (stroke), `gap` between characters and `wide` (a blank) in millimetres."""

    size: float
    pen: float
    gap: float
    stretch: float = 1.0
    hand: str = "gost"
    wide: float = 16.0


class Face:
    """A plate being drawn: ink on a sheet of `size` (width, height) millimetres at `scale` pixels per millimetre."""

    def __init__(self, size, style, scale):
        self.width, self.height, self.style, self.scale = *size, style, scale
        self.ink = np.zeros((int(size[1] * scale), int(size[0] * scale)), np.uint8)
        self.painted = []  # coloured parts, laid over the ink at the end
        self.on_top = None  # a mask like `ink`, white over all

    def put(self, char, middle, base, size, pen, stretch=1.0, hand="gost"):
        """One character: the middle of its width, the line it stands on, its height and stroke, all in millimetres."""
        style = self.style
        left = middle + style.nudge(0.8) - strokes.width_mm(char, size, stretch, hand) / 2
        top = base - size + style.nudge(0.4)
        strokes.draw(self.ink, char, left, top, size, pen, self.scale, stretch, style.wobble, hand)

    def row(self, text, span, base, lettering):
        """Characters side by side, centred between `span` (left, right) on the line `base`, narrowed when they do not fit.

        A hyphen is a dash, a colon two round stickers one above the other."""
        set_as, room = lettering, span[1] - span[0]
        full = self._length(text, set_as)
        if full > room:
            by = room / full
            narrow = {"stretch": set_as.stretch * by, "gap": set_as.gap * by, "wide": set_as.wide * by}
            set_as = dataclasses.replace(set_as, **narrow)
        left = sum(span) / 2 - self._length(text, set_as) / 2 + self.style.nudge(2.0)
        for char in text:
            taken = self._width(char, set_as)
            middle, centre = left + taken / 2, base - set_as.size / 2
            left += taken + set_as.gap
            if char == "-":
                half = taken * 0.32
                self.bar(middle - half, centre - set_as.pen / 2, middle + half, centre + set_as.pen / 2)
            elif char == ":":
                self.stickers(middle, centre, taken * 0.42)
            elif char != " ":
                self.put(char, middle, base, set_as.size, set_as.pen, set_as.stretch, set_as.hand)

    @staticmethod
    def _width(char, lettering):
        known = {" ": lettering.wide, "-": lettering.wide, ":": lettering.wide * 1.4}
        drawn = lambda: strokes.width_mm(char, lettering.size, lettering.stretch, lettering.hand)
        return known[char] if char in known else drawn()

    def _length(self, text, lettering):
        return sum(self._width(char, lettering) for char in text) + lettering.gap * (len(text) - 1)

    def bar(self, left, top, right, bottom):
        """A filled rectangle of ink, millimetres."""
        low, high = ((int(x * self.scale), int(y * self.scale)) for x, y in ((left, top), (right, bottom)))
        cv2.rectangle(self.ink, low, high, 255, -1)

    def outline(self, box, line, radius=9):
        """A rounded frame of ink just inside `box` (left, top, right, bottom), millimetres."""
        outline = np.zeros_like(self.ink)
        for grow, value in ((0.0, 255), (line, 0)):
            left, top, right, bottom = (int(v * self.scale) for v in np.array(box) + np.array([1, 1, -1, -1]) * grow)
            r = max(1, int((radius - grow) * self.scale))
            cv2.rectangle(outline, (left + r, top), (right - r, bottom), value, -1)
            cv2.rectangle(outline, (left, top + r), (right, bottom - r), value, -1)
            for x in (left + r, right - r):
                for y in (top + r, bottom - r):
                    cv2.circle(outline, (x, y), r, value, -1, cv2.LINE_AA)
        np.maximum(self.ink, outline, out=self.ink)

    def border(self):
        """The frame line around the whole plate."""
        self.outline((3, 3, self.width - 3, self.height - 3), self.style.line)

    def stickers(self, x, y, radius):
        """Two round stickers, one above the other, as German plates carry them."""
        tones = ((60, 160, 60), (170, 170, 170)) if self.style.rng is None else self.style.rng.uniform(40, 220, (2, 3))
        for sign, tone in zip((-1, 1), tones, strict=True):
            self.painted.append(("disc", (x, y + sign * radius * 1.25, radius), tuple(float(v) for v in tone)))

    def paint(self, left, top, right, bottom, colour):
        """A coloured rectangle over everything, millimetres and BGR."""
        self.painted.append(("bar", (left, top, right, bottom), tuple(float(v) for v in colour)))

    def bolts(self, places):
        """Screw heads at about `places` (x, y), and sometimes where nobody expects them."""
        style = self.style
        if style.bolts:
            for x, y in places:
                x, y, radius = x + style.nudge(2.5), y + style.nudge(4), style.bolt_mm
                if style.caps:
                    self.painted.append(("disc", (x, y, radius * 1.5), (255.0 - style.bolt_grey,) * 3))
                self.painted.append(("disc", (x, y, radius), (style.bolt_grey,) * 3))
        for _ in range(style.strange_bolts):
            at = (style.rng.uniform(0, self.width), style.rng.uniform(0.04, 0.96) * self.height, style.bolt_mm * 0.8)
            self.painted.append(("disc", at, (style.bolt_grey,) * 3))

    def finish(self, ground=WHITE, ink=BLACK):
        """The face as a BGR picture: ink on its ground, the relief of pressed metal, worn paint, then what lies over it."""
        style, cover = self.style, self.ink.astype(np.float32) / 255
        if style.wear:
            height, width = cover.shape
            holes = cv2.resize(style.rng.random((height // 3 + 1, width // 3 + 1), dtype=np.float32), (width, height))
            cover *= 1 - np.clip((holes - 1.05 + style.wear * 0.45) * 4, 0, 1)
        ground, ink = np.float32(ground), np.float32(ink)
        picture = ground + (ink - ground) * cover[..., None]
        if style.relief:
            x, y = style.relief_mm * self.scale
            moved = [
                cv2.warpAffine(cover, np.float32([[1, 0, s * x], [0, 1, s * y]]), cover.shape[::-1]) for s in (1, -1)
            ]
            picture = picture * (1 + style.relief * (moved[0] - moved[1])[..., None] * 0.8)
            picture += (style.relief * 60) * np.clip(moved[1] - moved[0], 0, 1)[..., None]
        picture = np.clip(picture, 0, 255).astype(np.uint8)
        for shape, place, colour in self.painted:
            at = [int(v * self.scale) for v in place]
            if shape == "bar":
                cv2.rectangle(picture, at[:2], at[2:], colour, -1)
            else:
                cv2.circle(picture, at[:2], max(1, at[2]), colour, -1, cv2.LINE_AA)
        if self.on_top is not None:
            picture = np.maximum(picture, self.on_top[..., None])
        return picture


def country_and_flag(face, left, base, size=20.0):
    """`RUS` and the flag beside it, from `left` on the line `base`, `size` mm high; in a proportion of their own."""
    style, step = face.style, size * 0.95
    if not style.country:
        return
    for i, char in enumerate("RUS"):
        strokes.draw(face.ink, char, left + i * step, base - size, size, size * 0.125, face.scale, 1.1)
    if style.flag:
        x, stripe = left + 3 * step - size * 0.05, size * 0.33
        face.paint(x - 0.7, base - size - 0.7, x + size * 1.85 + 0.7, base + 0.7, (110, 110, 110))
        for row, colour in enumerate(FLAG):
            face.paint(x, base - size + stripe * row, x + size * 1.85, base - size + stripe * (row + 1), colour)


def right_field(face, region, ink_pen):
    """The region code with its separator, country and flag, as on every one-line plate of 520 x 112 mm."""
    style, count = face.style, len(region)
    for char, middle in zip(region, REGION_MIDDLES[count], strict=True):
        face.put(
            char, middle + style.region_shift, REGION_BASE_MM + style.shift[1], REGION_MM, ink_pen, style.digit_stretch
        )
    separator = SEPARATOR_MM[count] + style.region_shift * 0.5
    face.bar(separator, 5, separator + style.line, HEIGHT_MM - 5)
    country_and_flag(face, (398 if count == 2 else 392) + style.region_shift + style.nudge(1.5), 98 + style.nudge(1))


def left_field(face, series, count):
    """Letters and digits of type 1 at their places, the digits taller; `count` digits follow in the region code."""
    style, places = face.style, np.array(MIDDLES[count], float)
    places = places.mean() + (places - places.mean()) * style.spread + style.shift[0]
    for char, middle in zip(series, places, strict=True):
        digit = char.isdigit()
        size, pen = (DIGIT_MM, style.digit_pen) if digit else (LETTER_MM, style.letter_pen)
        face.put(
            char, middle, BASE_MM + style.shift[1], size, pen, style.digit_stretch if digit else style.letter_stretch
        )


def draw_plate(text, style=None, scale=2.0):
    """The face of a type 1 plate as a BGR picture of `scale` pixels per millimetre: pure ink on white, evenly lit."""
    style = style or Style()
    first, digits, letters, region = split(text)
    face = Face((WIDTH_MM, HEIGHT_MM), style, scale)
    left_field(face, first + digits + letters, len(region))
    right_field(face, region, style.region_pen)
    face.border()
    face.bolts(((14, 56), (WIDTH_MM - 14, 56)))
    return face.finish()
