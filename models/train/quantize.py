"""The plate detector in int8, and whether that is worth it.

    python quantize.py --model ../base/plate_detector.onnx --out plate_detector_int8.onnx --real DIR [--threshold 0.45]

Static quantisation (QDQ, per channel, 8-bit activations and weights) calibrated on drawn scenes; the two heads stay in
float, since a corner is wanted to a fraction of a pixel. Prints recall, false alarms and overlap of both files on `--real`
and the median time of one 640x384 picture on one thread, the two taking turns.
"""

import argparse
import pathlib
import time

import cv2
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import plate_scenes
from centre_points import to_input
from faces_data import session
from plate_detector import Photographs, lines

FEW = 8  # channels of the widest head
SCENES = 128  # to calibrate on


class DrawnScenes(CalibrationDataReader):
    """`count` drawn scenes, one at a time."""

    def __init__(self, count, seed=7):
        rng = np.random.default_rng(seed)
        makers = (plate_scenes.far, plate_scenes.near)
        self.inputs = iter([to_input([makers[i % 4 == 3](rng, 384)[0]]).numpy() for i in range(count)])

    def get_next(self):
        """The next input by name, or None at the end."""
        following = next(self.inputs, None)
        return None if following is None else {"bgr": following}


def heads(graph):
    """Names of the nodes that stay in float: the two convolutions with few outputs, and all that comes after them."""
    widths = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    kept, values = [], set()
    for node in graph.node:  # in order of execution
        few = node.op_type == "Conv" and widths.get(node.input[1], FEW + 1) <= FEW
        if few or values & set(node.input):
            kept.append(node.name)
            values |= set(node.output)
    return kept


def quantise(source, target, count, method=CalibrationMethod.Entropy):
    """Writes the int8 twin of the detector at `source` to `target`, calibrated on `count` drawn scenes."""
    prepared = pathlib.Path(target).with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        DrawnScenes(count),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=heads(onnx.load(str(prepared)).graph),
        calibrate_method=method,
    )
    prepared.unlink()


def by_session(net):
    """A `run` for `centre_points.detect` from an ONNX Runtime session."""
    return lambda tensor: net.run(None, {"bgr": tensor.numpy()})


def medians(sessions, shape=(1, 3, 384, 640), rounds=200):
    """Median milliseconds of one run of each session, taking turns so that other work disturbs all alike."""
    picture = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    times = [[] for _ in sessions]
    for _ in range(rounds):
        for one, taken in zip(sessions, times, strict=True):
            started = time.perf_counter()
            one.run(None, {"bgr": picture})
            taken.append(1e3 * (time.perf_counter() - started))
    return [float(np.median(taken[rounds // 10 :])) for taken in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--threshold", type=float, default=0.45)
    parser.add_argument("--scenes", type=int, default=SCENES)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    quantise(args.model, args.out, args.scenes)
    files = {"float32": args.model, "int8": args.out}
    sessions = {name: session(file) for name, file in files.items()}
    times = dict(zip(sessions, medians(list(sessions.values())), strict=True))
    real = Photographs(args.real)
    for name, one in sessions.items():
        (line,) = lines(real.measure(by_session(one), (args.threshold,)))
        print(f"{name}: {line}, {times[name]:.2f} ms, {pathlib.Path(files[name]).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
