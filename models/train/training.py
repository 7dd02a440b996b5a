"""The training loop every model shares: time-boxed, one thread, bfloat16 where the processor has it, a checkpoint at each report."""

import copy
import pathlib
import time

import numpy as np
import torch


def seed_everything(seed):
    """One thread and fixed seeds; floating-point order may still differ between processors."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def cosine_rate(peak, share_done, step, warm_up=100):
    """Learning rate: linear warm-up, then half a cosine down to a hundredth of the peak."""
    return peak * min(1.0, (step + 1) / warm_up) * (0.5 * (1 + np.cos(np.pi * min(1.0, share_done))) + 0.01)


def late_cosine_rate(peak, share_done, step, warm_up=100):
    """Learning rate: linear warm-up, the peak for six tenths of the time, then half a cosine down to a hundredth."""
    return cosine_rate(peak, max(0.0, (share_done - 0.6) / 0.4), step, warm_up)


class Average:
    """An exponential average of a network's weights (Polyak and Juditsky, 1992): steadier than the last step's."""

    def __init__(self, net, decay):
        self.net, self.decay, self.steps = copy.deepcopy(net).eval(), decay, 0

    @torch.no_grad()
    def update(self, net):
        """Takes in one step; the first ones count more, so that the start is soon forgotten."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mine, new in zip(self.net.state_dict().values(), net.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(new, 1 - decay)
            else:
                mine.copy_(new)


def fit(
    net,
    loss_of_batch,
    *,
    minutes,
    peak_rate,
    checkpoint,
    report=None,
    report_every_s=120,
    weight_decay=1e-3,
    rate=cosine_rate,
    average=None,
):
    """Trains `net` for `minutes`; `loss_of_batch()` draws a batch and returns its loss, `report(net)` a line to print.

    `rate` is the schedule. With `average` (a decay such as 0.999) the averaged weights are reported and saved instead.
    """
    averaged = Average(net, average) if average else None
    optimiser = torch.optim.AdamW(net.parameters(), peak_rate, weight_decay=weight_decay)
    checkpoint = pathlib.Path(checkpoint)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    started, last_report, step, smooth = time.monotonic(), 0.0, 0, None
    net.train()
    while (elapsed := time.monotonic() - started) < minutes * 60:
        for group in optimiser.param_groups:
            group["lr"] = rate(peak_rate, elapsed / (minutes * 60), step)
        loss = loss_of_batch()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        if averaged:
            averaged.update(net)
        step += 1
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if elapsed - last_report > report_every_s:
            last_report = elapsed
            result = averaged.net if averaged else net
            print(f"{elapsed:.0f} s, step {step}, loss {smooth:.4f} {_reported(result, report)}", flush=True)
            torch.save(result.state_dict(), checkpoint)
    result = averaged.net if averaged else net
    print(f"done: {step} steps, loss {smooth:.4f} {_reported(result, report)}", flush=True)
    torch.save(result.state_dict(), checkpoint)


def _reported(net, report):
    if report is None:
        return ""
    training = net.training
    net.eval()
    with torch.no_grad():
        line = report(net)
    net.train(training)
    return line


def half_precision():
    """bfloat16 for the forward pass: about twice as fast on processors with AVX512-BF16, harmless elsewhere."""
    return torch.autocast("cpu", torch.bfloat16)
