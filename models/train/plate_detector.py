"""Plate detector: a heat map and the plate's four corners, trained on drawn scenes only.

    python plate_detector.py --work DIR --minutes 35 [--real DIR]

`--real` is a folder with labels.csv and images/, outside the repository, only ever measured on.
"""

import argparse
import csv
import pathlib
import time

import cv2
import numpy as np
import torch

from backgrounds import background, lettering
from centre_points import Pool, box_of, by_torch, detect, loss, overlap, worsened
from nets import CentrePoints
from plates import effects
from plates.grammar import random_text
from plates.layout import WIDTH_MM, Style, draw_plate
from plates.scene import CAR_HEIGHT_MM, CAR_WIDTH_MM, car_sheet, lay, mount, plate_quad, project
from training import fit, half_precision, seed_everything

SIZE, SPARE = 256, 32
MAX_SIDE = 640
NARROWEST = 32  # pixels; what is smaller cannot be read, and small bright things abound


def put_car(rng, picture, plate_centre, plate_width, angles):
    """Lays a car without plate into the picture so that its plate would be there; in place."""
    scale = plate_width / WIDTH_MM
    sheet, alpha, middle = car_sheet(rng, scale)
    car = np.float32([[0, 0], [CAR_WIDTH_MM, 0], [CAR_WIDTH_MM, CAR_HEIGHT_MM], [0, CAR_HEIGHT_MM]])
    placed = project(car - middle, plate_centre, plate_width, *angles)
    lay(picture, sheet, alpha, cv2.getPerspectiveTransform(np.float32(car * scale), placed))


def sample(rng):
    """A picture with no, one or two plates: (8-bit BGR, objects)."""
    full = SIZE + SPARE
    picture, objects = background(rng, full), []
    count = int(rng.choice([0, 1, 1, 1, 1, 1, 1, 2]))
    if rng.random() < 0.25:  # cars whose plates cannot be seen
        for _ in range(int(rng.integers(1, 3))):
            put_car(
                rng,
                picture,
                rng.uniform(0, 1, 2) * full,
                float(np.exp(rng.uniform(np.log(15), np.log(150)))),
                (rng.normal(0, 25), 0, 0),
            )
    for _ in range(count):
        width = float(np.exp(rng.uniform(np.log(NARROWEST), np.log(230))))
        centre = rng.uniform(0.08, 0.92, 2) * full
        yaw = rng.normal(0, 18) if rng.random() < 0.7 else rng.uniform(-62, 62)  # gates are often seen from the side
        pitch, roll = rng.normal(0, 13), rng.normal(0, 6)
        width /= max(0.5, np.cos(np.radians(yaw)))
        quad = plate_quad(centre, width, yaw, pitch, roll)
        if any(overlap(box_of(quad), other[1]) > 0 for other in objects):
            continue
        if rng.random() < 0.6 and not objects:
            put_car(rng, picture, centre, width, (yaw, pitch, roll))
        face = draw_plate(random_text(rng), Style(rng), 1.0)
        if rng.random() < 0.25:
            face = effects.to_bytes(effects.dirt(face.astype(np.float32), rng, rng.uniform(0.2, 0.7)))
        light = np.array([30, 190, 235.0]) * rng.uniform(0.7, 1) if rng.random() < 0.06 else None
        mount(picture, face, quad, rng, light=light)
        objects.append((quad, box_of(quad)))
    if rng.random() < 0.4:
        lettering(rng, picture, int(rng.integers(1, 5)), [quad for quad, _ in objects])
    return worsened(rng, picture), objects


class Photographs:
    """Labelled photographs: recall at an overlap of 0.5 with the labelled box, false alarms per picture."""

    def __init__(self, folder):
        folder, self.pictures = pathlib.Path(folder), {}
        for row in csv.DictReader((folder / "labels.csv").open()):
            image = folder / "images" / row["image"]
            boxes = self.pictures.setdefault(image, [])
            if "xmin" in row:
                boxes.append(np.array([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]))
        self.loaded = [(cv2.imread(str(path)), boxes) for path, boxes in self.pictures.items()]

    def measure(self, run, thresholds, max_side=MAX_SIDE):
        """{threshold: (recall, false alarms per picture)}"""
        found = [(detect(run, image, max_side, min(thresholds)), boxes) for image, boxes in self.loaded]
        result = {}
        for threshold in thresholds:
            hits = total = alarms = 0
            for detections, boxes in found:
                strong = [box for score, _, box in detections if score > threshold]
                hits += sum(any(overlap(box, one) > 0.5 for one in strong) for box in boxes)
                alarms += sum(all(overlap(box, one) <= 0.3 for box in boxes) for one in strong)
                total += len(boxes)
            result[threshold] = (hits / max(1, total), alarms / len(found))
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--real", help="labelled photographs to measure on")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--pictures", type=int, default=1000, help="kept at a time")
    parser.add_argument("--resume", help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = seed_everything(args.seed)
    cv2.setNumThreads(1)
    started = time.monotonic()
    pool = Pool(sample, args.pictures, SIZE, 4, rng)
    net = CentrePoints(points=4, box=False)
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    real = Photographs(args.real) if args.real else None
    print(
        f"first {args.pictures} pictures in {time.monotonic() - started:.0f} s, {sum(p.numel() for p in net.parameters())} parameters",
        flush=True,
    )

    def loss_of_batch():
        inputs, *wanted = pool.batch(16)
        with half_precision():
            outputs = net(inputs)
        return loss(outputs, *wanted)

    def report(net):
        if real is None:
            return ""
        measured = real.measure(by_torch(net), (0.3, 0.5))
        return ", ".join(f"at {t}: recall {r:.3f}, {a:.2f} false alarms" for t, (r, a) in measured.items())

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=pathlib.Path(args.work) / "plate_detector.pt",
        report=report,
        report_every_s=240,
    )


if __name__ == "__main__":
    main()
