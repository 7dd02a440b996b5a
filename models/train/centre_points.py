"""Detection by centre points: what a detector is to answer, its loss, and how its answer is read.

An object is `(points, box)`: corner or landmark points [n,2] and left-top-right-bottom, both in pixels. On a grid of
`STRIDE` pixels the heat map peaks at the middle of the box; around the peak the points and the four distances to the
box's sides are given relative to the cell's centre, divided by `POINT_SCALE`. The Rust side decodes the same way.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from plates import effects

STRIDE, POINT_SCALE = 8, 32.0


def box_of(points):
    """Left, top, right, bottom of some points."""
    return np.concatenate([points.min(0), points.max(0)])


def target(objects, size, points, near=1, cut=0.0):
    """(heat map [n,n], regression [2*points+4,n,n], weight [n,n]) for a square picture of `size` pixels.

    The points are learnt in the cells up to `near` from the peak. Objects of which less than the share `cut` lies in the
    picture are not to be found: their middle is neither rewarded nor much punished.
    """
    n = size // STRIDE
    heat, weight = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    regression = np.zeros((2 * points + 4, n, n), np.float32)
    yy, xx = np.mgrid[:n, :n].astype(np.float32)
    for at, box in objects:
        middle = (box[:2] + box[2:]) / 2 / STRIDE - 0.5
        x, y = int(round(float(middle[0]))), int(round(float(middle[1])))
        if not (0 <= x < n and 0 <= y < n):
            continue
        width, height = (box[2:] - box[:2]) / STRIDE
        spread_x, spread_y = max(0.55, width / 8), max(0.55, height / 7)
        bump = np.exp(-((xx - middle[0]) ** 2 / (2 * spread_x**2) + (yy - middle[1]) ** 2 / (2 * spread_y**2)))
        if seen(box, size) < cut:
            heat = np.maximum(heat, 0.9 * bump)
            continue
        bump[y, x] = 1
        heat = np.maximum(heat, bump)
        for row in range(max(0, y - near), min(n, y + near + 1)):
            for column in range(max(0, x - near), min(n, x + near + 1)):
                if bump[row, column] > 0.3 and bump[row, column] > weight[row, column]:
                    cell = np.array([(column + 0.5) * STRIDE, (row + 0.5) * STRIDE])
                    sides = np.concatenate([cell - box[:2], box[2:] - cell])
                    regression[:, row, column] = np.concatenate([(at - cell).ravel(), sides]) / POINT_SCALE
                    weight[row, column] = bump[row, column]
    return heat, regression, weight


def seen(box, size):
    """The share of a box that lies in a square picture of `size` pixels."""
    inside = np.clip(np.minimum(box[2:], size) - np.maximum(box[:2], 0), 0, None)
    return float(inside.prod() / max(1e-6, (box[2:] - box[:2]).prod()))


def focal_loss(logits, heat):
    """Penalty-reduced focal loss of a heat map [b,1,n,n] (CornerNet, Law and Deng 2018)."""
    p = torch.sigmoid(logits.float()[:, 0]).clamp(1e-4, 1 - 1e-4)
    peak = heat.ge(0.999).float()
    found = peak * (1 - p) ** 2 * p.log()
    quiet = (1 - peak) * (1 - heat) ** 4 * p**2 * (1 - p).log()
    return -(found + quiet).sum() / peak.sum().clamp(min=1)


def loss(outputs, heat, regression, weight, precision=12.0):
    """The focal loss plus, near the peaks, smooth L1 times `precision` on points and box."""
    got = torch.cat([o.float() for o in outputs[1:]], 1)
    off = F.smooth_l1_loss(got, regression[:, : got.shape[1]], reduction="none", beta=0.1).mean(1)
    return focal_loss(outputs[0], heat) + precision * (off * weight).sum() / weight.sum().clamp(min=1)


def corner_loss(points, regression, weight, fine=0.6):
    """How far corners [b,8,n,n] are off, in shares of the plate's height; linear beyond `fine` pixels.

    A reader loses by corners that are off by a share of the character's height, whatever the plate's size: so pixels count
    for more on a small plate. Eight pixels are added to the height, since no corner is found to a tenth of a pixel.
    """
    count = points.shape[1]
    corners = regression[:, :count].unflatten(1, (count // 2, 2))
    sides = torch.stack([corners[:, 3] - corners[:, 0], corners[:, 2] - corners[:, 1]])
    height = POINT_SCALE * sides.norm(dim=2).mean(0) + 8
    off = F.smooth_l1_loss(points.float(), regression[:, :count], reduction="none", beta=fine / POINT_SCALE).mean(1)
    return (off * POINT_SCALE / height * weight).sum() / weight.sum().clamp(min=1)


def to_input(pictures):
    """8-bit or float BGR pictures of one size -> tensor in -1..1, as the manifest says."""
    stacked = np.stack(pictures).astype(np.float32) / 127.5 - 1
    return torch.from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)))


def letterbox(picture, max_side):
    """(picture scaled so that its longer side is `max_side`, top-left on grey to multiples of 32; the scale)."""
    height, width = picture.shape[:2]
    scale = max_side / max(height, width)
    flag = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=flag)
    boxed = np.full((-(-small.shape[0] // 32) * 32, -(-small.shape[1] // 32) * 32, 3), 114, np.uint8)
    boxed[: small.shape[0], : small.shape[1]] = small
    return boxed, scale


def overlap(a, b):
    """Intersection over union of two boxes."""
    size = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (size <= 0).any():
        return 0.0
    inner = float(size.prod())
    return inner / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - inner)


def decode(outputs, threshold):
    """[(score, points, box)] of one picture, best first; peaks are 3x3 maxima, overlapping ones are dropped."""
    outputs = [np.asarray(o)[0] for o in outputs]
    score = 1 / (1 + np.exp(-outputs[0][0].astype(np.float32)))
    peaks = (cv2.dilate(score, np.ones((3, 3), np.uint8)) == score) & (score > threshold)
    found = []
    for y, x in zip(*np.where(peaks), strict=False):
        cell = np.array([(x + 0.5) * STRIDE, (y + 0.5) * STRIDE])
        points = outputs[1][:, y, x].reshape(-1, 2) * POINT_SCALE + cell
        if len(outputs) > 2:
            sides = outputs[2][:, y, x] * POINT_SCALE
            box = np.concatenate([cell - sides[:2], cell + sides[2:]])
        else:
            box = box_of(points)
        found.append((float(score[y, x]), points, box))
    kept = []
    for one in sorted(found, key=lambda f: -f[0]):
        if all(overlap(one[2], other[2]) < 0.3 for other in kept):
            kept.append(one)
    return kept


def detect(run, picture, max_side, threshold):
    """Detections in the picture's own pixels; `run(tensor [1,3,h,w])` returns the outputs."""
    boxed, scale = letterbox(picture, max_side)
    return [(s, points / scale, box / scale) for s, points, box in decode(run(to_input([boxed])), threshold)]


def by_torch(net):
    """A `run` for `detect` from a network."""

    def run(tensor):
        with torch.no_grad():
            return [o.numpy() for o in net(tensor)]

    return run


def worsened(rng, picture, by_day=True):
    """Light, focus, motion, noise and compression of a random camera; 8-bit result. Not `by_day`: dark already."""
    draw = rng.random(7)
    if draw[0] < 0.3:
        picture = picture.mean(2, keepdims=True).repeat(3, 2)
    mean = picture.mean()
    night = by_day and draw[1] < 0.08
    picture = (picture - mean) * rng.uniform(0.5, 1.3) + mean * (
        rng.uniform(0.12, 0.45) if night else rng.uniform(0.5, 1.35)
    )
    if draw[2] < 0.35:
        picture = effects.defocus(picture, rng.uniform(0.3, 1.4))
    if draw[3] < 0.15:
        picture = effects.motion(picture, rng, rng.choice([3, 3, 5]))  # an even length would shift the picture
    if draw[4] < 0.3:
        picture = picture * np.float32(rng.uniform(0.85, 1.15, 3))
    picture = effects.noise(picture, rng, rng.uniform(0, 9))
    picture = effects.to_bytes(picture)
    return effects.jpeg(picture, rng.integers(30, 92)) if draw[5] < 0.35 else picture


class Pool:
    """Pictures drawn from many times, each time cropped and lit anew; with every batch a few are replaced by new ones.

    `near` and `cut` are those of `target`.
    """

    def __init__(self, make, count, size, points, rng, fresh=2, near=1, cut=0.0):
        self.make, self.size, self.points, self.rng, self.fresh = make, size, points, rng, fresh
        self.aim = {"near": near, "cut": cut}
        self.made = [make(rng) for _ in range(count)]

    def batch(self, count):
        """(input, heat, regression, weight) tensors."""
        for i in self.rng.integers(0, len(self.made), self.fresh):
            self.made[i] = self.make(self.rng)
        pictures, targets = [], []
        for i in self.rng.integers(0, len(self.made), count):
            picture, objects = self.made[i]
            spare = picture.shape[0] - self.size
            x, y = (int(v) for v in self.rng.integers(0, spare + 1, 2))
            cut = picture[y : y + self.size, x : x + self.size].astype(np.float32)
            cut = (cut - 128) * self.rng.uniform(0.75, 1.25) + 128 + self.rng.uniform(-25, 25)
            pictures.append(np.clip(cut, 0, 255))
            offset = np.array([x, y], np.float32)
            moved = [(at - offset, box - np.tile(offset, 2)) for at, box in objects]
            targets.append(target(moved, self.size, self.points, **self.aim))
        return (to_input(pictures), *(torch.from_numpy(np.stack(part)) for part in zip(*targets, strict=False)))
