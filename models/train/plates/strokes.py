"""A pen that follows the skeletons of `glyphs` and `latin`: ends are cut square, joints are round, as pressed metal has them."""

import functools

import cv2
import numpy as np

from .glyphs import GLYPHS
from .latin import DIN, FE

HANDS = {"gost": GLYPHS, "din": DIN, "fe": FE}


@functools.cache
def skeleton(char, hand="gost"):
    """(width share, strokes as arrays of points in the pen box) in one of `HANDS`; curves sampled finely."""
    width, strokes = HANDS[hand][char]
    return width, tuple(_sampled(stroke) for stroke in strokes)


def _sampled(stroke):
    points = []
    for step in stroke:
        if step[0] == "arc":
            _, cx, cy, rx, ry, a, b = step
            angles = np.radians(np.linspace(a, b, max(6, int(abs(b - a) // 12))))
            points += [(cx + rx * np.cos(t), cy + ry * np.sin(t)) for t in angles]
        elif step[0] == "curve":
            x0, y0 = points[-1]
            _, x1, y1, x2, y2 = step
            for t in np.linspace(0, 1, 9)[1:]:
                s = 1 - t
                points.append((s * s * x0 + 2 * s * t * x1 + t * t * x2, s * s * y0 + 2 * s * t * y1 + t * t * y2))
        else:
            points.append(step)
    return np.array(points, np.float32)


def width_mm(char, height, stretch=1.0, hand="gost"):
    """The outer width of a glyph of that outer height."""
    return HANDS[hand][char][0] * height * stretch


def draw(canvas, char, left, top, height, pen, scale, stretch=1.0, wobble=None, hand="gost"):
    """Adds a glyph's ink (255) to the single-channel `canvas`.

    `left`, `top`, `height` and `pen` (stroke width) are in millimetres, `scale` in pixels per millimetre; `stretch`
    widens the glyph. `wobble(points)` may displace skeleton points: small differences between makers' dies.
    """
    width, strokes = skeleton(char, hand)
    inner = np.array([max(0.0, width * height * stretch - pen), height - pen], np.float32)
    origin = np.array([left + pen / 2, top + pen / 2], np.float32)
    for stroke in strokes:
        points = stroke if wobble is None else wobble(stroke)
        _follow(canvas, (points * inner + origin) * scale, pen * scale)


def _follow(canvas, points, pen):
    """Draws a line of width `pen` with square ends and round joints, to a sixteenth of a pixel."""
    sixteenths = lambda value: np.rint(np.asarray(value) * 16).astype(np.int32)
    closed = np.linalg.norm(points[0] - points[-1]) < 0.25 * pen
    for i, (a, b) in enumerate(zip(points[:-1], points[1:], strict=False)):
        along = b - a
        length = float(np.linalg.norm(along))
        if length < 1e-6:
            continue
        across = np.array([-along[1], along[0]]) / length * (pen / 2)
        quad = sixteenths([a + across, b + across, b - across, a - across])
        cv2.fillConvexPoly(canvas, quad, 255, cv2.LINE_AA, 4)
        if i > 0 or closed:
            cv2.circle(canvas, tuple(int(v) for v in sixteenths(a)), int(pen * 8), 255, -1, cv2.LINE_AA, 4)
