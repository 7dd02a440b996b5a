"""How sure a reading must be: the margin between the best and the second best text that a plate grammar allows, and what it is worth.

A reading is taken when ln P(best) - ln P(second best) reaches the threshold. Measured on drawn plates the training never saw, because
photographs with known plates are hundreds and the rate asked for is one in ten thousand.
"""

import dataclasses
import math

import numpy as np

from ctc import Grammar, log_softmax, read

RATE = 1e-4  # wrong texts accepted, per read
CONFIDENCE = 0.95


@dataclasses.dataclass
class Threshold:
    """The threshold in nats, and what happens at it: counts of wrong and right readings taken among `reads`."""

    nats: float
    wrong: int
    right: int
    reads: int

    @property
    def interval(self):
        """Two-sided interval of the rate of wrong readings taken (Clopper and Pearson, 1934)."""
        return clopper_pearson(self.wrong, self.reads, CONFIDENCE)

    @property
    def missed(self):
        """Share of plates not read, or not read surely enough, in one frame."""
        return 1 - self.right / self.reads


def _binomial_below(k, n, p):
    """P(X <= k) of a binomial with few events."""
    term, total = n * math.log1p(-p), 0.0
    for i in range(k + 1):
        total += math.exp(term)
        term += math.log((n - i) / (i + 1)) + math.log(p) - math.log1p(-p)
    return min(1.0, total)


def clopper_pearson(k, n, confidence):
    """Exact interval for `k` events of `n`, by bisection."""
    tail = (1 - confidence) / 2

    def solve(falls, wanted):
        low, high = 1e-12, 1 - 1e-12
        for _ in range(80):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if falls(middle) > wanted else (low, middle)
        return high

    upper = solve(lambda p: _binomial_below(k, n, p), tail)
    lower = 0.0 if k == 0 else solve(lambda p: _binomial_below(k - 1, n, p), 1 - tail)
    return lower, upper


def margins(logits, texts, grammar=None):
    """(right [n] bool, margin [n] nats) of readings among the texts of `grammar` (GOST's by default)."""
    grammar = grammar or Grammar()
    right, margin = [], []
    for row, text in zip(log_softmax(logits), texts, strict=True):
        best, _, gap = read(row, grammar)
        right.append(best == text)
        margin.append(gap)
    return np.array(right), np.array(margin)


def threshold_at(right, margin, rate=RATE):
    """The least threshold at which at most `rate` of all reads are wrong texts taken for right."""
    allowed = int(rate * len(right))
    wrong = np.sort(margin[~right])[::-1]
    nats = math.ceil(float(wrong[allowed]) * 10 + 1e-6) / 10 if len(wrong) > allowed else 0.0
    taken = margin >= nats
    return Threshold(nats, int((taken & ~right).sum()), int((taken & right).sum()), len(right))


def report(right, margin):
    """Lines of text: the distribution of the margin for right and wrong reads, thresholds and misses at several rates."""
    quantiles = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    lines = [f"{len(right)} reads, {right.mean():.4f} of them right"]
    for name, chosen in (("right", margin[right]), ("wrong", margin[~right])):
        if len(chosen):
            values = " ".join(f"{q:.2f}: {np.quantile(chosen, q):.2f}" for q in quantiles)
            lines.append(f"margin of {name} reads, nats, by quantile: {values}; most {chosen.max():.2f}")
    for rate in (1e-2, 1e-3, RATE):
        at = threshold_at(right, margin, rate)
        low, high = at.interval
        lines.append(
            f"wrong at most {rate:g}: threshold {at.nats:.1f} nats, {at.wrong} wrong of {at.reads} "
            f"({at.wrong / at.reads:.2e}, {CONFIDENCE:.0%} interval {low:.1e} to {high:.1e}), missed {at.missed:.3f}"
        )
    return lines
