"""Weights of an exported network back into a network, to go on training where no checkpoint was kept.

The export has folded batch norms into the convolutions. Unfolding picks, for every batch norm, the scale and shift that
undo its normalisation on the pictures at hand: the network then answers as the file did, and goes on learning from there.
"""

import numpy as np
import onnx
import torch
import torch.nn as nn
from onnx import numpy_helper

from nets import Residual


def unfold(net, path, inputs):
    """Fills `net` with the weights of the ONNX file at `path`; `inputs` are typical inputs for the statistics.

    Convolutions are matched in the order of execution. Residual blocks that the file does not have begin as doing nothing.
    """
    graph = onnx.load(str(path)).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    kept = [[stored[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    order, hooks = [], []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            hooks.append(module.register_forward_hook(lambda m, i, o: order.append(m)))
    net.eval()
    with torch.no_grad():
        net(inputs[:1])
    for hook in hooks:
        hook.remove()
    norm_after = {order[i]: order[i + 1] for i in range(len(order) - 1) if isinstance(order[i + 1], nn.BatchNorm2d)}
    hooks, waiting, new = [], list(kept), set()
    for conv in (m for m in order if isinstance(m, nn.Conv2d)):
        norm = norm_after.get(conv)
        if not waiting or waiting[0][0].shape != tuple(conv.weight.shape) or conv.dilation != (1, 1):
            new.add(conv)
            continue
        weight, bias = (torch.from_numpy(np.array(part)) for part in waiting.pop(0))
        conv.weight.data.copy_(weight)
        if norm is None:
            conv.bias.data.copy_(bias)
        else:
            hooks.append(norm.register_forward_pre_hook(_undoing(bias)))
    if waiting:
        raise ValueError(f"{path}: {len(waiting)} of its {len(kept)} convolutions found no place in the network")
    for block in (m for m in net.modules() if isinstance(m, Residual)):
        last = block.body[-1]
        if last[0] in new:
            nn.init.zeros_(last[1].weight)
    with torch.no_grad():
        net(inputs)
    for hook in hooks:
        hook.remove()
    return net


def _undoing(bias):
    def set_up(norm, inputs):
        values = inputs[0].float()
        norm.running_mean.copy_(values.mean((0, 2, 3)))
        norm.running_var.copy_(values.var((0, 2, 3)))
        norm.weight.data.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.data.copy_(bias + norm.running_mean)

    return set_up
