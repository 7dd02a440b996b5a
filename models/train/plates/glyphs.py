"""The letterforms of GOST R 50577, drawn for Cardea as skeletons that a pen of a given width follows.

A glyph is its width (as a share of its height) and strokes. A stroke is a list of steps in the box 0..1 x 0..1 that the
*middle* of the pen may reach (y grows downwards):

    (x, y)                          a straight line to that point
    ("arc", cx, cy, rx, ry, a, b)   an elliptical arc from angle a to b, degrees, clockwise on screen, 0 = right
    ("curve", x1, y1, x2, y2)       a quadratic curve by way of (x1, y1) to (x2, y2)

The ends are cut square, the joints are round, as pressed metal has them.
"""

import functools

import cv2
import numpy as np

_SIX = [[(0.73, 0.0), ("curve", 0.24, 0.34, 0.03, 0.62)], [("arc", 0.5, 0.675, 0.5, 0.325, 0, 360)]]

GLYPHS = {
    "0": (0.61, [[("arc", 0.5, 0.33, 0.5, 0.33, 180, 360), ("arc", 0.5, 0.67, 0.5, 0.33, 0, 180), (0.0, 0.33)]]),
    "1": (0.44, [[(0.0, 0.27), (0.96, 0.02), (0.96, 1.0)]]),
    "2": (0.62, [[("arc", 0.47, 0.28, 0.46, 0.28, 185, 385), ("curve", 0.78, 0.55, 0.03, 1.0), (1.0, 1.0)]]),
    "3": (0.60, [[(0.03, 0.0), (0.92, 0.0), (0.42, 0.42), ("arc", 0.42, 0.71, 0.55, 0.29, 275, 515)]]),
    "4": (0.68, [[(0.60, 0.0), (0.02, 0.72), (1.0, 0.72)], [(0.73, 0.44), (0.73, 1.0)]]),
    "5": (0.60, [[(0.95, 0.0), (0.15, 0.0), (0.08, 0.45), ("arc", 0.43, 0.69, 0.54, 0.31, 230, 515)]]),
    "6": (0.60, _SIX),
    "7": (0.58, [[(0.0, 0.0), (0.96, 0.0), (0.30, 1.0)]]),
    "8": (0.62, [[("arc", 0.5, 0.235, 0.42, 0.235, 0, 360)], [("arc", 0.5, 0.735, 0.5, 0.265, 0, 360)]]),
    "9": (0.60, None),  # a turned 6, filled in below
    "A": (0.79, [[(0.0, 1.06), (0.47, -0.04)], [(0.53, -0.04), (1.0, 1.06)], [(0.15, 0.69), (0.85, 0.69)]]),
    "B": (
        0.71,
        [
            [(0.0, 1.0), (0.0, 0.0), (0.55, 0.0), ("arc", 0.60, 0.235, 0.34, 0.235, 270, 450), (0.0, 0.47)],
            [(0.55, 0.47), ("arc", 0.62, 0.735, 0.38, 0.265, 270, 450), (-0.05, 1.0)],
        ],
    ),
    "E": (0.69, [[(1.0, 0.0), (0.0, 0.0), (0.0, 1.0), (1.0, 1.0)], [(0.0, 0.48), (0.90, 0.48)]]),
    "K": (0.76, [[(0.0, -0.06), (0.0, 1.06)], [(0.92, -0.02), (0.02, 0.66)], [(0.36, 0.40), (0.98, 1.03)]]),
    "M": (0.81, [[(0.0, 1.06), (0.0, 0.0), (0.5, 0.70), (1.0, 0.0), (1.0, 1.06)]]),
    "H": (0.70, [[(0.0, -0.06), (0.0, 1.06)], [(1.0, -0.06), (1.0, 1.06)], [(0.0, 0.48), (1.0, 0.48)]]),
    "O": (0.76, [[("arc", 0.5, 0.48, 0.5, 0.48, 180, 360), ("arc", 0.5, 0.52, 0.5, 0.48, 0, 180), (0.0, 0.48)]]),
    "P": (0.66, [[(0.0, 1.06), (0.0, 0.0), (0.55, 0.0), ("arc", 0.62, 0.27, 0.38, 0.27, 270, 450), (0.0, 0.54)]]),
    "C": (0.74, [[("arc", 0.52, 0.5, 0.52, 0.5, 318, 42)]]),
    "T": (0.70, [[(-0.05, 0.0), (1.05, 0.0)], [(0.5, 0.0), (0.5, 1.06)]]),
    "Y": (0.81, [[(0.05, -0.04), (0.55, 0.62)], [(0.97, -0.04), (0.50, 0.78), ("curve", 0.36, 1.02, 0.07, 0.98)]]),
    "X": (0.82, [[(0.04, -0.03), (0.96, 1.03)], [(0.94, -0.03), (0.06, 1.03)]]),
    # Only for the country sign under the region code.
    "R": (
        0.74,
        [
            [(0.0, 1.06), (0.0, 0.0), (0.55, 0.0), ("arc", 0.62, 0.27, 0.38, 0.27, 270, 450), (0.0, 0.54)],
            [(0.5, 0.54), (0.98, 1.05)],
        ],
    ),
    "U": (
        0.78,
        [[(0.0, -0.06), (0.0, 0.6), ("curve", 0.0, 1.0, 0.5, 1.0), ("curve", 1.0, 1.0, 1.0, 0.6), (1.0, -0.06)]],
    ),
    "S": (0.72, [[("arc", 0.5, 0.25, 0.47, 0.25, 330, 90), ("arc", 0.5, 0.75, 0.47, 0.25, 270, 510)]]),
}


def _turned(strokes):
    """The strokes turned by 180 degrees about the middle of the box."""

    def turn(step):
        if step[0] == "arc":
            _, cx, cy, rx, ry, a, b = step
            return ("arc", 1 - cx, 1 - cy, rx, ry, a + 180, b + 180)
        if step[0] == "curve":
            return ("curve", *(1 - v for v in step[1:]))
        return (1 - step[0], 1 - step[1])

    return [[turn(step) for step in stroke] for stroke in strokes]


GLYPHS["9"] = (0.60, _turned(_SIX))


@functools.cache
def skeleton(char):
    """(width share, strokes as arrays of points in the pen box); curves sampled finely."""
    width, strokes = GLYPHS[char]
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


def width_mm(char, height, stretch=1.0):
    """The outer width of a glyph of that outer height."""
    return GLYPHS[char][0] * height * stretch


def draw(canvas, char, left, top, height, pen, scale, stretch=1.0, wobble=None):
    """Adds a glyph's ink (255) to the single-channel `canvas`.

    `left`, `top`, `height` and `pen` (stroke width) are in millimetres, `scale` in pixels per millimetre; `stretch`
    widens the glyph. `wobble(points)` may displace skeleton points: small differences between makers' dies.
    """
    width, strokes = skeleton(char)
    inner = np.array([width * height * stretch - pen, height - pen], np.float32)
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
