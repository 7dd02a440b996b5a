"""Plate reader: a plate cut flat (`plate_crops.flatten`, 160x32 gray) to characters (CTC), trained on drawn plates only.

    python plate_reader.py --work DIR --minutes 35 [--real DIR] [--resume WEIGHTS]
    python plate_reader.py --work DIR --calibrate 20000

`--real` is a folder with labels.csv and images/, outside the repository, only ever measured on. Plates are drawn while training goes on: a
pool of faces grows and is renewed, and each time one is used it is photographed anew. `--calibrate N` measures, on N plates never seen,
how sure a reading must be before it may be trusted.
"""

import argparse
import csv
import multiprocessing
import pathlib

import cv2
import numpy as np
import torch
import torch.nn.functional as F

import reader_threshold
from ctc import BLANK, Grammar, greedy, log_softmax, read
from nets import Reader
from plate_crops import FACE_SCALE, UNIT, flatten, photographed
from plates import kinds
from plates.grammar import ALPHABET, GOST
from plates.layout import Style
from training import fit, half_precision, late_cosine_rate, seed_everything

BATCH = 32  # small: on a processor steps are dear, and many of them teach more than large ones
NEW_FACES = 1  # drawn for every batch; so each face is used about thirty times
PLENTY = 30000


def draw_face(rng, kind=None):
    """(gray face, text, kind) of a random plate."""
    text, kind = kinds.random_plate(rng, kind)
    face = kinds.draw(kind, text, Style(rng), FACE_SCALE)
    # what a sensor makes of coloured paint depends on the camera: infrared lamps turn blue bands black or white
    weights = (
        np.float32([0.114, 0.587, 0.299]) if rng.random() < 0.6 else rng.dirichlet([1.5, 1.5, 1.5]).astype(np.float32)
    )
    return cv2.transform(face, weights[None]), text, kind


def draw_crop(rng, kind=None):
    """(crop as the reader is shown it, text, kind) of a plate drawn just now."""
    face, text, kind = draw_face(rng, kind)
    return photographed(rng, face, kinds.size_mm(kind), kinds.lines(kind)), text, kind


class Faces:
    """A pool of drawn faces that is renewed while it is used."""

    def __init__(self, rng, count):
        self.rng, self.next = rng, 0
        self.kept = [draw_face(rng) for _ in range(count)]

    def batch(self, size, new):
        """(crops, texts) of random faces of the pool, after `new` ones have been drawn."""
        for _ in range(new):
            if len(self.kept) < PLENTY:
                self.kept.append(draw_face(self.rng))
            else:
                self.kept[self.next] = draw_face(self.rng)
                self.next = (self.next + 1) % PLENTY
        chosen = [self.kept[i] for i in self.rng.integers(0, len(self.kept), size)]
        crops = [photographed(self.rng, face, kinds.size_mm(kind), kinds.lines(kind)) for face, _, kind in chosen]
        return crops, [text for _, text, _ in chosen]


def serve(seed, count, queue):
    """Puts batch after batch into `queue`; runs in a process of its own, so that drawing costs the training no time."""
    cv2.setNumThreads(1)
    faces = Faces(np.random.default_rng(seed), count)
    while True:
        crops, texts = faces.batch(BATCH, NEW_FACES)
        queue.put((np.stack(crops), texts))


def batches(seed, count):
    """An endless iterator of (crops, texts), prepared ahead by `serve`."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(maxsize=8)
    context.Process(target=serve, args=(seed, count, queue), daemon=True).start()
    return iter(queue.get, None)


def to_input(pictures):
    """8-bit gray pictures -> tensor in -1..1, as the manifest says."""
    return torch.from_numpy(np.stack(pictures)[:, None].astype(np.float32) / 127.5 - 1)


def real_crops(folder):
    """(pictures, texts) of labelled photographs, cut by their true upright boxes with the pipeline's margins."""
    folder, pictures, texts = pathlib.Path(folder), [], []
    for row in csv.DictReader((folder / "labels.csv").open()):
        if not row["text"]:
            continue
        image = cv2.imread(str(folder / "images" / row["image"]), cv2.IMREAD_GRAYSCALE)
        left, top, right, bottom = (float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
        quad = np.float32([left, top]) + UNIT * np.float32([right - left, bottom - top])
        pictures.append(flatten(image, quad))
        texts.append(row["text"])
    return pictures, texts


def edit_distance(a, b):
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def logits_of(net, pictures):
    """Logits [n,T,classes] as numpy, without gradients."""
    with torch.no_grad():
        return torch.cat([net(batch) for batch in to_input(pictures).split(256)]).numpy()


def measured(net, pictures, texts):
    """(share of plates read exactly, share of characters right: 1 - edits / characters), greedy."""
    got = greedy(logits_of(net, pictures))
    exact = float(np.mean([a == b for a, b in zip(got, texts, strict=True)]))
    return exact, 1 - sum(edit_distance(a, b) for a, b in zip(got, texts, strict=True)) / sum(len(t) for t in texts)


def by_grammar(net, pictures, texts, grammar):
    """Share of plates read exactly when only texts of the grammar are considered."""
    rows = log_softmax(logits_of(net, pictures))
    return float(np.mean([read(row, grammar)[0] == text for row, text in zip(rows, texts, strict=True)]))


def test_sets(real, count=500):
    """{name: (pictures, texts)}: drawn plates of a seed of their own and, where given, photographs."""
    rng = np.random.default_rng(1000)
    drawn = [draw_crop(rng) for _ in range(count)]
    two = [one for one in drawn if kinds.lines(one[2]) == 2]
    sets = {"drawn": drawn, "of two lines": two}
    sets = {name: ([p for p, _, _ in rows], [t for _, t, _ in rows]) for name, rows in sets.items()}
    if real:
        sets["real"] = real_crops(real)
    return sets


def ctc_loss(logits, texts):
    """Mean CTC loss of a batch, per character of the true text."""
    likelihood = F.log_softmax(logits.float(), -1).permute(1, 0, 2)
    wanted = torch.tensor([ALPHABET.index(c) for text in texts for c in text])
    steps = torch.full((len(texts),), likelihood.shape[0])
    lengths = torch.tensor([len(text) for text in texts])
    return F.ctc_loss(likelihood, wanted, steps, lengths, blank=BLANK, zero_infinity=True)


def train(args):
    """The whole training; leaves `plate_reader.pt` in the work folder."""
    seed_everything(args.seed)
    drawn = batches(args.seed, args.faces)
    tests, grammar = test_sets(args.real), Grammar()
    net = Reader(BLANK + 1)
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    net = net.to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in net.parameters())} parameters", flush=True)

    def loss_of_batch():
        crops, texts = next(drawn)
        with half_precision():
            logits = net(to_input(crops).contiguous(memory_format=torch.channels_last))
        return ctc_loss(logits, texts)

    def report(net):
        lines = [
            "{}: {:.3f} exact, {:.4f} characters".format(name, *measured(net, *test)) for name, test in tests.items()
        ]
        if "real" in tests:
            lines.append(f"by grammar {by_grammar(net, *tests['real'], grammar):.3f}")
        return ", ".join(lines)

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=pathlib.Path(args.work) / "plate_reader.pt",
        report=report,
        report_every_s=args.report_s,
        rate=late_cosine_rate,
        average=0.999,
    )


def drawn_margins(net, count, seed):
    """(right, margin) as in `reader_threshold.margins`, of `count` plates drawn just now, of the kinds that GOST's grammar covers."""
    rng, right, margin = np.random.default_rng(seed), [], []
    while len(right) < count:
        drawn = [one for one in (draw_crop(rng) for _ in range(256)) if one[2] in GOST][: count - len(right)]
        one, gap = reader_threshold.margins(logits_of(net, [d[0] for d in drawn]), [d[1] for d in drawn])
        right += one.tolist()
        margin += gap.tolist()
    return np.array(right), np.array(margin)


def calibrate(args):
    """Prints how sure a reading must be."""
    seed_everything(args.seed)
    net = Reader(BLANK + 1)
    net.load_state_dict(torch.load(args.resume or pathlib.Path(args.work) / "plate_reader.pt"))
    right, margin = drawn_margins(net.eval(), args.calibrate, args.seed + 7000)
    np.savez(pathlib.Path(args.work) / "plate_reader_margins.npz", right=right, margin=margin)
    print("\n".join(reader_threshold.report(right, margin)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--real", help="labelled photographs to measure on")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--faces", type=int, default=1000, help="drawn before the first step")
    parser.add_argument("--report-s", type=float, default=300)
    parser.add_argument("--resume", help="weights to start from")
    parser.add_argument(
        "--calibrate", type=int, default=0, metavar="N", help="measure margins on N plates instead of training"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.calibrate:
        calibrate(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
