"""The plain reference that the Rust pipeline must agree with: public face models through ONNX Runtime and OpenCV.

    python face_reference.py --set LFW --detector YUNET.onnx --reid TEACHER.onnx --mobilefacenet MFN.onnx --out DIR

`LFW` holds `images/`, `pairs.csv` (fold, a, b, same) and `one_to_n.csv` (role, identity, image). Every photograph goes
through the detector, the face nearest the middle (see `faces_data.central_face`) through the embedder. Printed as JSON:

- verification: for each fold the threshold that is most often right on the *other* folds' pairs (the middle of the best
  gap between two scores), applied to this fold; mean over the folds (Huang et al., LFW, View 2);
- TAR at two false-accept rates, over the listed pairs;
- open-set search: a person's score is the best cosine over that person's references. The threshold is the smallest that
  lets at most `FPIR` of the impostor probes find anybody (strictly above); TPIR is the share of the enrolled people's
  probes whose best person is the right one and above it (ISO/IEC 19795-1).

A photograph without a detected face scores -1 with everything. `DIR` gets every pair's cosine, to trace a difference.
"""

import argparse
import csv
import json
import pathlib

import cv2
import numpy as np

from centre_points import detect
from faces_data import ARCFACE_112, TEACHER_128, YuNet, central_face, session, similarity

DETECTION_THRESHOLD = 0.5
FPIR = 0.01
OWN_SIDE = 640  # as the base pack's manifest says
IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def reid_input(crop):
    """face-reidentification-retail-0095: BGR 0..255."""
    return crop.astype(np.float32)


def mobilefacenet_input(crop):
    """foamliu's MobileFaceNet: RGB, ImageNet's mean and deviation."""
    return ((crop[..., ::-1] / 255.0 - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)


def own_input(crop):
    """The base pack's embedder: RGB in -1..1."""
    return crop[..., ::-1].astype(np.float32) / 127.5 - 1


# template, side of the crop, what becomes of the crop
EMBEDDERS = {
    "reid": (TEACHER_128, 128, reid_input),
    "mobilefacenet": (ARCFACE_112, 112, mobilefacenet_input),
    "own": (ARCFACE_112, 112, own_input),
}


class OwnDetector:
    """The base pack's face detector, called like `YuNet`; letterboxed to its own size whatever it is given."""

    def __init__(self, path):
        self.session = session(path)

    def __call__(self, picture, threshold):
        run = lambda tensor: self.session.run(None, {"bgr": tensor.numpy()})
        found = detect(run, picture, OWN_SIDE, threshold)
        return [(np.concatenate([box[:2], box[2:] - box[:2]]), points, score) for score, points, box in found]


def detect_central(detector, picture, side):
    """Five points of the portrayed face or None; `side`: length the longer side is scaled to, 0 for as it is."""
    scale = side / max(picture.shape[:2]) if side else 1.0
    if scale != 1.0:
        flag = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=flag)
    faces = detector(picture, DETECTION_THRESHOLD)
    return central_face(faces, picture.shape)[1] / scale if faces else None


def embed_all(folder, names, find, embedder, kind):
    """{name: unit vector or None}; `find(picture)` returns five points or None."""
    template, side, to_input = EMBEDDERS[kind]
    run, vectors = session(embedder), {}
    feed = run.get_inputs()[0].name
    for name in names:
        picture = cv2.imread(str(folder / name))
        points = find(picture)
        vectors[name] = None
        if points is not None:
            crop = cv2.warpAffine(picture, similarity(points, template), (side, side))  # bilinear, black outside
            tensor = np.ascontiguousarray(to_input(crop).transpose(2, 0, 1)[None])
            vector = run.run(None, {feed: tensor})[0].ravel()
            vectors[name] = vector / np.linalg.norm(vector)
    return vectors


def cosine(a, b):
    """Cosine of two unit vectors; -1 where a face is missing."""
    return -1.0 if a is None or b is None else float(a @ b)


def best_threshold(scores, same):
    """The threshold with the most right answers (score >= threshold means the same person)."""
    order = np.argsort(scores)
    scores, same = scores[order], same[order]
    # refused below position i: right are the impostors below and the genuine pairs from i on
    right = np.concatenate([[0], np.cumsum(~same)]) + same.sum() - np.concatenate([[0], np.cumsum(same)])
    edges = np.concatenate([[scores[0] - 1e-6], (scores[1:] + scores[:-1]) / 2, [scores[-1] + 1e-6]])
    return float(edges[int(np.argmax(right))])


def verification(scores, same, parts):
    """(mean accuracy, accuracy of each part), each part with the threshold of the others."""
    accuracies = []
    for part in np.unique(parts):
        threshold = best_threshold(scores[parts != part], same[parts != part])
        mine = parts == part
        accuracies.append(float(((scores[mine] >= threshold) == same[mine]).mean()))
    return float(np.mean(accuracies)), accuracies


def accepted_at(genuine, impostor, rate):
    """(TAR, threshold): the smallest threshold that at most `rate` of the impostor scores exceed (strictly)."""
    threshold = np.sort(impostor)[::-1][int(len(impostor) * rate)]
    return float((genuine > threshold).mean()), float(threshold)


def open_set(vectors, rows, rate=FPIR):
    """TPIR at FPIR `rate` with its threshold and counts, by `one_to_n.csv` rows."""
    enrolled = [(row["identity"], vectors[row["image"]]) for row in rows if row["role"] == "enrol"]

    def best(probe):
        return max(((cosine(probe, vector), who) for who, vector in enrolled), key=lambda s: s[0])

    impostor = np.array([best(vectors[row["image"]])[0] for row in rows if row["role"] == "impostor"])
    threshold = np.sort(impostor)[::-1][int(len(impostor) * rate)]
    probes = [(row["identity"], *best(vectors[row["image"]])) for row in rows if row["role"] == "probe"]
    found = sum(bool(score > threshold) and who == wanted for wanted, score, who in probes)
    return {
        "fpir": rate, "tpir": found / len(probes), "threshold": float(threshold), "found": found,
        "probes": len(probes), "impostors": len(impostor), "gallery": len({who for who, _ in enrolled}),
    }  # fmt: skip


def read(path):
    """Rows of a CSV file."""
    with path.open() as file:
        return list(csv.DictReader(file))


def ten_parts(pairs):
    """For pairs of a single fold: each kind of pair cut into ten by its order in the file, as LFW cuts its ten folds."""
    parts = np.zeros(len(pairs), int)
    for kind in ("0", "1"):
        rows = [i for i, pair in enumerate(pairs) if pair["same"] == kind]
        parts[rows] = np.arange(len(rows)) * 10 // len(rows)
    return parts


def measure(pairs, rows, vectors):
    """Every figure of one detector and embedder, and the pairs' scores."""
    scores = np.array([cosine(vectors[pair["a"]], vectors[pair["b"]]) for pair in pairs])
    same = np.array([pair["same"] == "1" for pair in pairs])
    folds = np.array([int(pair["fold"]) for pair in pairs])
    accuracy, by_fold = verification(scores, same, folds if len(set(folds)) > 1 else ten_parts(pairs))
    figures = {
        "pairs": len(pairs),
        "photographs": len(vectors),
        "without_a_face": sum(vector is None for vector in vectors.values()),
        "accuracy": accuracy,
        "accuracy_by_part": by_fold,
    }
    for rate in (1e-2, 1e-3):
        tar, threshold = accepted_at(scores[same], scores[~same], rate)
        figures[f"tar_at_far_{rate}"] = {"tar": tar, "threshold": threshold}
    figures["open_set"] = open_set(vectors, rows)
    return figures, scores


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", required=True, help="folder with images/, pairs.csv and one_to_n.csv")
    parser.add_argument("--detector", required=True, help="YuNet .onnx with dynamic input")
    parser.add_argument("--own-detector", action="store_true", help="--detector is the base pack's face detector")
    parser.add_argument("--side", type=int, default=0, help="scale the longer side to this first; 0: as it is")
    parser.add_argument("--fold", help="this fold's pairs and people only")
    parser.add_argument("--out", required=True, help="folder for the scores")
    for kind in EMBEDDERS:
        parser.add_argument(f"--{kind}", help="its .onnx")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    folder, out = pathlib.Path(args.set), pathlib.Path(args.out)
    pairs, rows = read(folder / "pairs.csv"), read(folder / "one_to_n.csv")
    names = {name for pair in pairs for name in (pair["a"], pair["b"])}
    if args.fold:
        pairs = [pair for pair in pairs if pair["fold"] == args.fold]
        people = {pair[side].rsplit("_", 1)[0] for pair in pairs for side in "ab"}
        names, rows = set(), [row for row in rows if row["identity"] in people]
        names = {name for pair in pairs for name in (pair["a"], pair["b"])}
    names |= {row["image"] for row in rows}
    detector, cache = (OwnDetector if args.own_detector else YuNet)(args.detector), {}

    def find(picture):
        key = hash(picture.tobytes())
        if key not in cache:
            cache[key] = detect_central(detector, picture, args.side)
        return cache[key]

    result = {}
    for kind in EMBEDDERS:
        if (path := getattr(args, kind)) is None:
            continue
        vectors = embed_all(folder / "images", sorted(names), find, path, kind)
        result[kind], scores = measure(pairs, rows, vectors)
        with (out / f"face_reference_pairs_{kind}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["fold", "a", "b", "same", "cosine"])
            for pair, score in zip(pairs, scores, strict=True):
                writer.writerow([pair["fold"], pair["a"], pair["b"], pair["same"], f"{score:.6f}"])
    print(json.dumps({"side": args.side, "detection_threshold": DETECTION_THRESHOLD, **result}, indent=1))


if __name__ == "__main__":
    main()
