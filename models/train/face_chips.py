"""Many faces from few: two people's faces brought to common landmarks, mixed, and bent smoothly.

A distilled embedder needs many different faces, not many names: the teacher's answer is the label, so any plausible
face will do. A face here is `(BGR picture of CANVAS x CANVAS pixels, five landmarks there)`.
"""

import pathlib

import cv2
import numpy as np

from faces_data import ARCFACE_112, align, central_face, identity_of, similarity

CANVAS, CANVAS_SCALE = 224, 1.5  # sharper than anything the network sees, and wider than the template


def template(size, scale):
    """The ArcFace template enlarged by `scale` about the middle of a square of `size` pixels."""
    return (ARCFACE_112 - 56) * scale + size / 2


def smooth_noise(rng, size, cells):
    """A smooth random field in about -1..1 with `cells` bumps across."""
    return cv2.resize(
        rng.standard_normal((cells, cells)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )


def bend(rng, face, strength):
    """Moves pixels along a smooth random field: another face shape."""
    image, points = face
    dx, dy = (smooth_noise(rng, CANVAS, int(rng.integers(3, 7))) * strength for _ in range(2))
    grid_x, grid_y = np.meshgrid(np.arange(CANVAS, dtype=np.float32), np.arange(CANVAS, dtype=np.float32))
    bent = cv2.remap(image, grid_x + dx, grid_y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    at = np.clip(np.rint(points).astype(int), 0, CANVAS - 1)
    shift = np.stack([dx[at[:, 1], at[:, 0]], dy[at[:, 1], at[:, 0]]], 1)
    return bent, (points - shift).astype(np.float32)


def to_points(image, points, target):
    """Brings a face to `target` landmarks with an affine least-squares fit."""
    ones = np.hstack([points, np.ones((5, 1), np.float32)])
    matrix = np.linalg.lstsq(ones, target, rcond=None)[0].T.astype(np.float32)
    return cv2.warpAffine(image, matrix, (CANVAS, CANVAS), borderMode=cv2.BORDER_REPLICATE)


def mirrored(face):
    """The mirror image."""
    image, points = face
    flipped = points[[1, 0, 2, 4, 3]].copy()
    flipped[:, 0] = CANVAS - 1 - flipped[:, 0]
    return image[:, ::-1].copy(), flipped


def blend(rng, first, second):
    """A face between two faces."""
    share = rng.uniform(0.2, 0.8)
    target = first[1] * share + second[1] * (1 - share)
    a, b = (to_points(image, points, target).astype(np.float32) for image, points in (first, second))
    if rng.random() < 0.7:  # match colours, so that a region taken from the other face does not stand out
        inner = slice(CANVAS // 4, 3 * CANVAS // 4)
        for c in range(3):
            mean_a, mean_b = a[inner, inner, c].mean(), b[inner, inner, c].mean()
            std_a, std_b = a[inner, inner, c].std() + 1, b[inner, inner, c].std() + 1
            b[..., c] = (b[..., c] - mean_b) * (std_a / std_b) + mean_a
    if rng.random() < 0.45:
        mask = share
    else:
        noise = smooth_noise(rng, CANVAS, int(rng.integers(2, 5)))
        mask = np.clip(noise * rng.uniform(0.8, 2.5) + 0.5, 0, 1)[..., None]
    return np.clip(a * mask + b * (1 - mask), 0, 255).astype(np.uint8), target.astype(np.float32)


def originals(folder, faces, held_out):
    """The faces of everybody who is not held out."""
    for name in sorted(faces):
        if identity_of(name) in held_out:
            continue
        image = cv2.imread(str(pathlib.Path(folder) / name))
        points = central_face(faces[name], image.shape)[1]
        canvas_points = template(CANVAS, CANVAS_SCALE)
        # the exact landmarks on the canvas, not the template's: every later crop aligns by them
        matrix = similarity(points, canvas_points)
        moved = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        yield align(image, points, canvas_points, CANVAS), moved


def made_up(rng, people):
    """A photograph or, two times in three, a blend; mirrored and bent at random."""
    face = people[int(rng.integers(len(people)))]
    if rng.random() < 0.5:
        face = mirrored(face)
    if rng.random() < 0.67:
        other = people[int(rng.integers(len(people)))]
        face = blend(rng, face, mirrored(other) if rng.random() < 0.5 else other)
    return bend(rng, face, rng.uniform(1, 5)) if rng.random() < 0.4 else face
