"""Likelihoods of texts under CTC logits (Graves et al., 2006), as the Rust reader computes them: used to calibrate its threshold."""

import math

import numpy as np


def log_softmax(logits):
    """Row-wise, numpy."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _add(a, b):
    if a == -math.inf:
        return b
    if b == -math.inf:
        return a
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def _put(beams, prefix, in_blank, in_symbol):
    old = beams.get(prefix, (-math.inf, -math.inf))
    beams[prefix] = (_add(old[0], in_blank), _add(old[1], in_symbol))


def hypotheses(log_probs, blank, width=8):
    """Prefix beam search: [(classes, log likelihood)] best first; `log_probs` [T,C]."""
    beams = {(): (0.0, -math.inf)}  # prefix -> log probability ending in blank, not ending in blank
    for row in log_probs:
        likely = [c for c in np.argsort(row)[::-1][:6].tolist() if row[c] > -14]
        following = {}
        for prefix, (in_blank, in_symbol) in beams.items():
            total = _add(in_blank, in_symbol)
            for c in likely:
                p = float(row[c])
                if c == blank:
                    _put(following, prefix, total + p, -math.inf)
                elif prefix and c == prefix[-1]:
                    _put(following, prefix, -math.inf, in_symbol + p)
                    _put(following, (*prefix, c), -math.inf, in_blank + p)
                else:
                    _put(following, (*prefix, c), -math.inf, total + p)
        beams = dict(sorted(following.items(), key=lambda item: -_add(*item[1]))[:width])
    return [(prefix, _add(*pair)) for prefix, pair in sorted(beams.items(), key=lambda item: -_add(*item[1]))]


def margins(log_probs, blank):
    """(best classes, how much likelier they are than the second best, nats)."""
    found = hypotheses(log_probs, blank)
    return found[0][0], found[0][1] - (found[1][1] if len(found) > 1 else -30.0)
