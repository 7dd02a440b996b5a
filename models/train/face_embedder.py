"""Face embedder: learns to answer as a larger public model does, stage by stage, on few people and many made-up faces.

    python face_embedder.py --faces DIR --detector YUNET.onnx --teacher TEACHER.onnx --work DIR --minutes 60

With 1,700 photographs the vectors alone teach too little. So the student is given every intermediate map of the teacher
as a goal (hints: Romero et al., FitNets, 2015), and at first each of its stages also *starts* from the teacher's map
instead of the stage before it (few-sample distillation block by block: Li et al., 2020), less and less often. Teacher
and student see exactly the same picture, a worsened one included (Beyer et al., "A good teacher is patient and
consistent", 2022). At the end of the chain: cosine to the teacher's vector, and equal cosines to a memory of the
teacher's vectors of some hundred photographs.
"""

import argparse
import pathlib
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from face_chips import made_up, originals
from faces_data import (
    ARCFACE_112,
    align,
    central_face,
    held_out_people,
    identity_of,
    load_faces,
    similarity,
)
from nets import Embedder
from teachers import Teacher
from training import fit, half_precision, seed_everything

SIZE = 112
BATCH, FRESH, MEMORY = 16, 4, 500
FORCED_SHARE = 0.5  # of the training time, in which the stages are weaned from the teacher's maps
VECTOR_WEIGHT, MEMORY_WEIGHT = 4.0, 60.0


def worsened(rng, face):
    """A face as a camera and an imprecise detector would hand it over: 8-bit BGR 112x112."""
    image, points = face
    matrix = np.vstack([similarity(points + rng.normal(0, 0.8, points.shape), ARCFACE_112), [0, 0, 1]])
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.normal(0, 3), np.exp(rng.normal(0, 0.03)))
    turn[:, 2] += rng.normal(0, 0.8, 2)
    face = cv2.warpAffine(image, turn @ matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    draw = rng.random(6)
    if draw[0] < 0.2:
        small = int(rng.integers(40, 100))
        face = cv2.resize(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), (SIZE, SIZE))
    if draw[1] < 0.15:
        face = cv2.GaussianBlur(face, (0, 0), rng.uniform(0.4, 1.8))
    if draw[2] < 0.15:
        face = cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])[1], 1)
    face = face.astype(np.float32)
    if draw[3] < 0.3:  # light from one side
        ramp = np.linspace(rng.uniform(0.5, 1), rng.uniform(0.5, 1), SIZE, dtype=np.float32)
        face *= ramp[None, :, None] if rng.random() < 0.6 else ramp[:, None, None]
    if draw[4] < 0.08:
        face[:] = face.mean(2, keepdims=True)
    if draw[5] < 0.4:
        mean = face.mean()
        face = (face - mean) * rng.uniform(0.7, 1.3) + mean * rng.uniform(0.6, 1.3)
        face = face * rng.uniform(0.9, 1.1, 3) + rng.normal(0, 1, face.shape) * rng.uniform(0, 6)
    return np.clip(face, 0, 255).astype(np.uint8)


def to_input(faces):
    """BGR pictures -> RGB tensor in -1..1, as the manifest says."""
    rgb = np.clip(np.stack(faces), 0, 255)[..., ::-1].astype(np.float32) / 127.5 - 1
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)))


class Lessons:
    """A rolling store of worsened faces with the teacher's maps; with every batch the oldest few are replaced.

    Making a face and asking the teacher costs two thirds of what a training step on it does, so each is used four times.
    """

    def __init__(self, people, teacher, seen, count, rng):
        count = -(-count // FRESH) * FRESH
        self.people, self.teacher, self.seen, self.rng, self.next = people, teacher, seen, rng, 0
        first = self._made(FRESH)
        self.store = [part.new_empty((count, *part.shape[1:])) for part in first]
        for _ in range(0, count, FRESH):
            self.refresh()
        vectors = [
            teacher(seen(to_input([align(image, points, ARCFACE_112, SIZE)])))[-1]
            for image, points in people[:: max(1, len(people) // MEMORY)]
        ]
        self.memory = F.normalize(torch.cat(vectors), dim=1)
        # errors are told relative to how much each map varies
        self.spread = [maps.float().var() for maps in self.store[1:]]

    def _made(self, count):
        pictures = to_input([worsened(self.rng, made_up(self.rng, self.people)) for _ in range(count)])
        return [part.half() for part in (pictures, *self.teacher(self.seen(pictures)))]

    def refresh(self):
        """Replaces the oldest faces by new ones."""
        at = self.next % len(self.store[0])
        for part, new in zip(self.store, self._made(FRESH), strict=True):
            part[at : at + FRESH] = new
        self.next += FRESH

    def batch(self):
        """(pictures, the teacher's maps)."""
        self.refresh()
        rows = torch.from_numpy(self.rng.integers(0, len(self.store[0]), BATCH))
        pictures, *maps = (part[rows].float() for part in self.store)
        return pictures, maps


def hint_losses(net, pictures, maps, spread, forced):
    """(relative squared error of each stage's map, raw vectors); a `forced` share of the stages' inputs is the teacher's."""
    x, losses = net.seen(pictures), []
    for stage, wanted, scale in zip(net.stages, maps, spread, strict=True):
        with half_precision():
            got = stage(x).float()
        losses.append((got - wanted).pow(2).mean() / scale)
        given = (torch.rand(len(got)) < forced).float().view(-1, *[1] * (got.dim() - 1))
        x = given * wanted + (1 - given) * got
    return losses, got


class TestPeople:
    """Photographs of people never seen in training, and every pair among them."""

    def __init__(self, folder, detector, work):
        faces, held_out = load_faces(folder, detector, pathlib.Path(work) / "faces.pkl"), held_out_people(folder)
        names = [name for name in sorted(faces) if identity_of(name) in held_out]
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
        vectors = torch.cat([net(batch) for batch in self.inputs.split(16)]).float().numpy()
        cosines = (vectors @ vectors.T)[self.first, self.second]
        return cosines[self.same], cosines[~self.same]


def false_non_match(genuine, impostor, false_match_rate):
    """(FNMR, threshold): the smallest cosine that lets at most that share of impostor pairs pass (strictly above)."""
    ordered = np.sort(impostor)[::-1]
    threshold = float(ordered[int(len(ordered) * false_match_rate)])
    return float((genuine <= threshold).mean()), threshold


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="folder of photographs, with pairs.csv in the folder above")
    parser.add_argument("--detector", required=True, help="YuNet .onnx with dynamic input")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--lessons", type=int, default=600, help="faces kept at a time; 0.6 MB each")
    parser.add_argument("--forced", type=float, default=1.0, help="share of the teacher's maps given at the start")
    parser.add_argument("--resume", help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = seed_everything(args.seed)
    cv2.setNumThreads(1)
    started, work = time.monotonic(), pathlib.Path(args.work)
    net = Embedder()
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    faces = load_faces(args.faces, args.detector, work / "faces.pkl")
    people = list(originals(args.faces, faces, held_out_people(args.faces)))
    lessons = Lessons(people, Teacher(args.teacher), net.seen, args.lessons, rng)
    if not args.resume:
        net.scale_to([maps[:200].float() for maps in lessons.store[1:]])
    test = TestPeople(args.faces, args.detector, work)
    print(
        f"{len(people)} photographs to learn from, {sum(p.numel() for p in net.parameters())} parameters, "
        f"{len(test.names)} test photographs, ready after {time.monotonic() - started:.0f} s",
        flush=True,
    )
    begun, latest = time.monotonic(), []

    def loss_of_batch():
        done = (time.monotonic() - begun) / (args.minutes * 60)
        pictures, maps = lessons.batch()
        hints, raw = hint_losses(net, pictures, maps, lessons.spread, args.forced * max(0.0, 1 - done / FORCED_SHARE))
        got, wanted = F.normalize(raw, dim=1), F.normalize(maps[-1], dim=1)
        away = (1 - (got * wanted).sum(1)).mean()
        alike = ((got - wanted) @ lessons.memory.T).pow(2).mean()
        latest[:] = [loss.item() for loss in hints] + [away.item()]
        return sum(hints) + VECTOR_WEIGHT * away + MEMORY_WEIGHT * alike

    def report(net):
        genuine, impostor = test.scores(net)
        missed = ", ".join(f"{false_non_match(genuine, impostor, f)[0]:.3f} at FMR {f}" for f in (1e-2, 1e-3))
        return f"last batch's hints and cosine {[round(v, 3) for v in latest]}, FNMR {missed}"

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=work / "face_embedder.pt",
        report=report,
        report_every_s=900,
        weight_decay=1e-4,
    )


if __name__ == "__main__":
    main()
