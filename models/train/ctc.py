"""CTC (Graves et al., 2006): greedy reading, likelihoods of texts, and the best texts a plate grammar allows.

The Rust side decodes the same way by itself; here it serves to measure and to calibrate.
"""

import math

import numpy as np

from plates.grammar import ALPHABET, GOST, LATIN_LETTERS, LETTERS

BLANK = len(ALPHABET)
_LETTER, _DIGIT = frozenset(LETTERS), frozenset("0123456789")
_ANY = frozenset(LATIN_LETTERS) | _DIGIT
SHAPES = tuple(dict.fromkeys(GOST.values()))


def log_softmax(logits):
    """Row-wise, numpy."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def greedy(logits):
    """The texts of a batch of logits [n,T,classes], each step's likeliest class."""
    texts = []
    for row in logits.argmax(-1).tolist():
        kept = [c for i, c in enumerate(row) if c != BLANK and (i == 0 or row[i - 1] != c)]
        texts.append("".join(ALPHABET[c] for c in kept))
    return texts


class Grammar:
    """The plate shapes in use as one automaton over characters; a state is what may still follow.

    `latin`: also 4 to 9 of A-Z and 0-9, as other countries have them; their log likelihood is lowered by `latin_cost`.
    """

    def __init__(self, latin=False, latin_cost=0.0):
        shapes = [(shape + "R" * n, 0.0) for shape in SHAPES for n in (2, 3)]
        shapes += [("A" * n, latin_cost) for n in range(4, 10)] if latin else []
        self.costs = [cost for _, cost in shapes]
        classes = {"L": _LETTER, "D": _DIGIT, "R": _DIGIT, "A": _ANY}
        self.shapes = [[classes[c] for c in shape] for shape, _ in shapes]
        self.start = frozenset(range(len(self.shapes)))
        self._steps = {}

    def step(self, alive, length, char):
        """The shapes still possible after `char` at place `length`."""
        key = (alive, length, char)
        if key not in self._steps:
            self._steps[key] = frozenset(
                i for i in alive if length < len(self.shapes[i]) and char in self.shapes[i][length]
            )
        return self._steps[key]

    def ends(self, alive, length):
        """The least cost of a shape that ends here, or None."""
        costs = [self.costs[i] for i in alive if len(self.shapes[i]) == length]
        return min(costs) if costs else None


def _add(a, b):
    if a == -math.inf:
        return b
    if b == -math.inf:
        return a
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def _put(beams, prefix, in_blank, in_symbol):
    old = beams.get(prefix, (-math.inf, -math.inf))
    beams[prefix] = (_add(old[0], in_blank), _add(old[1], in_symbol))


def hypotheses(log_probs, grammar=None, width=24, depth=8, least=-16.0):
    """Prefix beam search: [(text, log likelihood)] best first; `log_probs` [T,C]; only texts `grammar` allows, if given.

    Kept are `width` beginnings; each is continued by the `depth` likeliest classes of a step that are likelier than `least` (log)."""
    beams = {"": (0.0, -math.inf)}  # prefix -> log probability ending in blank, not ending in blank
    alive = {"": grammar.start} if grammar else {}
    for row in log_probs:
        likely = np.argpartition(row, -depth)[-depth:].tolist()
        if BLANK not in likely:
            likely.append(BLANK)
        likely = [(c, float(row[c])) for c in likely if row[c] > least]
        following = {}
        for prefix, (in_blank, in_symbol) in beams.items():
            total = _add(in_blank, in_symbol)
            for c, p in likely:
                if c == BLANK:
                    _put(following, prefix, total + p, -math.inf)
                    continue
                longer = prefix + ALPHABET[c]
                if longer[-2:-1] == longer[-1]:
                    _put(following, prefix, -math.inf, in_symbol + p)
                    into = in_blank + p
                else:
                    into = total + p
                if grammar:
                    if longer not in alive:
                        alive[longer] = grammar.step(alive[prefix], len(prefix), ALPHABET[c])
                    if not alive[longer]:
                        continue
                _put(following, longer, -math.inf, into)
        beams = dict(sorted(following.items(), key=lambda item: -_add(*item[1]))[:width])
    found = []
    for prefix, pair in beams.items():
        cost = grammar.ends(alive[prefix], len(prefix)) if grammar else 0.0
        if cost is not None and _add(*pair) > -math.inf:
            found.append((prefix, _add(*pair) - cost))
    return sorted(found, key=lambda item: -item[1])


def likelihood(log_probs, text):
    """ln P(text | picture): the CTC forward sum over all alignments; `log_probs` [T,C]."""
    symbols = [BLANK]
    for char in text:
        symbols += [ALPHABET.index(char), BLANK]
    symbols = np.array(symbols)
    skip = np.zeros(len(symbols), bool)
    skip[2:] = (symbols[2:] != BLANK) & (symbols[2:] != symbols[:-2])
    state = np.full(len(symbols), -np.inf)
    state[0] = log_probs[0, BLANK]
    if len(symbols) > 1:
        state[1] = log_probs[0, symbols[1]]
    for row in log_probs[1:]:
        before = np.concatenate([[-np.inf], state[:-1]])
        leap = np.where(skip, np.concatenate([[-np.inf, -np.inf], state])[: len(state)], -np.inf)
        state = np.logaddexp(np.logaddexp(state, before), leap) + row[symbols]
    return float(np.logaddexp(state[-1], state[-2] if len(state) > 1 else -np.inf))


def read(log_probs, grammar=None):
    """(best text, its log likelihood, how much likelier it is than the second best, nats); empty when nothing fits."""
    found = hypotheses(log_probs, grammar)
    if len(found) < 2:  # far from any plate, or very sure: look wider before saying so
        found = hypotheses(log_probs, grammar, 48, log_probs.shape[1], -40.0)
    if len(found) < 2:
        return (*found[0], 0.0) if found else ("", -math.inf, 0.0)
    return found[0][0], found[0][1], found[0][1] - found[1][1]


def vote(rows, grammar=None):
    """The best text over several crops of one plate, [(text, summed log likelihood)] best first; `rows`: log_probs of each."""
    texts = {text for row in rows for text, _ in hypotheses(row, grammar)[:5]}
    scored = [(text, sum(likelihood(row, text) for row in rows)) for text in texts]
    return sorted(scored, key=lambda item: -item[1])
