"""A folder of drawn scenes with labels, as the evaluation command reads it: `images/` and `labels.csv`."""

import csv
import pathlib

import cv2
import numpy as np

from . import kinds, scene

COLUMNS = ("image", "xmin", "ymin", "xmax", "ymax", "text", "kind")
LIGHTS = ("day", "day", "day", "dusk", "night", "dirt", "snow")
SIZE = (1280, 720)


def drawn_scene(rng, kind=None):
    """(picture, plate's corners, text, kind of plate): a car before the gate, in some light, from some side."""
    text, kind = kinds.random_plate(rng, kind)
    width = float(np.exp(rng.uniform(np.log(90), np.log(360))))
    centre = rng.uniform([0.25, 0.35], [0.75, 0.8]) * SIZE
    yaw = rng.normal(0, 16) if rng.random() < 0.8 else rng.uniform(-45, 45)
    light, seed = str(rng.choice(LIGHTS)), int(rng.integers(1 << 31))
    picture, quad = scene.render(
        text, light, seed, width, tuple(centre), yaw, float(rng.normal(4, 6)), float(rng.normal(0, 3)), SIZE, kind
    )
    return picture, quad, text, kind


def write(folder, count, seed, kind=None):
    """Writes `count` scenes, of one kind of plate or of all as often as on the road. Same seed, same files."""
    folder = pathlib.Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number in range(count):
            picture, quad, text, drawn = drawn_scene(np.random.default_rng([seed, number]), kind)
            name = f"{number:05d}.jpg"
            cv2.imwrite(str(folder / "images" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
            low, high = np.clip(quad.min(0), 0, SIZE), np.clip(quad.max(0), 0, SIZE)
            rows.writerow([name, *np.rint([*low, *high]).astype(int), text, drawn])
