"""Night, rain and glare as a gate's camera sees them: infrared lamps, headlights, drops on the glass, drawn-up edges.

Float BGR pictures, as in `effects`; each function returns a new picture or changes its argument in place, as it says.
"""

import cv2
import numpy as np

from .effects import smooth_field


def lamp_light(picture, rng, at=None):
    """The picture by night: dim but for a cone of light around `at`, grey when an infrared lamp throws it."""
    height, width = picture.shape[:2]
    x, y = at if at is not None else rng.uniform(0.2, 0.8, 2) * [width, height]
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    reach = rng.uniform(0.25, 1.2) * max(height, width)
    cone = np.exp(-(((xx - x) ** 2 + (yy - y) ** 2) / reach**2))
    light = rng.uniform(0.02, 0.15) + rng.uniform(0.1, 0.6) * cone
    if rng.random() < 0.6:
        picture = picture.mean(2, keepdims=True).repeat(3, 2)
    else:  # sodium or cold lamps
        picture = picture * np.float32(rng.choice([[0.6, 0.9, 1.15], [1.1, 1.0, 0.85], [1, 1, 1]]))
    picture = picture * light[..., None]
    return np.float32(picture * (rng.uniform(12, 70) / max(4.0, picture.mean())))  # the camera's own gain


def bloom(picture, rng):
    """What is brighter than white bleeds into its surroundings."""
    excess = np.clip(picture - rng.uniform(180, 240), 0, 400)
    size = max(picture.shape[:2])
    halo = cv2.GaussianBlur(excess, (0, 0), rng.uniform(0.006, 0.03) * size)
    return picture + rng.uniform(0.1, 0.8) * halo


def headlights(picture, rng, quad):
    """Two lamps glaring on both sides above a plate at `quad` (TL TR BR BL), with halo and streak; in place."""
    along, down = quad[1] - quad[0], quad[3] - quad[0]
    middle, size = quad.mean(0), float(np.linalg.norm(along))
    apart, above = rng.uniform(0.8, 1.4), rng.uniform(0.2, 1.2)
    yy, xx = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    tint = np.float32(rng.uniform(0.85, 1.0, 3))
    for side in (-1, 1):
        x, y = middle + side * apart * along - above * np.linalg.norm(along) * down / max(1.0, np.linalg.norm(down)) / 2
        far = np.hypot(xx - x, yy - y)
        glow = 400 * np.exp(-((far / (size * rng.uniform(0.06, 0.16))) ** 2))
        glow += rng.uniform(20, 110) * np.exp(-far / (size * rng.uniform(0.15, 0.6)))
        if rng.random() < 0.4:
            streak = np.abs(yy - y) / (size * 0.02) + np.abs(xx - x) / (size * rng.uniform(0.3, 1.2))
            glow += 120 * np.exp(-streak)
        picture += glow[..., None] * tint


def rain(picture, rng):
    """Falling rain as faint slanting lines over a veil."""
    height, width = picture.shape[:2]
    lines, slant = np.zeros((height, width), np.float32), rng.normal(0, 0.2)
    for _ in range(int(rng.uniform(0.0005, 0.004) * height * width)):
        x, y, length = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(3, 16)
        ends = (int(x), int(y)), (int(x + slant * length), int(y + length))
        cv2.line(lines, *ends, float(rng.uniform(10, 70)), 1, cv2.LINE_AA)
    veil = rng.uniform(0, 0.3)
    return picture * (1 - veil) + picture.mean() * veil + lines[..., None]


def drops(picture, rng, count):
    """Water drops on the lens: round patches, blurred and lighter. In place."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for _ in range(count):
        at = tuple(int(v) for v in rng.uniform(0, 1, 2) * [width, height])
        radius = int(np.exp(rng.uniform(np.log(4), np.log(0.2 * width))))
        axes = (radius, max(2, int(radius * rng.uniform(0.6, 1.0))))
        cv2.ellipse(mask, at, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.2, 0.8)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None]
    blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.0, 3.0))
    picture += mask * (blurred * rng.uniform(0.8, 1.1) + rng.uniform(0, 60) - picture)


def fog(picture, rng):
    """A pale veil, thicker in places."""
    thick = rng.uniform(0.15, 0.55) * (0.5 + smooth_field(rng, picture.shape, (3, 4)))[..., None]
    return picture * (1 - thick) + rng.uniform(120, 220) * thick


def sharpened(picture, rng):
    """As surveillance cameras deliver it: edges drawn up, with halos on both sides."""
    soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.7, 2.0))
    return picture + rng.uniform(0.4, 2.2) * (picture - soft)
