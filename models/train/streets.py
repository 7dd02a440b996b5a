"""Photographs with plates through the finished plate models, as the controller runs them: detect, rectify, read.

    python streets.py --pack ../base --real DIR [--reader FILE.onnx] [--latin] [--wrong]

`DIR` holds images/ and labels.csv (columns image, text or texts separated by |, optionally a box). Prints recall of the
detector (overlap 0.5, where boxes are given), false alarms, and the share of plates read exactly in four ways: from one crop or from five
with the margins varied, by each step's likeliest class or among the texts of the plate grammar alone; `--wrong` lists misreads.
"""

import argparse
import csv
import pathlib
import tomllib

import cv2
import numpy as np

from centre_points import detect, overlap
from ctc import Grammar, greedy, log_softmax, read, vote
from faces_data import session
from plate_crops import UNIT, aspect, flatten
from plate_reader import edit_distance, to_input

TWO_LINES_BELOW, ONE_LINE_ABOVE = 1.9, 3.0  # aspect ratio; in between both are tried
WAYS = ("one crop, greedy", "one crop, grammar", "five crops, grammar")
# how the quadrilateral is varied for five crops: shifts and growth, shares of width and height; never smaller, which would cut characters off
VARIED = (
    (0, 0, 0, 0),
    (-0.008, -0.03, 0.005, 0.02),
    (0.008, 0.03, 0.005, 0.02),
    (0, 0, 0.015, 0.05),
    (0, 0, 0.03, 0.10),
)


def varied(quad):
    """Five quadrilaterals about the same plate."""
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    signs = UNIT * 2 - 1
    return [
        (quad + (x + signs[:, :1] * wide) * along + (y + signs[:, 1:] * tall) * down).astype(np.float32)
        for x, y, wide, tall in VARIED
    ]


class PlatePack:
    """The two plate models of a pack."""

    def __init__(self, folder, reader=None, latin=False):
        folder = pathlib.Path(folder)
        models = {m["role"]: m for m in tomllib.loads((folder / "manifest.toml").read_text())["model"]}
        self.detector, self.grammar = models["plate-detector"], Grammar(latin, latin_cost=5.0)
        self.find = session(folder / self.detector["file"])
        self.read_one = session(reader or folder / models["plate-reader"]["file"])

    def log_probs(self, gray, quad, lines):
        """[T,classes] of one crop."""
        return log_softmax(self.read_one.run(None, {"gray": to_input([flatten(gray, quad, lines)]).numpy()})[0][0])

    def readings(self, gray, quad, layouts=None):
        """The plate within `quad` read in each of `WAYS`; `layouts`: the numbers of lines to try, by its aspect ratio if not given."""
        ratio, tries = aspect(quad), []
        for lines in layouts or [n for n, fits in ((1, ratio > TWO_LINES_BELOW), (2, ratio < ONE_LINE_ABOVE)) if fits]:
            rows = [self.log_probs(gray, one, lines) for one in varied(quad)]
            one, likelihood, _ = read(rows[0], self.grammar)
            five = vote(rows, self.grammar)
            tries.append((likelihood, (greedy(rows[0][None])[0], one, five[0][0] if five else "")))
        return max(tries)[1]

    def read(self, picture):
        """[(score, quad, box, readings)]"""
        run = lambda tensor: self.find.run(None, {"bgr": tensor.numpy()})
        found = detect(run, picture, self.detector["input"]["max_side"], self.detector["threshold"]["value"])
        gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        return [(score, quad, box, self.readings(gray, np.float32(quad))) for score, quad, box in found]


def labels(folder):
    """{image path: [(text, box or None)]}"""
    wanted = {}
    for row in csv.DictReader((folder / "labels.csv").open()):
        plates = wanted.setdefault(folder / "images" / row["image"], [])
        box = np.array([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]) if "xmin" in row else None
        plates += [(text, box) for text in (row.get("text") or row.get("texts") or "").split("|")]
    return wanted


def on_true_boxes(pack, wanted, show):
    """How many plates are read in each of `WAYS` when cut out by their labelled upright boxes."""
    right, count = np.zeros(len(WAYS), int), 0
    for path, here in wanted.items():
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for text, box in here:
            if box is None or not text:
                continue
            # the box around a tilted plate says nothing about its lines: try both
            got = pack.readings(gray, np.float32(box[:2]) + UNIT * np.float32(box[2:] - box[:2]), (1, 2))
            right += [one == text for one in got]
            count += 1
            if show and got[-1] != text:
                print(f"  {path.name}: {text} read as {' '.join(got)} (true box)")
    return right, count


def end_to_end(pack, wanted, show):
    """Counts of a whole run: plates, read (in each of `WAYS`), boxed, found, strangers, strangers that read as a plate."""
    counts = {"plates": 0, "read": np.zeros(len(WAYS), int), "boxed": 0, "found": 0, "alarms": 0, "accepted": 0}
    for path, here in wanted.items():
        results = pack.read(cv2.imread(str(path)))
        for text, box in here:
            if box is not None:
                counts["boxed"] += 1
                counts["found"] += any(overlap(box, one[2]) > 0.5 for one in results)
            if text:
                counts["plates"] += 1
                got = min(
                    (one[3] for one in results), key=lambda got: edit_distance(got[-1], text), default=("",) * len(WAYS)
                )
                counts["read"] += [any(one[3][way] == text for one in results) for way in range(len(WAYS))]
                if show and got[-1] != text:
                    print(f"  {path.name}: {text} read as {' '.join(one or '-' for one in got)}")
        if here[0][1] is not None:
            strangers = [one for one in results if all(overlap(box, one[2]) <= 0.3 for _, box in here)]
            counts["alarms"] += len(strangers)
            counts["accepted"] += sum(bool(one[3][1]) and one[3][0] == one[3][1] for one in strangers)
    return counts


def table(right, count):
    """The ways with their counts, in words."""
    return ", ".join(f"{way} {n} ({n / max(1, count):.3f})" for way, n in zip(WAYS, right, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--reader", help="this reader instead of the pack's")
    parser.add_argument("--latin", action="store_true", help="other countries' plates too")
    parser.add_argument("--wrong", action="store_true", help="list misreads")
    args = parser.parse_args()
    pack, wanted = PlatePack(args.pack, args.reader, args.latin), labels(pathlib.Path(args.real))
    right, count = on_true_boxes(pack, wanted, args.wrong)
    if count:
        print(f"true boxes: {count} plates; {table(right, count)}")
    result = end_to_end(pack, wanted, args.wrong)
    print(f"end to end: {len(wanted)} pictures, {result['plates']} plates; {table(result['read'], result['plates'])}")
    if result["boxed"]:
        print(
            f"detector: {result['found']} of {result['boxed']} found; {result['alarms']} false alarms, "
            f"{result['accepted']} of which read as a plate"
        )


if __name__ == "__main__":
    main()
