"""Face photographs for training: teacher detections, alignment and the split into train and test people.

The photographs are read from a folder outside the repository (`--faces`, Labelled Faces in the Wild, 250x250
"deep funneled", with its list `pairs.csv` in the folder above); nothing of it is ever written into the repository.

The split: **whoever occurs in fold 3 of `pairs.csv` is held out**, everybody else may be learnt from. LFW's folds share
no person, so fold 3's 600 pairs are a test among strangers, and `cardea-models eval` needs no more than the fold's
number to repeat it. A split by names' hashes would leave a pair of two held-out people by chance only.
"""

import csv
import pathlib
import pickle

import cv2
import numpy as np
import onnxruntime

# Five points of an aligned face (image-left eye, image-right eye, nose, image-left and image-right mouth corner).
# ArcFace's template for 112x112 pixels: what our embedder expects.
ARCFACE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
# The teacher's own template for 128x128 pixels (Open Model Zoo, face-reidentification-retail-0095).
TEACHER_128 = 128 * np.array(
    [[0.31557, 0.46157], [0.68262, 0.46157], [0.50026, 0.64051], [0.34947, 0.82469], [0.65344, 0.82469]], np.float32
)
HELD_OUT_FOLD = "3"


def identity_of(file_name):
    """`First_Last_0001.jpg` -> `First_Last`."""
    return pathlib.Path(file_name).stem.rsplit("_", 1)[0]


def held_out_people(folder):
    """The people that only the evaluation may see, by the list beside the folder of photographs."""
    by_fold = {}
    with (pathlib.Path(folder).parent / "pairs.csv").open() as file:
        for row in csv.DictReader(file):
            by_fold.setdefault(row["fold"], set()).update((identity_of(row["a"]), identity_of(row["b"])))
    held_out = by_fold.pop(HELD_OUT_FOLD)
    if shared := held_out.intersection(*[set().union(*by_fold.values())]):
        raise ValueError(f"{len(shared)} people of fold {HELD_OUT_FOLD} are in other folds too: no test among strangers")
    return held_out


def session(path, threads=1):
    """An ONNX Runtime session on the CPU with a fixed number of threads; `path` may be the bytes of a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = path if isinstance(path, bytes) else str(path)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def similarity(source, target):
    """The 2x3 similarity transform that best maps `source` points to `target` (Umeyama 1991)."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_s, mean_t = source.mean(0), target.mean(0)
    u, singular, vt = np.linalg.svd((target - mean_t).T @ (source - mean_s) / len(source))
    sign = np.ones(2)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        sign[1] = -1
    rotation = u @ np.diag(sign) @ vt
    scale = (singular * sign).sum() / ((source - mean_s) ** 2).sum(1).mean()
    return np.hstack([scale * rotation, (mean_t - scale * rotation @ mean_s)[:, None]]).astype(np.float32)


def align(image, points, template, size):
    """Warps `image` so that its five `points` lie on `template` in a square of `size` pixels."""
    return cv2.warpAffine(image, similarity(points, template), (size, size), borderMode=cv2.BORDER_REPLICATE)


class YuNet:
    """The teacher detector: boxes (x, y, w, h), five points and a score per face."""

    def __init__(self, path):
        self.session = session(path)
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, image, threshold=0.6):
        height, width = image.shape[:2]
        padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32)
        padded[:height, :width] = image
        feed = {self.session.get_inputs()[0].name: padded.transpose(2, 0, 1)[None]}
        outputs = dict(zip(self.names, self.session.run(None, feed), strict=False))
        boxes, points, scores = [], [], []
        for stride in (8, 16, 32):
            score = np.sqrt(np.clip(outputs[f"cls_{stride}"][0, :, 0] * outputs[f"obj_{stride}"][0, :, 0], 0, 1))
            found = np.where(score > threshold)[0]
            columns = padded.shape[1] // stride
            grid = np.stack([found % columns, found // columns], 1).astype(np.float32)
            box = outputs[f"bbox_{stride}"][0][found]
            centre, size = (grid + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
            boxes.append(np.hstack([centre - size / 2, size]))
            points.append((outputs[f"kps_{stride}"][0][found].reshape(-1, 5, 2) + grid[:, None]) * stride)
            scores.append(score[found])
        boxes, points, scores = np.concatenate(boxes), np.concatenate(points), np.concatenate(scores)
        kept = np.array(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), threshold, 0.3)).ravel().astype(int)
        return [(boxes[i], points[i], float(scores[i])) for i in kept]


def central_face(faces, shape):
    """The face a portrait is about: the one nearest the middle, weighted by its size."""
    middle = np.array([shape[1] / 2, shape[0] / 2])

    def rank(face):
        box = face[0]
        return np.linalg.norm(box[:2] + box[2:] / 2 - middle) - 0.3 * box[2]

    return min(faces, key=rank)


def load_faces(folder, detector_path, cache):
    """Every photograph of `folder` with all its detected faces: {file name: [(box, points, score), ...]}."""
    cache = pathlib.Path(cache)
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    detector, found = YuNet(detector_path), {}
    for path in sorted(pathlib.Path(folder).glob("*.jpg")):
        faces = detector(cv2.imread(str(path)), 0.5)
        if faces:
            found[path.name] = faces
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(pickle.dumps(found))
    return found
