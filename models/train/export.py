"""Turns the trained weights into the pack: ONNX files, measured thresholds, `manifest.toml` with hashes.

    python export.py --work DIR --pack ../base --faces DIR --detector YUNET.onnx --real DIR

Every file is run once with ONNX Runtime and compared with torch. Thresholds are measured here, on data that training did not
see, and written with what they mean; the figures are printed for the cards.
"""

import argparse
import hashlib
import pathlib

import cv2
import numpy as np
import torch

import face_detector
import face_embedder
import plate_detector
import plate_reader
import quantize
import reader_threshold
from centre_points import POINT_SCALE, STRIDE, by_torch
from faces_data import ARCFACE_112, load_faces, session
from nets import CentrePoints, Embedder, Reader
from plate_crops import HEIGHT, WIDTH
from plates.grammar import ALPHABET
from training import seed_everything

OPSET = 13
FALSE_MATCH_RATE = 1e-3
ALARMS = 0.4  # per photograph, of the plate detector: each costs one reading, and the reader refuses nearly all
READER_MEANING = "margin: ln likelihood of the best text of a plate grammar less that of the second best, one frame"
READS = 20000  # drawn to measure the reader's threshold
GRID = tuple(round(0.2 + 0.05 * i, 2) for i in range(13))


def load(net, path):
    """Weights from a checkpoint, ready to answer."""
    net.load_state_dict(torch.load(path, map_location="cpu"))
    return net.eval()


def to_onnx(net, example, path, names, dynamic):
    """Writes the file and returns the largest difference between torch and ONNX Runtime on `example`."""
    inputs, outputs = names
    torch.onnx.export(
        net, example, str(path), opset_version=OPSET, input_names=inputs, output_names=outputs, dynamic_axes=dynamic
    )
    with torch.no_grad():
        wanted = net(example)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    got = session(path).run(None, {inputs[0]: example.numpy()})
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(got, wanted, strict=False))


def export_detector(net, path):
    """A centre-points detector with free height and width."""
    outputs = ["heatmap", "points"] + (["box"] if net.box is not None else [])
    axes = {"bgr": {2: "height", 3: "width"}, **{name: {2: "rows", 3: "columns"} for name in outputs}}
    return to_onnx(net, torch.rand(1, 3, 192, 320) * 2 - 1, path, (["bgr"], outputs), axes)


def best_threshold(measured, alarm_cost):
    """The threshold with the best recall less `alarm_cost` per false alarm and picture."""
    return max(measured, key=lambda t: measured[t][0] - alarm_cost * measured[t][1])


def entry(role, name, file, size_lines, channels, values, decode, threshold, fitness="demo"):
    """One [[model]] of the manifest. `fitness` is "production" only where the card's figures earn it."""
    kind, extra = decode
    value, meaning, false_match_rate = threshold
    rate = f"false_match_rate = {false_match_rate}\n" if false_match_rate else ""
    return f"""
[[model]]
id = "{name}"
role = "{role}"
fitness = "{fitness}"
file = "{file.name}"
sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"
licence = "MIT OR Apache-2.0"
source = "models/train/{file.stem}.py"
[model.input]
channels = "{channels}"
mean = {values}
std = {values}
{size_lines}
[model.decode]
kind = "{kind}"
{extra}
[model.threshold]
value = {value}
meaning = "{meaning}"
{rate}evaluation = "models/train/cards/{file.stem}.md"
"""


BYTES_3 = "[127.5, 127.5, 127.5]"


def dynamic(side):
    return f"multiple_of = 32\nmax_side = {side}"


def centre_points(points, second_look=False):
    again = "\nsecond_look = true" if second_look else ""
    return "centre-points", f"stride = {STRIDE}\npoint_scale = {POINT_SCALE}\npoints = {points}{again}"


def plate_models(args, pack, work):
    """Detector and reader of plates."""
    yield plate_detector_model(args, pack, work)
    yield plate_reader_model(args, pack, work)


def plate_detector_model(args, pack, work):
    """Detector of plates: exported in float, shipped in int8; its threshold measured on `args.real` with the file shipped."""
    exact, file = work / "plate_detector.onnx", pack / "plate_detector.onnx"
    net = load(plate_detector.network(), work / "plate_detector.pt")
    print(f"{file.name}: torch and ONNX Runtime differ by {export_detector(net, exact):.1e}")
    quantize.quantise(exact, file, quantize.SCENES)
    real, measured = plate_detector.Photographs(args.real), {}
    for name, path in {"float32": exact, "int8": file}.items():
        measured = real.measure(quantize.by_session(session(path)), GRID)
        print("\n".join(f"  {name} {line}" for line in plate_detector.lines(measured)))
    value = min(threshold for threshold, (_, alarms, _) in measured.items() if alarms <= ALARMS)
    print(f"  threshold {value}")
    return entry(
        "plate-detector",
        "cardea-plate-detector-2",
        file,
        dynamic(plate_detector.MAX_SIDE),
        "bgr",
        BYTES_3,
        centre_points(4, second_look=True),
        (value, "peak probability", None),
    )


def plate_reader_model(args, pack, work):
    """Reader of plates: exported for one plate at a time, its threshold measured on plates drawn for that."""
    file = pack / "plate_reader.onnx"
    net = load(Reader(len(ALPHABET) + 1), work / "plate_reader.pt")
    example = torch.rand(1, 1, HEIGHT, WIDTH) * 2 - 1
    print(f"{file.name}: differ by {to_onnx(net, example, file, (['gray'], ['logits']), None):.1e}")
    for name, (pictures, texts) in plate_reader.test_sets(args.real).items():
        exact, characters = plate_reader.measured(net, pictures, texts)
        print(f"  {name}: {len(texts)} plates, {exact:.3f} exact, {characters:.4f} of the characters")
    right, margin = plate_reader.drawn_margins(net, READS, seed=7001)
    print("\n".join("  " + line for line in reader_threshold.report(right, margin)))
    extra = f'alphabet = "{ALPHABET}"\nblank = {len(ALPHABET)}\ntwo_line = true'
    return entry(
        "plate-reader",
        "cardea-plate-reader-2",
        file,
        f"size = [{HEIGHT}, {WIDTH}]",
        "gray",
        "[127.5]",
        ("ctc", extra),
        (reader_threshold.threshold_at(right, margin).nats, READER_MEANING, reader_threshold.RATE),
    )


def face_models(args, pack, work):
    """Detector and embedder of faces."""
    file = pack / "face_detector.onnx"
    net = load(CentrePoints(5, True), work / "face_detector.pt")
    print(f"{file.name}: torch and ONNX Runtime differ by {export_detector(net, file):.1e}")
    faces = load_faces(args.faces, args.detector, work / "faces.pkl")
    portraits = face_detector.Portraits(args.faces, faces, True).all[:300]
    measured = face_detector.measure(by_torch(net), portraits, GRID, face_detector.MAX_SIDE)
    value = best_threshold(measured, 1.0)
    for threshold, (recall, extra, error) in measured.items():
        print(
            f"  {threshold}: recall {recall:.3f}, {extra:.3f} extra per picture, landmarks {error:.3f}{'  <-' if threshold == value else ''}"
        )
    yield entry(
        "face-detector",
        "cardea-face-detector-1",
        file,
        dynamic(face_detector.MAX_SIDE),
        "bgr",
        BYTES_3,
        centre_points(5),
        (value, "peak probability", None),
    )

    file = pack / "face_embedder.onnx"
    net = load(Embedder(), work / "face_embedder.pt")
    axes = {"rgb": {0: "faces"}, "embedding": {0: "faces"}}
    print(
        f"{file.name}: differ by {to_onnx(net, torch.rand(2, 3, 112, 112) * 2 - 1, file, (['rgb'], ['embedding']), axes):.1e}"
    )
    test = face_embedder.TestPeople(args.faces, args.detector, work)
    with torch.no_grad():
        genuine, impostor = test.scores(net)
    print(
        f"  {len(test.names)} photographs, {len(genuine)} genuine and {len(impostor)} impostor pairs of unseen people"
    )
    for rate in (1e-2, 1e-3, 1e-4):
        missed, at = face_embedder.false_non_match(genuine, impostor, rate)
        print(f"  FMR {rate}: threshold {at:.3f}, FNMR {missed:.3f}")
    value = round(face_embedder.false_non_match(genuine, impostor, FALSE_MATCH_RATE)[1] + 5e-4, 3)
    points = ", ".join(f"[{x:.4f}, {y:.4f}]" for x, y in ARCFACE_112)
    # templates carry the id, and vectors of two trainings do not compare: so the id says which weights
    name = f"cardea-face-embedder-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    yield entry(
        "face-embedder",
        name,
        file,
        "size = [112, 112]",
        "rgb",
        BYTES_3,
        ("embedding", f"template = [{points}]"),
        (value, "cosine", FALSE_MATCH_RATE),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("work", "pack", "faces", "detector", "real"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--version", default="0.2.0")
    args = parser.parse_args()
    seed_everything(0)
    cv2.setNumThreads(1)
    pack, work = pathlib.Path(args.pack), pathlib.Path(args.work)
    models = [*plate_models(args, pack, work), *face_models(args, pack, work)]
    head = f"""# Written by models/train/export.py; do not edit by hand.
[pack]
name = "base"
version = "{args.version}"
licence = "MIT OR Apache-2.0"
description = "Cardea's own first models: trained on drawn plates and by distillation. Rough; see models/train/cards."
"""
    (pack / "manifest.toml").write_text(head + "".join(models))


if __name__ == "__main__":
    main()
