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

import plate_scenes
from centre_points import Pool, by_torch, corner_loss, detect, focal_loss, overlap
from nets import CentrePoints
from training import fit, half_precision, seed_everything
from warm_start import unfold

MAX_SIDE = 640
CORNERS = 16.0  # what a corner that is off by the plate's height costs, against a plate missed
NEAR, CUT = 2, 0.9  # see `centre_points.target`
SPARE = 32  # pixels that a picture is larger than what is cut from it


def network():
    """The untrained detector."""
    return CentrePoints(points=4, box=False, wide=True, detail=True)


class Scenes:
    """Batches of drawn scenes: three of plates at a gate's usual distance to one of plates close by."""

    def __init__(self, rng, pictures):
        far, close = 256, 384
        common = {"points": 4, "rng": rng, "fresh": 1, "near": NEAR, "cut": CUT}
        self.far = Pool(lambda r: plate_scenes.far(r, far + SPARE), pictures, far, **common)
        self.close = Pool(lambda r: plate_scenes.near(r, close + SPARE), pictures // 6, close, **common)
        self.step = 0

    def batch(self):
        """(input, heat, regression, weight) tensors."""
        self.step += 1
        return self.close.batch(6) if self.step % 4 == 0 else self.far.batch(16)


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
        """{threshold: (recall, false alarms per picture, mean overlap of what was found with its label)}"""
        found = [(detect(run, image, max_side, min(thresholds)), boxes) for image, boxes in self.loaded]
        result = {}
        for threshold in thresholds:
            fits, total, alarms = [], 0, 0
            for detections, boxes in found:
                strong = [box for score, _, box in detections if score > threshold]
                best = [max((overlap(box, one) for one in strong), default=0.0) for box in boxes]
                fits += [fit for fit in best if fit > 0.5]
                alarms += sum(all(overlap(box, one) <= 0.3 for box in boxes) for one in strong)
                total += len(boxes)
            result[threshold] = (len(fits) / max(1, total), alarms / len(found), float(np.mean(fits)) if fits else 0.0)
        return result


def lines(measured):
    """What `Photographs.measure` found, one line per threshold."""
    text = "at {}: recall {:.3f}, {:.2f} false alarms per picture, overlap {:.3f}"
    return [text.format(threshold, *figures) for threshold, figures in measured.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--real", help="labelled photographs to measure on")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--pictures", type=int, default=1000, help="kept at a time")
    parser.add_argument("--resume", help="weights to start from: a checkpoint, or a detector exported as ONNX")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = seed_everything(args.seed)
    cv2.setNumThreads(1)
    started = time.monotonic()
    scenes = Scenes(rng, args.pictures)
    net = network().to(memory_format=torch.channels_last)
    if args.resume and args.resume.endswith(".onnx"):
        unfold(net, args.resume, scenes.far.batch(64)[0])
    elif args.resume:
        net.load_state_dict(torch.load(args.resume))
    real = Photographs(args.real) if args.real else None
    print(
        f"first {args.pictures} pictures in {time.monotonic() - started:.0f} s, {sum(p.numel() for p in net.parameters())} parameters",
        flush=True,
    )

    def loss_of_batch():
        inputs, heat, regression, weight = scenes.batch()
        inputs = inputs.contiguous(memory_format=torch.channels_last)  # a sixth faster on processors
        with half_precision():
            heatmap, points = net(inputs)
        return focal_loss(heatmap, heat) + CORNERS * corner_loss(points, regression, weight)

    def report(net):
        if real is None:
            return ""
        return "; ".join(lines(real.measure(by_torch(net), (0.3, 0.5))))

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=pathlib.Path(args.work) / "plate_detector.pt",
        report=report,
        report_every_s=240,
        average=0.998,
    )


if __name__ == "__main__":
    main()
