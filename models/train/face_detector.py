"""Face detector with five landmarks, taught by a public detector's answers (distillation).

    python face_detector.py --faces DIR --detector YUNET.onnx --work DIR --minutes 25

Photographs of the training people, with every face the teacher finds in them, are laid at random sizes over drawn clutter:
whole, zoomed in, or cut out around the head. The teacher's boxes and landmarks move along.
"""

import argparse
import pathlib
import time

import cv2
import numpy as np
import torch

from backgrounds import background, colour, lettering
from centre_points import Pool, by_torch, detect, loss, overlap, worsened
from faces_data import held_out_people, identity_of, load_faces
from nets import CentrePoints
from training import fit, half_precision, seed_everything

SIZE, SPARE = 256, 32
MAX_SIDE = 640
NARROWEST = 24  # pixels; smaller faces are too coarse to compare, and small skin-coloured things abound


class Portraits:
    """Photographs of the held-out people, or of all others, with the teacher's faces: [(BGR picture, [(points, box), ...])]."""

    def __init__(self, folder, faces, test):
        self.all, held_out = [], held_out_people(folder)
        for name in sorted(faces):
            if (identity_of(name) in held_out) == test:
                picture = cv2.imread(str(pathlib.Path(folder) / name))
                objects = [
                    (points, np.concatenate([box[:2], box[:2] + box[2:]]))
                    for box, points, score in faces[name]
                    if score > 0.8
                ]
                if objects:
                    self.all.append((picture, objects))


def moved(objects, matrix, flip_width=None):
    """Objects after an affine transform; boxes stay upright."""
    result = []
    for points, box in objects:
        corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
        if flip_width is not None:
            points = points[[1, 0, 2, 4, 3]] * [-1, 1] + [flip_width - 1, 0]
            corners = corners * [-1, 1] + [flip_width - 1, 0]
        points = points @ matrix[:, :2].T + matrix[:, 2]
        middle = (corners.mean(0) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        half = np.array([np.ptp(corners[:, 0]), np.ptp(corners[:, 1])]) / 2 * np.sqrt(np.linalg.det(matrix[:, :2]))
        result.append((points.astype(np.float32), np.concatenate([middle - half, middle + half]).astype(np.float32)))
    return result


def place(rng, picture, portrait, taken):
    """Lays one portrait over the picture (in place); returns its objects there."""
    source, objects = portrait
    full = picture.shape[0]
    biggest = max(objects, key=lambda o: np.ptp(o[1][[0, 2]]))
    box = biggest[1]
    width = float(np.exp(rng.uniform(np.log(NARROWEST), np.log(260))))
    flip = source.shape[1] if rng.random() < 0.5 else None
    middle = (box[:2] + box[2:]) / 2
    if flip:
        source, middle = source[:, ::-1], np.array([flip - 1 - middle[0], middle[1]])
    matrix = cv2.getRotationMatrix2D(tuple(float(v) for v in middle), rng.normal(0, 9), width / (box[2] - box[0]))
    matrix[:, 2] += rng.uniform(0.06, 0.94, 2) * full - middle
    result = moved(objects, matrix, flip)
    if any(overlap(one[1], other[1]) > 0 for one in result for other in taken):
        return []
    shrink = width / (box[2] - box[0])
    if shrink < 0.6:  # smooth first, or the warp aliases
        source = cv2.GaussianBlur(source, (0, 0), 0.4 / shrink)
    mask = np.ones(source.shape[:2], np.float32)
    if rng.random() < 0.5:  # the head alone, on shoulders of any colour
        mask[:] = 0
        reach = np.array([box[2] - box[0], box[3] - box[1]]) * rng.uniform([0.62, 0.66], [1.0, 1.0])
        cv2.ellipse(mask, tuple(int(v) for v in middle), tuple(int(v) for v in reach), 0, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 5)))
        moved_box = max(result, key=lambda o: np.ptp(o[1][[0, 2]]))[1]
        if rng.random() < 0.7:
            x, y = (moved_box[0] + moved_box[2]) / 2, moved_box[3] + width * 0.75
            cv2.ellipse(
                picture,
                (int(x), int(y)),
                (int(width * rng.uniform(0.9, 1.4)), int(width * 0.8)),
                0,
                0,
                360,
                colour(rng),
                -1,
                cv2.LINE_AA,
            )
        result = [one for one in result if one[1] is moved_box]
    cover = cv2.warpAffine(mask, matrix, (full, full))[..., None]
    laid = cv2.warpAffine(source.astype(np.float32), matrix, (full, full), borderMode=cv2.BORDER_REPLICATE)
    picture *= 1 - cover
    picture += laid * cover
    return [one for one in result if one[1][2] - one[1][0] > 0.75 * NARROWEST]


def skin_blobs(rng, picture, count):
    """Hands, badges, wood: skin-coloured patches without a face. In place."""
    size = picture.shape[0]
    for _ in range(count):
        x, y = (int(v) for v in rng.uniform(0, 1, 2) * size)
        w = int(np.exp(rng.uniform(np.log(6), np.log(70))))
        tone = np.array([0.55, 0.7, 1.0]) * rng.uniform(60, 250) * rng.uniform(0.9, 1.1, 3)
        for part in range(int(rng.integers(1, 6))):
            at = (x + int(rng.normal(0, w * 0.4)) * (part > 0), y + int(rng.normal(0, w * 0.4)) * (part > 0))
            shade = (
                tuple(float(v) for v in np.clip(tone * rng.uniform(0.25, 1.15), 0, 255))
                if part
                else tuple(float(v) for v in tone)
            )
            reach = (
                max(1, int(w * (0.5 if part == 0 else rng.uniform(0.05, 0.35)))),
                max(1, int(w * (0.65 if part == 0 else rng.uniform(0.05, 0.3)))),
            )
            cv2.ellipse(picture, at, reach, float(rng.uniform(0, 180)), 0, 360, shade, -1, cv2.LINE_AA)


def sample_from(portraits):
    """A `make(rng)` for `Pool`: pictures with none to three portraits."""

    def sample(rng):
        picture, objects = background(rng, SIZE + SPARE), []
        if rng.random() < 0.5:
            skin_blobs(rng, picture, int(rng.integers(1, 7)))
        for _ in range(int(rng.choice([0, 1, 1, 1, 1, 2, 3]))):
            objects += place(rng, picture, portraits[int(rng.integers(0, len(portraits)))], objects)
        if rng.random() < 0.15:
            quads = [np.array([box[:2], box[2:]]) for _, box in objects]
            lettering(rng, picture, 2, quads)
        return worsened(rng, picture), objects

    return sample


def measure(run, portraits, thresholds, max_side=320):
    """Against the teacher on untouched photographs: {threshold: (recall, extra faces per picture, landmark error)}.

    The landmark error is the mean distance over the distance between the eyes.
    """
    found = [(detect(run, picture, max_side, min(thresholds)), objects) for picture, objects in portraits]
    result = {}
    for threshold in thresholds:
        hits = total = extra = 0
        errors = []
        for detections, objects in found:
            strong = [one for one in detections if one[0] > threshold]
            for points, box in objects:
                total += 1
                best = max(strong, key=lambda one: overlap(one[2], box), default=None)
                if best is not None and overlap(best[2], box) > 0.5:
                    hits += 1
                    errors.append(
                        np.linalg.norm(best[1] - points, axis=1).mean() / np.linalg.norm(points[1] - points[0])
                    )
            extra += sum(all(overlap(one[2], box) < 0.3 for _, box in objects) for one in strong)
        result[threshold] = (hits / total, extra / len(found), float(np.mean(errors)) if errors else 1.0)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--pictures", type=int, default=1000, help="kept at a time")
    parser.add_argument("--resume", help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = seed_everything(args.seed)
    cv2.setNumThreads(1)
    started, work = time.monotonic(), pathlib.Path(args.work)
    faces = load_faces(args.faces, args.detector, work / "faces.pkl")
    training, test = (Portraits(args.faces, faces, held_out).all for held_out in (False, True))
    pool = Pool(sample_from(training), args.pictures, SIZE, 5, rng)
    net = CentrePoints(points=5, box=True)
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    print(
        f"first {args.pictures} pictures in {time.monotonic() - started:.0f} s, {sum(p.numel() for p in net.parameters())} parameters",
        flush=True,
    )

    def loss_of_batch():
        inputs, *wanted = pool.batch(16)
        with half_precision():
            outputs = net(inputs)
        return loss(outputs, *wanted, precision=24.0)

    def report(net):
        measured = measure(by_torch(net), test[:150], (0.3, 0.5))
        return ", ".join(
            f"at {t}: recall {r:.3f}, {x:.2f} extra, landmarks {e:.3f}" for t, (r, x, e) in measured.items()
        )

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=work / "face_detector.pt",
        report=report,
        report_every_s=180,
    )


if __name__ == "__main__":
    main()
