"""Plate reader: a rectified plate, 128x32 gray, to characters (CTC), trained on rendered plates only.

    python plate_reader.py --work DIR --minutes 35 [--real DIR]

The pipeline hands over the quadrilateral of the detector, widened by 3 % of its width and 8 % of its height on every
side; training scatters around that (`crop_quad`), and three in ten samples are looser and tilted, as a box without corners
would be. `--real` is a folder with labels.csv and images/, outside the repository, only ever measured on.
"""

import argparse
import csv
import pathlib
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from nets import Reader
from plates import effects
from plates.grammar import ALPHABET, random_text
from plates.layout import Style, draw_plate
from training import fit, half_precision, seed_everything

WIDTH, HEIGHT = 128, 32
BLANK = len(ALPHABET)
MARGIN_X, MARGIN_Y = 0.03, 0.08
FACE_W, FACE_H = 260, 56  # stored faces: half a pixel per millimetre


def make_faces(path, count, seed):
    """Draws `count` plate faces once; (gray pictures, texts)."""
    path = pathlib.Path(path)
    if not path.exists():
        rng = np.random.default_rng(seed)
        texts, faces, started = [], np.zeros((count, FACE_H, FACE_W), np.uint8), time.monotonic()
        for i in range(count):
            texts.append(random_text(rng))
            face = cv2.cvtColor(draw_plate(texts[-1], Style(rng), 1.0), cv2.COLOR_BGR2GRAY)
            faces[i] = cv2.resize(face, (FACE_W, FACE_H), interpolation=cv2.INTER_AREA)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, faces=faces, texts=np.array(texts))
        print(f"{count} faces drawn in {time.monotonic() - started:.0f} s", flush=True)
    stored = np.load(path)
    return stored["faces"], stored["texts"]


def crop_quad(rng):
    """Where the plate's corners lie in the 128x32 crop (TL TR BR BL, pixels)."""
    inner_x, inner_y = WIDTH * MARGIN_X / (1 + 2 * MARGIN_X), HEIGHT * MARGIN_Y / (1 + 2 * MARGIN_Y)
    quad = np.array(
        [
            [inner_x, inner_y],
            [WIDTH - inner_x, inner_y],
            [WIDTH - inner_x, HEIGHT - inner_y],
            [inner_x, HEIGHT - inner_y],
        ]
    )
    if rng.random() < 0.7:
        quad += rng.normal(0, 1, (4, 2)) * [WIDTH * 0.010, HEIGHT * 0.045]
        quad += rng.normal(0, 1, 2) * [WIDTH * 0.012, HEIGHT * 0.04]
        return quad.astype(np.float32)
    middle = np.array([WIDTH, HEIGHT]) / 2
    quad = (quad - middle) * [rng.uniform(0.86, 1.06), rng.uniform(0.62, 1.08)]
    quad[1:3, 1] += (tilt := rng.normal(0, 0.16) * HEIGHT) / 2
    quad[[0, 3], 1] -= tilt / 2
    quad[:2, 0] += (lean := rng.normal(0, 0.12) * HEIGHT) / 2
    quad[2:, 0] -= lean / 2
    quad += rng.normal(0, 1, (4, 2)) * [1.0, 1.0]
    return (quad + middle + rng.normal(0, 1, 2) * [1.5, 1.2]).astype(np.float32)


def surroundings(rng, scale):
    """What shows around the plate: bumper or holder, often with a dealer's lettering below."""
    out = np.full((HEIGHT * scale, WIDTH * scale), rng.uniform(0, 0.9), np.float32)
    if rng.random() < 0.5:
        out += effects.smooth_field(rng, out.shape, (3, 8)) - 0.5
    if rng.random() < 0.5:  # small strokes stand for small letters
        tone, top = float(rng.uniform(0, 1)), int(rng.uniform(0.78, 0.95) * HEIGHT * scale)
        for x in np.cumsum(rng.integers(3, 9, int(rng.integers(5, 40)))) + int(rng.integers(0, WIDTH)):
            cv2.line(
                out,
                (int(x), top),
                (int(x) + int(rng.integers(-2, 3)), top + int(rng.integers(3, 9))),
                tone,
                int(rng.integers(1, 3)),
            )
    return out


def photographed(rng, face):
    """A stored face as the camera and the detector hand it over: 8-bit gray, 128x32."""
    light = rng.uniform(0.45, 1.0)
    picture = face.astype(np.float32) / 255 * light
    dark = light * rng.uniform(0.0, 0.4)
    picture = dark + picture * (1 - dark / light)
    draw = rng.random(9)
    if draw[0] < 0.5:
        picture *= np.linspace(rng.uniform(0.45, 1), rng.uniform(0.45, 1), FACE_W, dtype=np.float32)[None]
        picture *= np.linspace(rng.uniform(0.7, 1), rng.uniform(0.7, 1), FACE_H, dtype=np.float32)[:, None]
    if draw[1] < 0.12:  # hard shadow
        edge = rng.uniform(0, FACE_W, 2)
        polygon = np.int32([[0, 0], [edge[0], 0], [edge[1], FACE_H], [0, FACE_H]])
        mask = np.ones_like(picture)
        cv2.fillPoly(mask, [polygon], float(rng.uniform(0.4, 0.8)))
        picture *= mask
    if draw[2] < 0.35:  # dirt
        field = effects.smooth_field(rng, picture.shape, (int(rng.integers(2, 7)), int(rng.integers(4, 16))))
        cover = np.clip((field - 0.6) * rng.uniform(0.5, 2.2), 0, 0.8)
        picture = picture * (1 - cover) + rng.uniform(0.15, 0.6) * cover
    scale = 2
    matrix = cv2.getPerspectiveTransform(
        np.float32([[0, 0], [FACE_W, 0], [FACE_W, FACE_H], [0, FACE_H]]), crop_quad(rng) * scale
    )
    out = surroundings(rng, scale)
    cv2.warpPerspective(
        picture.astype(np.float32), matrix, (WIDTH * scale, HEIGHT * scale), dst=out, borderMode=cv2.BORDER_TRANSPARENT
    )
    width = (
        WIDTH * scale if draw[3] < 0.25 else int(rng.uniform(70, 220)) if draw[3] < 0.88 else int(rng.uniform(46, 72))
    )
    height = max(11, width * HEIGHT // WIDTH)
    if rng.random() < 0.2:  # seen from the side: fewer pixels across than down
        height = min(2 * HEIGHT, int(height * rng.uniform(1, 2.2)))
    out = cv2.resize(out, (width, height), interpolation=cv2.INTER_AREA)
    if draw[4] < 0.22:
        out = effects.motion(out, rng, 3 if width < 110 else rng.choice([3, 5, 7]))
    if draw[5] < 0.45:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 0.75) if width < 110 else rng.uniform(0.3, 1.6))
    gain = rng.uniform(0.14, 0.4) if draw[6] < 0.18 else rng.uniform(0.4, 1.15)
    out = out * gain + rng.uniform(-0.05, 0.3)
    out = effects.noise(out, rng, rng.uniform(0, 0.05) * min(1.0, 2 * gain))
    out = (np.clip(out, 0, 1) * 255).astype(np.uint8)
    if draw[7] < 0.4:
        out = effects.jpeg(out, rng.integers(20, 90))
    return cv2.resize(
        out, (WIDTH, HEIGHT), interpolation=(cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)[int(draw[8] * 3)]
    )


def to_input(pictures):
    """8-bit gray pictures -> tensor in -1..1, as the manifest says."""
    return torch.from_numpy(np.stack(pictures)[:, None].astype(np.float32) / 127.5 - 1)


def decode(logits):
    """Greedy CTC: the texts of a batch of logits."""
    texts = []
    for row in logits.argmax(-1).tolist():
        kept = [c for i, c in enumerate(row) if c != BLANK and (i == 0 or row[i - 1] != c)]
        texts.append("".join(ALPHABET[c] for c in kept))
    return texts


def real_crops(folder):
    """(pictures, texts) of labelled photographs, cut by their true boxes with the pipeline's margins."""
    folder, pictures, texts = pathlib.Path(folder), [], []
    for row in csv.DictReader((folder / "labels.csv").open()):
        if not row["text"]:
            continue
        image = cv2.imread(str(folder / "images" / row["image"]), cv2.IMREAD_GRAYSCALE)
        left, top, right, bottom = (int(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
        dx, dy = int((right - left) * MARGIN_X), int((bottom - top) * MARGIN_Y)
        crop = image[max(0, top - dy) : bottom + dy, max(0, left - dx) : right + dx]
        pictures.append(cv2.resize(crop, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
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


def measured(net, pictures, texts):
    """(share of plates read exactly, share of characters right: 1 - edits / characters)."""
    got = [text for batch in to_input(pictures).split(256) for text in decode(net(batch))]
    exact = float(np.mean([a == b for a, b in zip(got, texts, strict=False)]))
    return exact, 1 - sum(edit_distance(a, b) for a, b in zip(got, texts, strict=False)) / sum(len(t) for t in texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="scratch folder, outside the repository")
    parser.add_argument("--real", help="labelled photographs to measure on")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--faces", type=int, default=16000)
    parser.add_argument("--resume", help="weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = seed_everything(args.seed)
    cv2.setNumThreads(1)
    work = pathlib.Path(args.work)
    faces, texts = make_faces(work / f"plate_faces_{args.seed}.npz", args.faces, args.seed)
    held_out = max(1, len(faces) // 16)
    test_rng = np.random.default_rng(1000)
    tests = {"synthetic": ([photographed(test_rng, face) for face in faces[:held_out]], texts[:held_out])}
    if args.real:
        tests["real"] = real_crops(args.real)
    net = Reader(BLANK + 1)
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    print(f"{len(faces)} faces, {sum(p.numel() for p in net.parameters())} parameters")

    def loss_of_batch():
        chosen = rng.integers(held_out, len(faces), 64)
        inputs = to_input([photographed(rng, faces[i]) for i in chosen])
        wanted = [torch.tensor([ALPHABET.index(c) for c in texts[i]]) for i in chosen]
        with half_precision():
            logits = net(inputs)
        likelihood = F.log_softmax(logits.float(), -1).permute(1, 0, 2)
        steps = torch.full((64,), likelihood.shape[0])
        return F.ctc_loss(
            likelihood,
            torch.cat(wanted),
            steps,
            torch.tensor([len(w) for w in wanted]),
            blank=BLANK,
            zero_infinity=True,
        )

    def report(net):
        return ", ".join(
            "{}: {:.3f} exact, {:.4f} characters".format(name, *measured(net, *test)) for name, test in tests.items()
        )

    fit(
        net,
        loss_of_batch,
        minutes=args.minutes,
        peak_rate=args.rate,
        checkpoint=work / "plate_reader.pt",
        report=report,
    )


if __name__ == "__main__":
    main()
