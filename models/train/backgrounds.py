"""Pictures with neither plate nor face in them: drawn clutter, lettering, and a few public-domain photographs.

The photographs come with scikit-image and are CC0 or public domain by its own data notes: brick, grass, gravel (CC0
Textures), chelsea, coffee, rocket (CC0), moon, hubble_deep_field (NASA). Pictures with people (astronaut,
camera) are left out.
"""

import cv2
import numpy as np
import skimage.data

from plates.effects import smooth_field
from plates.scene import lay, street

PHOTOGRAPHS = ("brick", "grass", "gravel", "chelsea", "coffee", "rocket", "moon", "hubble_deep_field")
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_PLAIN)
LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghiklmnoprstu0123456789:-/.&+ ")
DIGITS = list("0123456789012345678901234567890123456789-:/. ")
_photographs = []


def photographs():
    """The public-domain pictures, BGR."""
    if not _photographs:
        for name in PHOTOGRAPHS:
            picture = getattr(skimage.data, name)()
            code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
            _photographs.append(cv2.cvtColor(picture, code))
    return _photographs


def colour(rng, low=5, high=250):
    """Mostly greyish, as the world is; sometimes strong."""
    strength = rng.choice([0.05, 0.15, 0.6])
    return tuple(float(v) for v in np.clip(rng.uniform(low, high) * (1 + strength * rng.uniform(-1, 1, 3)), 0, 255))


def texture(rng, size):
    """Noise with detail at several scales, in a random colour ramp."""
    field = np.zeros((size, size), np.float32)
    for cells in (3, 8, 20, 60):
        field += smooth_field(rng, (size, size), (cells, cells)) * rng.uniform(0, 1)
    field = (field - field.min()) / (np.ptp(field) + 1e-3)
    return (
        np.array(colour(rng), np.float32) * (1 - field[..., None])
        + np.array(colour(rng), np.float32) * field[..., None]
    )


def crop_of_photograph(rng, size):
    """A random, scaled, turned, recoloured piece of a photograph."""
    picture = photographs()[int(rng.integers(0, len(PHOTOGRAPHS)))]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    height, width = picture.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(max(0.55, size / min(height, width))), np.log(2.5))))
    matrix = cv2.getRotationMatrix2D(
        (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height), rng.normal(0, 20), scale
    )
    matrix[:, 2] += (
        size / 2 - matrix[:, :2] @ np.array([width / 2, height / 2]) - matrix[:, 2] + rng.normal(0, size / 8, 2)
    )
    piece = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return piece.astype(np.float32) * np.float32(rng.uniform(0.8, 1.2, 3)) * rng.uniform(0.4, 1.2)


def shapes(rng, picture, count):
    """Blocks, discs, bars, ladders and grids: what cars, fences and houses are made of. In place."""
    size = picture.shape[0]
    for _ in range(count):
        x, y = (int(v) for v in rng.uniform(-0.1, 1.1, 2) * size)
        w, h = (int(v) for v in np.exp(rng.uniform(np.log(6), np.log(size * 0.8), 2)))
        kind, tone = rng.integers(0, 8), colour(rng)
        if kind == 0:
            cv2.rectangle(picture, (x, y), (x + w, y + h), tone, -1)
        elif kind == 1:
            cv2.rectangle(picture, (x, y), (x + w, y + h), tone, int(rng.integers(1, 5)))
        elif kind == 2:
            cv2.ellipse(
                picture,
                (x, y),
                (w // 2 + 1, h // 2 + 1),
                float(rng.uniform(0, 180)),
                0,
                360,
                tone,
                int(rng.choice([-1, 2, 4])),
                cv2.LINE_AA,
            )
        elif kind == 3:
            cv2.line(picture, (x, y), (x + w, y + int(rng.integers(-h, h))), tone, int(rng.integers(1, 9)), cv2.LINE_AA)
        elif kind == 4:  # grille, fence, blinds
            pitch = int(rng.integers(4, 16))
            for k in range(0, min(h, 200), pitch):
                ends = ((x, y + k), (x + w, y + k)) if rng.random() < 0.98 else ((x + k, y), (x + k, y + w))
                cv2.line(picture, *ends, tone, max(1, pitch // 3))
        elif kind == 5:  # a pale, empty panel of about a plate's shape
            cv2.rectangle(picture, (x, y), (x + w, y + max(4, int(w / rng.uniform(3, 7)))), colour(rng, 120, 255), -1)
        elif kind == 6:  # a house's front, tiles, a keyboard of windows
            across, down = (int(v) for v in rng.integers(5, 30, 2))
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour(rng), -1)
            for top in range(y + 3, y + min(h, 250) - 3, down):
                for left in range(x + 3, x + min(w, 250) - 3, across):
                    cv2.rectangle(picture, (left, top), (left + across // 2, top + down * 2 // 3), tone, -1)
        else:
            points = rng.normal(0, 1, (int(rng.integers(3, 7)), 2)) * [w / 2, h / 2] + [x, y]
            cv2.fillPoly(picture, [points.astype(np.int32)], tone, cv2.LINE_AA)


def lamps(rng, picture, count):
    """Tail lamps and reflectors: red or amber panels, ribbed, with a bright core and a chrome edge. In place."""
    size = picture.shape[0]
    for _ in range(count):
        x, y = (int(v) for v in rng.uniform(0, 1, 2) * size)
        w = int(np.exp(rng.uniform(np.log(8), np.log(size * 0.4))))
        h = max(4, int(w / rng.uniform(1.0, 6.0)))
        base = np.array([rng.uniform(10, 80), rng.uniform(10, 130), rng.uniform(120, 250)])
        tone = tuple(float(v) for v in base)
        cv2.rectangle(picture, (x, y), (x + w, y + h), tone, -1)
        pitch = int(rng.integers(3, 10))
        for k in range(0, w, pitch):
            if rng.random() < 0.6:
                cv2.line(picture, (x + k, y), (x + k, y + h), tuple(float(v) for v in base * rng.uniform(0.5, 1.3)), 1)
        core = (x + int(rng.uniform(0.2, 0.8) * w), y + h // 2)
        bright = tuple(float(v) for v in np.clip(base * 1.3 + rng.uniform(0, 160), 0, 255))
        cv2.ellipse(picture, core, (max(2, w // 6), max(1, h // 3)), 0, 0, 360, bright, -1, cv2.LINE_AA)
        if rng.random() < 0.4:
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour(rng, 120, 250), int(rng.integers(1, 3)))


def lettering(rng, picture, count, free_of=()):
    """Signs, adverts and camera overlays that are not plates; `free_of` lists quads to stay away from. In place."""
    size = picture.shape[0]
    for _ in range(count):
        text = "".join(rng.choice(DIGITS if rng.random() < 0.4 else LETTERS, int(rng.integers(2, 16))))
        font, scale, thick = int(rng.choice(FONTS)), float(rng.uniform(0.25, 1.5)), int(rng.integers(1, 4))
        font |= cv2.FONT_ITALIC if rng.random() < 0.25 else 0
        (width, height), _ = cv2.getTextSize(text, font, scale, thick)
        x, y = int(rng.integers(-30, size - 10)), int(rng.integers(8, size))
        if _touches(free_of, x, y - height, x + width, y + 2):
            continue
        draw = rng.random()
        if draw < 0.4:
            cv2.rectangle(picture, (x - 4, y - height - 5), (x + width + 4, y + 6), colour(rng), -1)
        stamp = (float(rng.uniform(0, 60)), float(rng.uniform(0, 230)), float(rng.uniform(200, 255)))  # a camera's date
        ink = stamp if draw > 0.75 else colour(rng)
        cv2.putText(picture, text, (x, y), font, scale, ink, thick, cv2.LINE_AA)


def _touches(quads, left, top, right, bottom, margin=6):
    """Whether a box comes near one of the quads."""
    low, high = (left - margin, top - margin), (right + margin, bottom + margin)
    return any((q.max(0) > low).all() and (q.min(0) < high).all() for q in quads)


def overlay(rng, picture, free_of=()):
    """A recorder's text over the finished 8-bit picture: date, time, channel; plain, outlined or on a box. In place."""
    height, width = picture.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        date = "{:04d}{s}{:02d}{s}{:02d}".format(*rng.integers([1990, 1, 1], [2050, 13, 29]), s=rng.choice(["-", "/", "."]))
        time = "{:02d}:{:02d}:{:02d}".format(*rng.integers(0, [24, 60, 60]))
        words = "".join(rng.choice(LETTERS, int(rng.integers(3, 12))))
        text = str(rng.choice([date, time, f"{date} {time}", words, f"Camera {rng.integers(0, 99):02d}", f"CH{rng.integers(1, 17)}"]))
        font, scale = int(rng.choice(FONTS)), float(rng.uniform(0.3, 1.1))
        (wide, high), _ = cv2.getTextSize(text, font, scale, 1)
        x, y = int(rng.uniform(-0.2, 0.9) * width), int(rng.choice([rng.uniform(0.02, 0.15), rng.uniform(0, 1), 0.97]) * height)
        if _touches(free_of, x, y - high, x + wide, y + 4):
            continue
        ink, edge = ((255, 255, 255), (0, 0, 0)) if rng.random() < 0.75 else ((20, 20, 20), (255, 255, 255))
        style = rng.random()
        if style < 0.25:
            cv2.rectangle(picture, (x - 3, y - high - 4), (x + wide + 3, y + 5), edge, -1)
        elif style < 0.7:
            cv2.putText(picture, text, (x, y), font, scale, edge, 3, cv2.LINE_AA)
        cv2.putText(picture, text, (x, y), font, scale, ink, int(rng.integers(1, 3)), cv2.LINE_AA)


def signs(rng, picture, count, free_of=()):
    """Road signs, number boards of houses, adverts, stickers: bordered fields with a few characters, seen askew. In place."""
    size = picture.shape[0]
    for _ in range(count):
        height = int(rng.uniform(24, 60))
        width = int(height * rng.uniform(0.8, 5))
        rows, ground, ink = int(rng.integers(1, 4)), colour(rng), colour(rng)
        if rows == 1 and width > 2.5 * height and min(ground) > 110:
            continue  # too like a plate to be called none
        board = np.full((height, width, 3), ground, np.float32)
        cv2.rectangle(board, (2, 2), (width - 3, height - 3), ink, int(rng.integers(1, 4)))
        if rng.random() < 0.3:
            cv2.circle(board, (width // 2, height // 2), height // 2 - 2, (40.0, 40.0, 210.0), 4, cv2.LINE_AA)
        for row in range(rows):  # smaller or larger than a plate's characters, mostly words
            text = "".join(rng.choice(LETTERS, int(rng.integers(1, 14))))
            tall = height / rows / 34 * rng.uniform(0.4, 1.1)
            at = (int(rng.uniform(3, width / 3)), int(height * (row + 0.8) / rows))
            cv2.putText(board, text, at, int(rng.choice(FONTS)), float(tall), ink, int(rng.integers(1, 3)), cv2.LINE_AA)
        scale = float(np.exp(rng.uniform(np.log(0.3), np.log(3))))
        middle = rng.uniform(0, 1, 2) * size
        corners = (np.float32([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5) * [width * scale * rng.uniform(0.5, 1), height * scale]
        corners[:, 1] += corners[:, 0] * rng.normal(0, 0.2)
        corners = (corners + middle + rng.normal(0, 0.03, (4, 2)) * height * scale).astype(np.float32)
        if not _touches(free_of, *corners.min(0), *corners.max(0)):
            source = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
            lay(picture, board, np.ones((height, width), np.float32), cv2.getPerspectiveTransform(source, corners))


def background(rng, size):
    """A square float BGR picture of clutter."""
    draw = rng.random()
    if draw < 0.3:
        picture = np.ascontiguousarray(street(rng, size, size))
    elif draw < 0.65:
        picture = np.ascontiguousarray(crop_of_photograph(rng, size))
    else:
        picture = np.ascontiguousarray(texture(rng, size))
    picture = picture.astype(np.float32)
    shapes(rng, picture, int(rng.integers(0, 14)))
    if rng.random() < 0.3:
        lamps(rng, picture, int(rng.integers(1, 5)))
    if rng.random() < 0.5:
        lettering(rng, picture, int(rng.integers(1, 5)))
    if rng.random() < 0.3:
        signs(rng, picture, int(rng.integers(1, 5)))
    return picture
