"""Photographs with plates through the finished plate models, as the controller runs them: detect, rectify, read.

    python streets.py --pack ../base --real DIR [--wrong]

`DIR` holds images/ and labels.csv (columns image, text or texts separated by |, optionally a box). Prints recall of the
detector (overlap 0.5, where boxes are given), false alarms, and the share of plates read exactly; `--wrong` lists misreads.
"""

import argparse
import csv
import pathlib
import tomllib

import cv2
import numpy as np

from centre_points import detect, overlap
from faces_data import session
from plate_reader import HEIGHT, MARGIN_X, MARGIN_Y, WIDTH, decode, edit_distance, to_input
from plates.grammar import TYPE_1


def rectify(picture, quad):
    """The plate within `quad` (TL TR BR BL), widened by the margins, as the reader's gray 128x32."""
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    signs = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    wide = (quad + signs[:, :1] * MARGIN_X * along + signs[:, 1:] * MARGIN_Y * down).astype(np.float32)
    fine = 4 if np.linalg.norm(along) > 2 * WIDTH else 2
    corners = np.float32([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]) * fine
    matrix = cv2.getPerspectiveTransform(wide, corners)
    cut = cv2.warpPerspective(picture, matrix, (WIDTH * fine, HEIGHT * fine), borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(cv2.resize(cut, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)


class PlatePack:
    """The two plate models of a pack."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        models = {m["role"]: m for m in tomllib.loads((folder / "manifest.toml").read_text())["model"]}
        self.detector = models["plate-detector"]
        self.find, self.read_one = (
            session(folder / models[role]["file"]) for role in ("plate-detector", "plate-reader")
        )

    def read(self, picture):
        """[(score, quad, box, text)]"""
        run = lambda tensor: self.find.run(None, {"bgr": tensor.numpy()})
        found = detect(run, picture, self.detector["input"]["max_side"], self.detector["threshold"]["value"])
        result = []
        for score, quad, box in found:
            logits = self.read_one.run(None, {"gray": to_input([rectify(picture, np.float32(quad))]).numpy()})[0]
            result.append((score, quad, box, decode(logits)[0]))
        return result


def labels(folder):
    """{image path: [(text, box or None)]}"""
    wanted = {}
    for row in csv.DictReader((folder / "labels.csv").open()):
        plates = wanted.setdefault(folder / "images" / row["image"], [])
        box = np.array([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]) if "xmin" in row else None
        plates += [(text, box) for text in (row.get("text") or row.get("texts") or "").split("|")]
    return wanted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--wrong", action="store_true")
    args = parser.parse_args()
    pack, plates, found, boxed, read, alarms, accepted_alarms, edits, characters = (
        PlatePack(args.pack),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    )
    wanted = labels(pathlib.Path(args.real))
    for path, here in wanted.items():
        readings = pack.read(cv2.imread(str(path)))
        for text, box in here:
            if box is not None:
                boxed += 1
                found += any(overlap(box, one[2]) > 0.5 for one in readings)
            if text:
                plates += 1
                best = min((one[3] for one in readings), key=lambda got: edit_distance(got, text), default="")
                read += best == text
                edits += min(len(text), edit_distance(best, text))
                characters += len(text)
                if args.wrong and best != text:
                    print(f"  {path.name}: {text} read as {best or '-'}")
        strangers = [
            one for one in readings if here[0][1] is not None and all(overlap(box, one[2]) <= 0.3 for _, box in here)
        ]
        alarms += len(strangers)
        accepted_alarms += sum(TYPE_1.fullmatch(one[3]) is not None for one in strangers)
    print(
        f"{len(wanted)} pictures, {plates} plates read exactly: {read} ({read / max(1, plates):.3f}), characters {1 - edits / max(1, characters):.4f}"
    )
    if boxed:
        print(
            f"detector: {found} of {boxed} found ({found / boxed:.3f}); {alarms} false alarms, {accepted_alarms} of which read as a plate"
        )


if __name__ == "__main__":
    main()
