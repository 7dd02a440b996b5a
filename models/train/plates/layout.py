"""The face of a type 1 plate: 520 x 112 mm, one line, black on white, region code and flag on the right.

Positions are the middles of the characters, in millimetres from the left edge, as makers set them: the left part closes
up when the region code has three digits.
"""

import cv2
import numpy as np

from . import glyphs
from .grammar import split

WIDTH_MM, HEIGHT_MM = 520, 112
DIGIT_MM, LETTER_MM, REGION_MM = 76, 58, 58
BASE_MM, REGION_BASE_MM = 95, 71
MIDDLES = {2: (62, 127, 181, 235, 303, 355), 3: (54, 109, 165, 220, 274, 327)}
REGION_MIDDLES = {2: (424, 467), 3: (388, 429, 471)}
SEPARATOR_MM = {2: 394, 3: 364}


class Style:
    """How one maker's plate differs from the drawing; `Style()` is the drawing itself."""

    def __init__(self, rng=None):
        self.rng = rng
        free = rng is not None
        draw = (lambda low, high: float(rng.uniform(low, high))) if free else (lambda low, high: (low + high) / 2)
        self.digit_pen, self.letter_pen = draw(8.2, 11.2), draw(7.0, 10.0)
        self.region_pen = draw(6.8, 9.4)
        self.digit_stretch, self.letter_stretch = draw(0.90, 1.10), draw(0.90, 1.10)
        self.shift = np.array([draw(-4, 4), draw(-3, 3)])
        self.spread = draw(0.97, 1.03)
        self.region_shift = draw(-4, 4)
        self.line = draw(1.5, 3.5)
        self.flag = not free or rng.random() < 0.8
        self.country = not free or rng.random() < 0.93
        self.bolts = not free or rng.random() < 0.8
        self.bolt_mm, self.bolt_grey = draw(3, 7), draw(20, 150)
        self._wobble = draw(0.0, 0.04) if free else 0.0

    def wobble(self, points):
        """Bends a stroke a little: an affine change of its own plus noise, so that curves stay smooth."""
        if not self._wobble:
            return points
        change = np.eye(2) + self.rng.normal(0, self._wobble * 0.5, (2, 2))
        return ((points - 0.5) @ change + 0.5 + self.rng.normal(0, self._wobble * 0.4, 2)).astype(np.float32)

    def nudge(self, amount):
        """A small placement error of one character, millimetres."""
        return 0.0 if self.rng is None else float(self.rng.normal(0, amount))


def draw_plate(text, style=None, scale=2.0):
    """The plate's face as a BGR picture of `scale` pixels per millimetre: pure ink on white, evenly lit."""
    style = style or Style()
    first, digits, letters, region = split(text)
    height, width = int(HEIGHT_MM * scale), int(WIDTH_MM * scale)
    ink = np.zeros((height, width), np.uint8)

    def put(char, middle, base, size, pen):
        stretch = style.digit_stretch if char.isdigit() else style.letter_stretch
        left = middle + style.nudge(0.8) - glyphs.width_mm(char, size, stretch) / 2
        top = base - size + style.shift[1] + style.nudge(0.4)
        glyphs.draw(ink, char, left, top, size, pen, scale, stretch, style.wobble)

    places = MIDDLES[len(region)]
    centre = np.mean(places)
    for char, middle in zip(first + digits + letters, places, strict=False):
        middle = centre + (middle - centre) * style.spread + style.shift[0]
        size, pen = (DIGIT_MM, style.digit_pen) if char.isdigit() else (LETTER_MM, style.letter_pen)
        put(char, middle, BASE_MM, size, pen)
    for char, middle in zip(region, REGION_MIDDLES[len(region)], strict=False):
        put(char, middle + style.region_shift, REGION_BASE_MM, REGION_MM, style.region_pen)
    separator = SEPARATOR_MM[len(region)] + style.region_shift * 0.5
    _line(ink, separator, style.line, scale)
    if style.country:
        for char, middle in zip("RUS", np.array([406, 425, 444]) - (0 if len(region) == 2 else 6), strict=False):
            glyphs.draw(ink, char, middle - 9 + style.region_shift, 78, 20, 2.3, scale, 1.2)
    _border(ink, style.line, scale)
    picture = cv2.cvtColor(255 - ink, cv2.COLOR_GRAY2BGR)
    if style.flag and style.country:
        _flag(picture, 458 + style.region_shift, 79, scale)
    if style.bolts:
        for middle in (14, WIDTH_MM - 13):
            at = (int((middle + style.nudge(2)) * scale), int((56 + style.nudge(3)) * scale))
            cv2.circle(picture, at, int(style.bolt_mm * scale), (style.bolt_grey,) * 3, -1, cv2.LINE_AA)
    return picture


def _line(ink, x, width, scale):
    cv2.rectangle(
        ink, (int(x * scale), int(6 * scale)), (int((x + width) * scale), int((HEIGHT_MM - 6) * scale)), 255, -1
    )


def _border(ink, width, scale):
    inset, reach = int(3 * scale), int(9 * scale)
    height, full = ink.shape
    outline = np.zeros_like(ink)
    for grow, value in ((0, 255), (int(width * scale), 0)):
        low, radius = inset + grow, max(1, reach - grow)
        cv2.rectangle(outline, (low + radius, low), (full - low - radius, height - low), value, -1)
        cv2.rectangle(outline, (low, low + radius), (full - low, height - low - radius), value, -1)
        for x in (low + radius, full - low - radius):
            for y in (low + radius, height - low - radius):
                cv2.circle(outline, (x, y), radius, value, -1, cv2.LINE_AA)
    np.maximum(ink, outline, out=ink)


def _flag(picture, left, top, scale):
    for row, colour in enumerate(((250, 250, 250), (190, 60, 20), (30, 30, 200))):
        low = (int(left * scale), int((top + 6.5 * row) * scale))
        high = (int((left + 38) * scale), int((top + 6.5 * (row + 1)) * scale))
        cv2.rectangle(picture, low, high, colour, -1)
    cv2.rectangle(
        picture,
        (int(left * scale), int(top * scale)),
        (int((left + 38) * scale), int((top + 19.5) * scale)),
        (90, 90, 90),
        1,
    )
