"""The public face embedder that the base pack's learns from, with what it thinks on the way."""

import numpy as np
import onnx
import torch

from faces_data import session

# Names of maps in the graph of face-reidentification-retail-0095 (Open Model Zoo, Apache-2.0) where its resolution
# changes or two residual blocks end, and of its vector; shapes as `nets.Embedder` lists them.
STAGES = ("430", "494", "509", "541", "573", "605", "620", "652", "658")


class Teacher:
    """`teacher(pictures)`: RGB [n,3,128,128] in -1..1 -> a list of the maps `STAGES`, the last one the raw vectors."""

    def __init__(self, path):
        model = onnx.load(path)
        kept = [output.name for output in model.graph.output]
        for name in STAGES:
            if name not in kept:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        # the file is for one face at a time; nothing in the graph needs that
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "faces"
        for output in model.graph.output:
            for dimension in output.type.tensor_type.shape.dim[:1]:
                dimension.dim_param = "faces"
        del model.graph.value_info[:]
        self.session = session(model.SerializeToString())
        self.input = self.session.get_inputs()[0].name

    def __call__(self, pictures):
        bgr = ((pictures.numpy()[:, ::-1] + 1) * 127.5).astype(np.float32)
        *maps, vectors = self.session.run(list(STAGES), {self.input: np.ascontiguousarray(bgr)})
        return [torch.from_numpy(m) for m in maps] + [torch.from_numpy(vectors.reshape(len(vectors), -1))]
