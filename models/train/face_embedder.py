"""Face embedder: learns to answer as a larger public model does (distillation), on few people and many made-up faces.

    python face_chips.py ... (once)       makes faces and the teacher's answers
    python face_embedder.py --faces DIR --detector YUNET.onnx --work DIR --minutes 60

Two losses: the cosine to the teacher's vector, and the difference between the two models' similarity matrices over the
batch. The student sees a worsened picture (light, blur, JPEG, misaligned landmarks), the teacher saw the clean one.
"""

import argparse
import pathlib

import cv2
import numpy as np
import torch

from face_chips import CHIP, CHIP_SCALE
from faces_data import ARCFACE_112, align, central_face, identity_of, is_test_person, load_faces
from nets import Embedder
from training import fit, half_precision, seed_everything

SIZE = 112


def worsened(rng, chip):
    """A stored face as a bad camera and an imprecise detector would hand it over: BGR 112x112."""
    angle, scale = rng.normal(0, 4), np.exp(rng.normal(0, 0.04)) / CHIP_SCALE
    matrix = cv2.getRotationMatrix2D((CHIP / 2, CHIP / 2), angle, scale)
    matrix[:, :2] += rng.normal(0, 0.015, (2, 2))
    matrix[:, 2] += SIZE / 2 - CHIP / 2 + rng.normal(0, 1.3, 2)
    face = cv2.warpAffine(chip, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    draw = rng.random(6)
    if draw[0] < 0.35:
        small = int(rng.integers(32, 96))
        face = cv2.resize(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), (SIZE, SIZE))
    if draw[1] < 0.2:
        face = cv2.GaussianBlur(face, (0, 0), rng.uniform(0.4, 2.0))
    if draw[2] < 0.25:
        face = cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 85))])[1], 1)
    face = face.astype(np.float32)
    if draw[3] < 0.5:  # light from one side
        ramp = np.linspace(rng.uniform(0.5, 1), rng.uniform(0.5, 1), SIZE, dtype=np.float32)
        face *= ramp[None, :, None] if rng.random() < 0.6 else ramp[:, None, None]
    if draw[4] < 0.1:
        face[:] = face.mean(2, keepdims=True)
    if draw[5] < 0.12:  # something in front of a part
        x, y, w, h = (int(v) for v in rng.integers([0, 0, 10, 10], [90, 90, 45, 45]))
        face[y : y + h, x : x + w] = rng.uniform(0, 255)
    mean = face.mean()
    face = (face - mean) * rng.uniform(0.6, 1.3) + mean * rng.uniform(0.5, 1.35) + rng.uniform(-15, 15)
    return face * rng.uniform(0.9, 1.1, 3) + rng.normal(0, 1, face.shape) * rng.uniform(0, 7)


def to_input(faces):
    """BGR pictures -> RGB tensor in -1..1, as the manifest says."""
    rgb = np.clip(np.stack(faces), 0, 255)[..., ::-1].astype(np.float32) / 127.5 - 1
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)))


class TestPeople:
    """Photographs of people never seen in training, and every pair among them."""

    def __init__(self, folder, detector, work):
        faces = load_faces(folder, detector, pathlib.Path(work) / "faces.pkl")
        names = [name for name in sorted(faces) if is_test_person(identity_of(name))]
        crops = []
        for name in names:
            image = cv2.imread(str(pathlib.Path(folder) / name))
            crops.append(align(image, central_face(faces[name], image.shape)[1], ARCFACE_112, SIZE))
        self.names, self.inputs = names, to_input(crops)
        people = np.array([identity_of(name) for name in names])
        first, second = np.triu_indices(len(names), 1)
        self.first, self.second, self.same = first, second, people[first] == people[second]

    def scores(self, net):
        """(genuine, impostor) cosines over all pairs."""
        vectors = torch.cat([net(batch) for batch in self.inputs.split(128)]).float().numpy()
        cosines = (vectors[self.first] * vectors[self.second]).sum(1)
        return cosines[self.same], cosines[~self.same]


def false_non_match(genuine, impostor, false_match_rate):
    """(FNMR, threshold): the smallest cosine that lets at most that share of impostor pairs pass (strictly above)."""
    ordered = np.sort(impostor)[::-1]
    threshold = float(ordered[int(len(ordered) * false_match_rate)])
    return float((genuine <= threshold).mean()), threshold


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--resume", help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = seed_everything(args.seed)
    cv2.setNumThreads(1)
    work = pathlib.Path(args.work)
    files = [np.load(path) for path in sorted(work.glob("face_chips_*.npz"))]
    chips = np.concatenate([file["chips"] for file in files])
    targets = torch.from_numpy(np.concatenate([file["vectors"] for file in files]))
    test, net = TestPeople(args.faces, args.detector, work), Embedder()
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    print(
        f"{len(chips)} faces, {sum(p.numel() for p in net.parameters())} parameters, {len(test.names)} test photographs"
    )

    def loss_of_batch():
        chosen = rng.integers(0, len(chips), 64)
        wanted = targets[chosen]
        with half_precision():
            got = net(to_input([worsened(rng, chips[i]) for i in chosen]))
        got = got.float()
        alike = (got @ got.T - wanted @ wanted.T).pow(2).mean()
        return (1 - (got * wanted).sum(1)).mean() + 5 * alike

    def report(net):
        genuine, impostor = test.scores(net)
        return "FNMR " + ", ".join(f"{false_non_match(genuine, impostor, f)[0]:.3f} at FMR {f}" for f in (1e-2, 1e-3))

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=work / "face_embedder.pt",
        report=report,
    )


if __name__ == "__main__":
    main()
