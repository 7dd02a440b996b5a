"""What plates can carry: the texts of every kind drawn, as patterns of `L` (a letter GOST uses), `D` (a digit), `R` (the region code).

Kinds follow GOST R 50577-2018: type 1 cars, 1A cars with a square place, 1B (written with a Cyrillic letter) taxis and buses, 2 trailers,
3 tractors, 4 motorcycles, 20 police. `LATIN` patterns are those of other countries: `A` any letter, `D` a digit; blanks, hyphens and
colons (the place of stickers) are drawn but are no part of the text.
"""

import re

LETTERS = "ABEKMHOPCTYX"
DIGITS = "0123456789"
LATIN_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALPHABET = DIGITS + LATIN_LETTERS  # the reader's classes, in the order of the pack manifest
TYPE_1 = re.compile(rf"([{LETTERS}])([0-9]{{3}})([{LETTERS}]{{2}})([0-9]{{2,3}})")

# Texts of the kinds of GOST R 50577-2018, without the region code that follows.
GOST = {
    "type1": "LDDDLL", "type1a": "LDDDLL", "taxi": "LLDDD", "taxi2": "LLDDD", "trailer": "LLDDDD", "trailer2": "LLDDDD",
    "moto": "DDDDLL", "tractor": "DDDDLL", "police": "LDDDD",
}  # fmt: skip

# Country sign -> patterns in use there (its neighbours' plates are alike).
LATIN = {
    "D": ("A:ADDDD", "AA:ADDD", "AA:AADDD", "AAA:ADDD", "AAA:AADD", "A:AADDDD", "AA:AADDDD"),
    "PL": ("AA DDDDD", "AAA DDDD", "AAA ADDD", "AA DDDDA", "AAA DDDDD"),
    "F": ("AA-DDD-AA",), "I": ("AA DDDAA",), "E": ("DDDD AAA",), "P": ("DD-AA-DD", "DD-DD-AA", "AA DD AA"),
    "NL": ("DD-AAA-D", "D-AAA-DD", "AA-DDD-A", "DD-AA-AA"), "GB": ("AADD AAA",), "B": ("D-AAA-DDD", "AAA-DDD"),
    "CZ": ("DAD DDDD", "DAA DDDD"), "SK": ("AA-DDDAA",), "A": ("AA DDDDA", "A DDDDDA", "AA DDDAA"), "H": ("AAA-DDD", "AA AA-DDD"),
    "S": ("AAA DDD", "AAA DDA"), "FIN": ("AAA-DDD",), "EST": ("DDD AAA",), "LV": ("AA-DDDD", "AA-DDD"), "LT": ("AAA DDD",),
    "RO": ("AA DD AAA", "A DDD AAA"), "BG": ("AA DDDD AA", "A DDDD AA"), "UA": ("AA DDDD AA",), "BY": ("DDDD AA-D",),
    "KZ": ("DDD AAA DD", "DDD AA DD"), "GE": ("AA-DDD-AA",), "AM": ("DD AA DDD",), "DK": ("AA DD DDD",), "N": ("AA DDDDD",),
    "CH": ("AA DDDDDD", "AA DDDDD", "AA DDDD"),
}  # fmt: skip

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


def split_region(kind, text):
    """(text before the region code, region code) of a GOST kind; raises ValueError when the text does not fit it."""
    shape = GOST[kind]
    series, region = text[: len(shape)], text[len(shape) :]
    fits = len(series) == len(shape) and all(
        c in (LETTERS if s == "L" else DIGITS) for c, s in zip(series, shape, strict=True)
    )
    if not fits or not re.fullmatch("[0-9]{2,3}", region):
        example = shape.replace("L", "A").replace("D", "1") + "77"
        raise ValueError(f"{text!r} is no {kind} plate: expected e.g. {example}, letters from {LETTERS}")
    return series, region


def _filled(pattern, rng, letters):
    return "".join(rng.choice(list(DIGITS if c == "D" else letters)) if c in "DLA" else c for c in pattern)


def random_region(rng):
    """Mostly real region codes, sometimes any two or three digits, so that none is learnt by heart."""
    draw = rng.random()
    if draw < 0.35:
        return f"{rng.integers(1, 100):02d}"
    if draw < 0.6:
        return str(rng.choice(LONG_REGIONS))
    return "".join(rng.choice(list(DIGITS), int(rng.integers(2, 4))))


def random_text(rng, kind="type1"):
    """A random text of one of the kinds in `GOST`."""
    return _filled(GOST[kind], rng, LETTERS) + random_region(rng)


def random_latin(rng, country=None):
    """(pattern filled in, with its separators; the country's sign). A tenth fits no country, so that none is learnt by heart."""
    sign = country or str(rng.choice(list(LATIN)))
    if country is None and rng.random() < 0.1:
        length = int(rng.integers(4, 10))
        return _filled("".join(rng.choice(list("AD"), length)), rng, LATIN_LETTERS), sign
    return _filled(str(rng.choice(LATIN[sign])), rng, LATIN_LETTERS), sign


def bare(text):
    """A filled pattern without its separators."""
    return re.sub("[^0-9A-Z]", "", text)
