#!/usr/bin/env python3
"""The peer of Cardea's plate pipeline: ONNX Runtime and OpenCV, as one writes it in an afternoon.

Same models, same pictures, one thread: JPEG -> letterbox -> detector -> peaks -> rectified crop -> reader -> text. The first
argument is a JSON object with the models as their manifest describes them and the pictures' paths. For each line on standard
input it reads every picture once and answers with a line of JSON: the milliseconds of processor time, and the texts.
"""

import json
import sys
import time

import cv2
import numpy as np
import onnxruntime as ort

FILL = 114
MARGIN_X, MARGIN_Y = 0.03, 0.08
MAX_OVERLAP = 0.3
# a two-line plate: how much of its height belongs to each line, and which mean width over mean height says so
LINE_SHARE, ONE_LINE_ASPECT = 0.54, 2.4


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Model:
    def __init__(self, spec):
        self.spec = spec
        self.session = session(spec["file"])
        self.input = self.session.get_inputs()[0].name
        # OpenCV gives blue, green, red
        self.gray = spec["channels"] == "gray"
        self.flip = spec["channels"] == "rgb"
        self.mean = np.array(spec["mean"], np.float32)
        self.scale = 1.0 / np.array(spec["std"], np.float32)

    def tensor(self, picture):
        if self.gray:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None]
        elif self.flip:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        values = (picture.astype(np.float32) - self.mean) * self.scale
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def run(self, tensor, outputs=None):
        return self.session.run(outputs, {self.input: tensor})


class Detector(Model):
    def fit(self, picture):
        """The picture in the input's size, and by how much it was scaled."""
        height, width = picture.shape[:2]
        scale = self.spec["max_side"] / max(height, width)
        size = round(width * scale), round(height * scale)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        multiple = self.spec["multiple_of"]
        canvas = np.full((-(-size[1] // multiple) * multiple, -(-size[0] // multiple) * multiple, 3), FILL, np.uint8)
        canvas[: size[1], : size[0]] = small
        return canvas, scale

    def find(self, picture):
        """Quadrangles, best first."""
        canvas, scale = self.fit(picture)
        heat, points = self.run(self.tensor(canvas), ["heatmap", self.spec["points_output"]])
        heat, points = heat[0, 0], points[0]
        threshold = self.spec["threshold"]
        peaks = (heat >= np.log(threshold / (1 - threshold))) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
        rows, columns = np.nonzero(peaks)
        order = np.argsort(-heat[rows, columns])
        stride = self.spec["stride"]
        kept, boxes = [], []
        for row, column in zip(rows[order], columns[order]):
            centre = np.array([(column + 0.5) * stride, (row + 0.5) * stride])
            quad = (centre + points[:, row, column].reshape(4, 2) * self.spec["point_scale"]) / scale
            box = np.concatenate([quad.min(0), quad.max(0)])
            if all(overlap(box, other) < MAX_OVERLAP for other in boxes):
                kept.append(quad)
                boxes.append(box)
        return kept


class Reader(Model):
    def cut(self, picture, quad):
        """The plate seen from the front, with the margins the reader was trained with."""
        height, width = self.spec["size"]
        along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
        across = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
        right, down = MARGIN_X * along, MARGIN_Y * across
        wide = np.float32([quad[0] - right - down, quad[1] + right - down, quad[2] + right + down, quad[3] - right + down])
        if self.spec["two_line"] and np.linalg.norm(along) < ONE_LINE_ASPECT * np.linalg.norm(across):
            upper, lower = split(wide, 0, LINE_SHARE), split(wide, 1 - LINE_SHARE, 1)
            return np.hstack([warp(picture, line, (width // 2, height)) for line in (upper, lower)])
        return warp(picture, wide, (width, height))

    def read(self, crop):
        logits = self.run(self.tensor(crop))[0][0]
        text, previous = [], self.spec["blank"]
        for best in logits.argmax(1):
            if best not in (previous, self.spec["blank"]):
                text.append(self.spec["alphabet"][best - (best > self.spec["blank"])])
            previous = best
        return "".join(text)


def split(quad, top, bottom):
    """The part of a quadrangle between two shares of its height."""
    left, right = quad[3] - quad[0], quad[2] - quad[1]
    return np.float32([quad[0] + top * left, quad[1] + top * right, quad[1] + bottom * right, quad[0] + bottom * left])


def warp(picture, quad, size):
    width, height = size
    target = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    matrix = cv2.getPerspectiveTransform(quad, target)
    return cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def overlap(a, b):
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, 0) * max(height, 0)
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def main():
    setup = json.loads(sys.argv[1])
    cv2.setNumThreads(1)
    detector, reader = Detector(setup["detector"]), Reader(setup["reader"])
    files = [np.fromfile(path, np.uint8) for path in setup["pictures"]]
    for _ in sys.stdin:
        start = time.thread_time()
        texts = []
        for file in files:
            picture = cv2.imdecode(file, cv2.IMREAD_COLOR)
            texts.append([reader.read(reader.cut(picture, quad)) for quad in detector.find(picture)])
        elapsed = (time.thread_time() - start) * 1e3
        print(json.dumps({"cpu_ms": elapsed, "texts": texts}), flush=True)


if __name__ == "__main__":
    main()
