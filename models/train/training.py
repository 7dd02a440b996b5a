"""The training loop every model shares: time-boxed, one thread, bfloat16 where the processor has it, a checkpoint at each report."""

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


def fit(net, loss_of_batch, *, minutes, peak_rate, checkpoint, report=None, report_every_s=120, weight_decay=1e-3):
    """Trains `net` for `minutes`; `loss_of_batch()` draws a batch and returns its loss, `report(net)` a line to print."""
    optimiser = torch.optim.AdamW(net.parameters(), peak_rate, weight_decay=weight_decay)
    checkpoint = pathlib.Path(checkpoint)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    started, last_report, step, smooth = time.monotonic(), 0.0, 0, None
    net.train()
    while (elapsed := time.monotonic() - started) < minutes * 60:
        for group in optimiser.param_groups:
            group["lr"] = cosine_rate(peak_rate, elapsed / (minutes * 60), step)
        loss = loss_of_batch()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if elapsed - last_report > report_every_s:
            last_report = elapsed
            print(f"{elapsed:.0f} s, step {step}, loss {smooth:.4f} {_reported(net, report)}", flush=True)
            torch.save(net.state_dict(), checkpoint)
    print(f"done: {step} steps, loss {smooth:.4f} {_reported(net, report)}", flush=True)
    torch.save(net.state_dict(), checkpoint)


def _reported(net, report):
    if report is None:
        return ""
    net.eval()
    with torch.no_grad():
        line = report(net)
    net.train()
    return line


def half_precision():
    """bfloat16 for the forward pass: about twice as fast on processors with AVX512-BF16, harmless elsewhere."""
    return torch.autocast("cpu", torch.bfloat16)
