"""The texts a type 1 plate can carry: letter, three digits, two letters, and a region code of two or three digits."""

import re

LETTERS = "ABEKMHOPCTYX"
DIGITS = "0123456789"
ALPHABET = DIGITS + LETTERS  # the reader's classes, in the order of the pack manifest
TYPE_1 = re.compile(rf"([{LETTERS}])([0-9]{{3}})([{LETTERS}]{{2}})([0-9]{{2,3}})")

# Three-digit codes in circulation; two-digit ones are 01..99.
LONG_REGIONS = (
    "102 113 116 121 122 123 124 125 126 130 134 136 138 142 147 150 152 154 155 156 158 159 161 163 164 173 174 "
    "177 178 180 181 184 185 186 188 190 193 196 197 198 199 250 252 277 550 702 716 725 750 754 761 763 774 777 "
    "790 797 799 977"
).split()


def split(text):
    """`A123BC77` -> (`A`, `123`, `BC`, `77`); raises ValueError with the reason when it is not a type 1 plate."""
    match = TYPE_1.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a type 1 plate: expected e.g. A123BC77, letters from {LETTERS}")
    return match.groups()


def random_text(rng):
    """A random plate. Mostly real region codes, sometimes any two or three digits, so that none is learnt by heart."""
    letters = "".join(rng.choice(list(LETTERS), 3))
    digits = "".join(rng.choice(list(DIGITS), 3))
    draw = rng.random()
    if draw < 0.35:
        region = f"{rng.integers(1, 100):02d}"
    elif draw < 0.7:
        region = str(rng.choice(LONG_REGIONS))
    else:
        region = "".join(rng.choice(list(DIGITS), int(rng.integers(2, 4))))
    return letters[0] + digits + letters[1:] + region
