"""How exactly the plate detector finds corners, and which plates it finds, on drawn scenes of a seed of their own.

    python plate_corners.py --model ../base/plate_detector.onnx [--scenes 300] [--threshold 0.45]

Prints, by the plate's width in pixels: how many there were, the share found (overlap above 0.5), and the distance of a
corner from where it was drawn, in shares of the plate's height: median and 90th percentile. Plates of which less than
nine tenths lie in the picture are not counted.
"""

import argparse

import cv2
import numpy as np

import plate_scenes
from centre_points import box_of, decode, overlap, seen, to_input
from faces_data import session
from quantize import by_session

SIDE = 384  # pixels of a scene
WIDTHS = (28, 45, 70, 110, 180, 350)


def height_of(quad):
    """The mean length of a quadrilateral's left and right side (corners TL TR BR BL)."""
    return float(np.linalg.norm(quad[3] - quad[0]) + np.linalg.norm(quad[2] - quad[1])) / 2


def width_of(quad):
    """The mean length of the upper and lower side."""
    return float(np.linalg.norm(quad[1] - quad[0]) + np.linalg.norm(quad[2] - quad[3])) / 2


def corner_errors(run, count, threshold, seed=4242):
    """[(width in pixels, mean corner error in shares of the height, or None when missed)] over `count` drawn scenes."""
    rng, result = np.random.default_rng(seed), []
    for i in range(count):
        picture, objects = (plate_scenes.near if i % 4 == 3 else plate_scenes.far)(rng, SIDE)
        found = decode(run(to_input([picture])), threshold)
        for quad, box in objects:
            if seen(box, SIDE) < 0.9:
                continue
            best = max(found, key=lambda one: overlap(one[2], box), default=None)
            hit = best is not None and overlap(best[2], box_of(quad)) > 0.5
            error = np.linalg.norm(best[1] - quad, axis=1).mean() / height_of(quad) if hit else None
            result.append((width_of(quad), error))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--threshold", type=float, default=0.45)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    measured = corner_errors(by_session(session(args.model)), args.scenes, args.threshold)
    print("pixels wide | plates | found | corner error, median | 90th percentile")
    for low, high in [*zip(WIDTHS[:-1], WIDTHS[1:], strict=True), (0, 1000)]:
        errors = [error for width, error in measured if low <= width < high]
        hits = [error for error in errors if error is not None]
        if hits:
            figures = len(hits) / len(errors), *np.percentile(hits, (50, 90))
            print(f"{low:4d} to {high:4d} | {len(errors)} | {figures[0]:.3f} | {figures[1]:.3f} | {figures[2]:.3f}")


if __name__ == "__main__":
    main()
