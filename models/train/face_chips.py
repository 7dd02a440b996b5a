"""Turns a few hundred people's photographs into many faces with teacher embeddings, for distillation.

A distilled embedder needs many different faces, not many names: the teacher's answer is the label, so any plausible
face will do. Beside each photograph and its mirror image this makes *blends*: two people's faces brought to common
landmarks, bent smoothly, and mixed either whole or by region. The teacher embeds each of them anew.

    python face_chips.py --faces DIR --detector YUNET.onnx --teacher TEACHER.onnx --work DIR --blends 24000
"""

import argparse
import pathlib
import time

import cv2
import numpy as np

from faces_data import (
    ARCFACE_112,
    TEACHER_128,
    align,
    central_face,
    identity_of,
    is_test_person,
    load_faces,
    session,
    similarity,
)

CANVAS, CANVAS_SCALE = 224, 1.5  # blends are made at this size, sharper than anything stored
CHIP, CHIP_SCALE = 152, 1.12  # what is stored: the template enlarged by CHIP_SCALE, in the middle


def template(size, scale):
    """The ArcFace template enlarged by `scale` about the middle of a square of `size` pixels."""
    return (ARCFACE_112 - 56) * scale + size / 2


class Teacher:
    """Embeds a face with the public model; input BGR 0..255, 128x128, output made unit length."""

    def __init__(self, path):
        self.session = session(path)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, image, points):
        crop = align(image, points, TEACHER_128, 128).transpose(2, 0, 1)[None].astype(np.float32)
        vector = self.session.run(None, {self.input: crop})[0].ravel()
        return vector / np.linalg.norm(vector)


def smooth_noise(rng, size, cells):
    """A smooth random field in about -1..1 with `cells` bumps across."""
    return cv2.resize(
        rng.standard_normal((cells, cells)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )


def bend(rng, image, points, strength):
    """Moves pixels along a smooth random field: another face shape. Returns image and moved points."""
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


def blend(rng, first, second):
    """A face between two faces; each is (image, points) on the canvas."""
    if rng.random() < 0.5:
        second = (second[0][:, ::-1].copy(), mirrored(second[1]))
    share = rng.uniform(0.3, 0.7)
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
        mask = np.clip(smooth_noise(rng, CANVAS, int(rng.integers(2, 5))) * rng.uniform(0.8, 2.5) + 0.5, 0, 1)[
            ..., None
        ]
    return np.clip(a * mask + b * (1 - mask), 0, 255).astype(np.uint8), target.astype(np.float32)


def mirrored(points):
    """Landmarks of the mirror image on the canvas."""
    flipped = points[[1, 0, 2, 4, 3]].copy()
    flipped[:, 0] = CANVAS - 1 - flipped[:, 0]
    return flipped


def chip_of(image, points):
    """The stored crop: aligned by `points` to the enlarged ArcFace template."""
    return align(image, points, template(CHIP, CHIP_SCALE), CHIP)


def originals(folder, faces):
    """Training people's faces on the canvas, with their landmarks there."""
    for name in sorted(faces):
        if is_test_person(identity_of(name)):
            continue
        image = cv2.imread(str(pathlib.Path(folder) / name))
        points = central_face(faces[name], image.shape)[1]
        canvas_points = template(CANVAS, CANVAS_SCALE)
        canvas = align(image, points, canvas_points, CANVAS)
        # the exact landmarks on the canvas, not the template's: the teacher aligns by them
        matrix = similarity(points, canvas_points)
        yield canvas, (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="folder of photographs")
    parser.add_argument("--detector", required=True, help="YuNet .onnx with dynamic input")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--blends", type=int, default=24000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    cv2.setNumThreads(1)
    work = pathlib.Path(args.work)
    faces = load_faces(args.faces, args.detector, work / "faces.pkl")
    teacher, people = Teacher(args.teacher), list(originals(args.faces, faces))
    total = 2 * len(people) + args.blends
    chips, vectors = np.zeros((total, CHIP, CHIP, 3), np.uint8), np.zeros((total, 256), np.float32)
    started = time.monotonic()
    for i in range(total):
        if i < 2 * len(people):
            image, points = people[i // 2]
            if i % 2:
                image, points = image[:, ::-1].copy(), mirrored(points)
        else:
            first, second = rng.choice(len(people), 2, replace=False)
            image, points = blend(rng, people[first], people[second])
            if rng.random() < 0.6:
                image, points = bend(rng, image, points, rng.uniform(1, 5))
        chips[i], vectors[i] = chip_of(image, points), teacher(image, points)
        if i % 2000 == 0:
            print(f"{i}/{total} {time.monotonic() - started:.0f} s", flush=True)
    np.savez(work / f"face_chips_{args.seed}.npz", chips=chips, vectors=vectors)


if __name__ == "__main__":
    main()
