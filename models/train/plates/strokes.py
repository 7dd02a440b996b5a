"""A pen that follows the skeletons of `glyphs` and `latin`: ends are cut square, joints are round, as pressed metal has them."""

import functools

import cv2
import numpy as np

from .glyphs import GLYPHS
from .latin import DIN, FE

SHARP = 0.8  # cosine of the turn that is a corner rather than a curve
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


def _sixteenths(points):
    return np.rint(np.asarray(points) * 16).astype(np.int32)


def _follow(canvas, points, pen):
    """Draws a line of width `pen` with square ends and round joints, to a sixteenth of a pixel.

    The line is cut where it turns sharply; each smooth piece is filled as one outline, a closed one as two.
    """
    steps = np.diff(points, axis=0)
    kept = np.hypot(steps[:, 0], steps[:, 1]) > 1e-3
    points = np.concatenate([points[:1], points[1:][kept]])
    along = np.diff(points, axis=0)
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    closed = bool(np.hypot(*(points[0] - points[-1])) < 0.25 * pen)
    turns = (along[1:] * along[:-1]).sum(1)
    corners = np.flatnonzero(turns < SHARP) + 1
    if closed and not len(corners):
        return _ring(canvas, points, along, pen)
    cuts = [0, *corners.tolist(), len(points) - 1]
    for start, end in zip(cuts[:-1], cuts[1:], strict=True):
        directions = along[start:end]
        across = _normals(np.concatenate([directions[:1], directions[1:] + directions[:-1], directions[-1:]]), pen / 2)
        piece = points[start : end + 1]
        outline = np.concatenate([piece + across, (piece - across)[::-1]])
        cv2.fillPoly(canvas, [_sixteenths(outline)], 255, cv2.LINE_AA, 4)
    for i in corners.tolist() + ([0] if closed else []):
        cv2.circle(canvas, tuple(int(v) for v in _sixteenths(points[i])), int(pen * 8), 255, -1, cv2.LINE_AA, 4)


def _normals(directions, length):
    """Vectors of that length at right angles to `directions`."""
    across = np.stack([-directions[:, 1], directions[:, 0]], 1)
    return across * (length / np.maximum(1e-6, np.hypot(across[:, 0], across[:, 1])))[:, None]


def _ring(canvas, points, along, pen):
    """A closed smooth line: the space between two outlines."""
    across = _normals(along + np.roll(along, 1, 0), pen / 2)
    ring = points[:-1]
    cv2.fillPoly(canvas, [_sixteenths(ring + across), _sixteenths(ring - across)], 255, cv2.LINE_AA, 4)
