"""Cars seen face-on, from the front or from behind, drawn in millimetres on a sheet with its transparency.

Nothing aims at being pretty: what matters is that a plate sits where plates sit, in a bumper, a recess or a grille, with
lamps, bars, seams, chrome, lettering and reflections near it, light and dark, as a detector meets them.
"""

import cv2
import numpy as np

from .effects import smooth_field

CAR_WIDTH_MM, CAR_HEIGHT_MM = 1760, 1460
MAKERS_LETTERS = list("ABCDEFGHIKLMNOPRSTUVXYZ0123456789")
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
FINE_BITS = 4  # outlines are placed to a sixteenth of a pixel


class Sheet:
    """What is being drawn: BGR floats and their transparency, `scale` pixels per millimetre."""

    def __init__(self, rng, scale):
        self.rng, self.scale = rng, scale
        shape = (int(CAR_HEIGHT_MM * scale) + 2, int(CAR_WIDTH_MM * scale) + 2)
        self.picture, self.alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
        strength = rng.choice([0.03, 0.03, 0.12, 0.6])  # most cars are grey
        self.body = np.clip(rng.uniform(12, 240) * (1 + strength * rng.uniform(-1, 1, 3)), 4, 250)

    def pixels(self, millimetres):
        return np.rint(np.asarray(millimetres, np.float64) * self.scale * 2**FINE_BITS).astype(np.int32)

    def tone(self, factor, base=None):
        """A colour: the body's or `base`, brightened by `factor`."""
        return tuple(float(v) for v in np.clip((self.body if base is None else np.array(base)) * factor, 0, 255))

    def fill(self, millimetres, tone, opaque=False):
        at = [self.pixels(millimetres)]
        cv2.fillPoly(self.picture, at, tone, cv2.LINE_AA, FINE_BITS)
        if opaque:
            cv2.fillPoly(self.alpha, at, 1.0, cv2.LINE_8, FINE_BITS)

    def pair(self, millimetres, tone):
        """The same on both sides of the car."""
        self.fill(millimetres, tone)
        self.fill([[CAR_WIDTH_MM - x, y] for x, y in millimetres], tone)

    def line(self, start, end, tone, width):
        ends = (tuple(int(v) for v in self.pixels(p)) for p in (start, end))
        cv2.line(self.picture, *ends, tone, max(1, int(width * self.scale + 0.5)), cv2.LINE_AA, FINE_BITS)

    def disc(self, middle, radius, tone, width=-1):
        at = tuple(int(v) for v in self.pixels(middle))
        thick = -1 if width < 0 else max(1, int(width * self.scale + 0.5))
        cv2.circle(
            self.picture, at, int(radius * self.scale * 2**FINE_BITS), tone, thick, cv2.LINE_AA, FINE_BITS
        )

    def write(self, text, at, height, tone):
        """Lettering of `height` millimetres, its lower left corner at `at`."""
        place = tuple(int(v * self.scale) for v in at)
        pen = max(1, int(height / 7 * self.scale))
        size = height * self.scale / 21
        cv2.putText(self.picture, text, place, int(self.rng.choice(FONTS)), size, tone, pen, cv2.LINE_AA)


def car_sheet(rng, scale, plate=(520, 112)):
    """A car: (BGR float sheet, alpha, middle of its plate in millimetres), `scale` pixels per millimetre.

    `plate` is the width and height in millimetres of the plate that room is made for.
    """
    car = Sheet(rng, scale)
    rear = rng.random() < 0.5
    shoulder = float(rng.uniform(520, 640))
    _cabin(car, shoulder)
    middle = np.array([CAR_WIDTH_MM / 2, rng.uniform(730, 1150) if rear else rng.uniform(960, 1180)])
    if rng.random() < 0.15:
        middle[0] += rng.uniform(-420, 420)
    (_rear if rear else _front)(car, shoulder)
    _bumper(car)
    if rng.random() < 0.7:
        _recess(car, middle, plate)
    return _polished(car), car.alpha, middle


def _cabin(car, shoulder):
    """Wheels, the body's outline and the glass above the shoulder."""
    rng = car.rng
    for left in (110, 1410):
        wheel = [[left, 1250], [left + 240, 1250], [left + 240, 1455], [left, 1455]]
        car.fill(wheel, (22.0, 22.0, 22.0), opaque=True)
    inset = rng.uniform(60, 150) if rng.random() < 0.3 else rng.uniform(280, 460)  # vans stand upright
    left = [[60, shoulder + 40], [120 + inset / 4, shoulder], [inset, 70], [inset + 110, 15]]
    low = [[1755, shoulder + 220], [1740, 1260], [1640, 1320], [120, 1320], [20, 1260], [5, shoulder + 220]]
    right = [[CAR_WIDTH_MM - x, y] for x, y in reversed(left)]
    car.fill(left + right + low, car.tone(1.0), opaque=True)
    if rng.random() < 0.93:  # some vans have no window at the back
        glass = car.tone(rng.uniform(0.3, 2.2), (70, 62, 55))
        top, bottom = rng.uniform(80, 130), shoulder - rng.uniform(0, 60)
        edge = inset + 40
        car.fill([[edge - 60, bottom], [edge + 40, top], [1720 - edge, top], [1820 - edge, bottom]], glass)
        if rng.random() < 0.5:  # sky in the glass
            x = rng.uniform(edge, 1500 - edge / 2)
            shine = car.tone(rng.uniform(1.1, 3), glass)
            car.fill([[x, bottom], [x + 90, top], [x + rng.uniform(120, 500), top], [x + 200, bottom]], shine)


def _lamps(car, y, tone, core):
    rng = car.rng
    outer, inner = rng.uniform(20, 90), rng.uniform(250, 470)
    height = rng.uniform(70, 260)
    bend = rng.uniform(-60, 60, 3)
    shape = [[outer, y + bend[0]], [inner, y + bend[1] / 2], [inner - 30, y + height * 0.9], [outer + 20, y + height + bend[2]]]
    car.pair(shape, tone)
    for _ in range(int(rng.integers(1, 4))):  # parts of the lamp
        at = [rng.uniform(outer + 40, inner - 40), y + rng.uniform(0.25, 0.75) * height]
        bright = car.tone(rng.uniform(0.5, 1.3), core)
        for middle in (at, [CAR_WIDTH_MM - at[0], at[1]]):
            car.disc(middle, rng.uniform(20, 60), bright)
    if rng.random() < 0.5:  # ribs
        for x in np.arange(outer + 30, inner - 20, rng.uniform(14, 50)):
            for side in (x, CAR_WIDTH_MM - x):
                car.line([side, y + 15], [side, y + height * 0.85], car.tone(rng.uniform(0.6, 1.3), tone), 5)


def _front(car, shoulder):
    rng = car.rng
    car.line([120, shoulder + 60], [1640, shoulder + 60], car.tone(0.5), 8)
    _lamps(car, shoulder + rng.uniform(80, 220), car.tone(rng.uniform(0.4, 1.1), (215, 215, 210)), (255, 250, 240))
    if rng.random() < 0.85:
        top, height, reach = shoulder + rng.uniform(90, 230), rng.uniform(70, 330), rng.uniform(260, 420)
        _grille(car, top, height, reach)
    if rng.random() < 0.7:
        _badge(car, [CAR_WIDTH_MM / 2, shoulder + rng.uniform(60, 200)])
    if rng.random() < 0.35:
        _name(car, (rng.uniform(450, 800), shoulder + rng.uniform(60, 260)), rng.uniform(40, 110))


def _grille(car, top, height, reach):
    rng = car.rng
    left, right = CAR_WIDTH_MM / 2 - reach, CAR_WIDTH_MM / 2 + reach
    edge = rng.uniform(0, 60)
    shape = [[left, top], [right, top], [right - edge, top + height], [left + edge, top + height]]
    car.fill(shape, car.tone(rng.uniform(0.2, 0.5), (60, 60, 60)))
    bars, pitch = car.tone(rng.uniform(0.3, 1.5), (140, 140, 140)), rng.uniform(16, 60)
    width = pitch * rng.uniform(0.2, 0.5)
    style = rng.integers(0, 3)  # level, upright, both
    if style != 1:
        for y in np.arange(top + pitch / 2, top + height, pitch):
            car.line([left + edge, y], [right - edge, y], bars, width)
    if style != 0:
        for x in np.arange(left + edge + pitch / 2, right - edge, pitch):
            car.line([x, top + 8], [x, top + height - 8], bars, width)
    if rng.random() < 0.5:
        for start, end in zip(shape, shape[1:] + shape[:1], strict=True):
            car.line(start, end, car.tone(rng.uniform(0.7, 1.3), (190, 190, 190)), 14)


def _rear(car, shoulder):
    rng = car.rng
    red = car.tone(rng.uniform(0.6, 1.1), (40 * rng.random(), 50 * rng.random(), 210))
    _lamps(car, shoulder + rng.uniform(20, 250), red, (120, 150, 255) if rng.random() < 0.7 else (230, 230, 230))
    seam = shoulder + rng.uniform(300, 480)
    car.line([90, seam], [1670, seam], car.tone(0.35), 7)
    if rng.random() < 0.6:
        for x in (rng.uniform(250, 420),) * 2:
            car.line([x, shoulder], [x + 40, seam], car.tone(0.5), 6)
            car.line([CAR_WIDTH_MM - x, shoulder], [CAR_WIDTH_MM - x - 40, seam], car.tone(0.5), 6)
    if rng.random() < 0.5:  # a strip across
        y = shoulder + rng.uniform(60, 260)
        strip = rng.choice(["chrome", "red", "body"])
        base = {"chrome": (190, 190, 190), "red": (30, 30, 180), "body": None}[strip]
        height = rng.uniform(12, 60)
        car.fill([[420, y], [1340, y], [1340, y + height], [420, y + height]], car.tone(rng.uniform(0.6, 1.2), base))
    if rng.random() < 0.7:
        _badge(car, [CAR_WIDTH_MM / 2, shoulder + rng.uniform(40, 130)])
    for x in (rng.uniform(200, 480), rng.uniform(1150, 1400)):
        if rng.random() < 0.6:
            _name(car, (x, shoulder + rng.uniform(150, 420)), rng.uniform(28, 70))


def _badge(car, middle):
    """A maker's sign: a ring, a disc with something in it, a bar or a wing, in chrome."""
    rng = car.rng
    chrome, dark = car.tone(rng.uniform(0.6, 1.3), (190, 190, 190)), car.tone(rng.uniform(0.1, 0.8), (90, 60, 50))
    x, y = middle
    radius, style = rng.uniform(35, 90), rng.integers(0, 4)
    if style == 0:
        for k in range(rings := int(rng.integers(1, 5))):
            car.disc([x + (k - (rings - 1) / 2) * radius * 1.4, y], radius, chrome, rng.uniform(7, 16))
    elif style == 1:  # a bar across a block, a cross, a wing
        wide, high = radius * rng.uniform(1.5, 2.6), radius * rng.uniform(0.3, 0.5)
        car.fill([[x - wide, y - high], [x + wide, y - high], [x + wide * 0.9, y + high], [x - wide * 0.9, y + high]], chrome)
        tall, narrow = radius * rng.uniform(0.4, 0.9), radius * rng.uniform(0.3, 0.8)
        car.fill([[x - narrow, y - tall], [x + narrow, y - tall], [x + narrow, y + tall], [x - narrow, y + tall]], chrome)
    else:
        car.disc(middle, radius, chrome if style == 2 else dark)
        car.disc(middle, radius * rng.uniform(0.75, 0.9), dark if style == 2 else chrome)
        points = rng.uniform(-0.7, 0.7, (int(rng.integers(3, 8)), 2)) * radius + middle
        for start, end in zip(points[:-1], points[1:], strict=True):
            car.line(start, end, chrome if style == 2 else dark, radius * 0.2)


def _name(car, at, height):
    """A maker's or model's name in chrome or paint: letters, but no plate."""
    text = "".join(car.rng.choice(MAKERS_LETTERS, int(car.rng.integers(2, 11))))
    car.write(text, at, height, car.tone(car.rng.uniform(0.2, 1.3), (200, 200, 200)))


def _bumper(car):
    rng = car.rng
    top = rng.uniform(900, 1080)
    kind = rng.random()
    base = None if kind < 0.6 else (45, 45, 45) if kind < 0.85 else (185, 185, 185)  # painted, plastic, chrome
    tone = car.tone(rng.uniform(0.6, 1.05), base)
    car.fill([[12, top], [1748, top], [1738, 1250], [1640, 1318], [120, 1318], [22, 1250]], tone)
    car.line([15, top], [1745, top], car.tone(0.4), rng.uniform(6, 16))
    if rng.random() < 0.7:
        reach, height = rng.uniform(300, 620), rng.uniform(40, 150)
        low = 1300
        dark = (25.0, 25.0, 25.0)
        left, right = CAR_WIDTH_MM / 2 - reach, CAR_WIDTH_MM / 2 + reach
        car.fill([[left, low - height], [right, low - height], [right - 60, low], [left + 60, low]], dark)
        for y in np.arange(low - height + 20, low, rng.uniform(18, 45)):
            car.line([left + 40, y], [right - 40, y], car.tone(rng.uniform(0.5, 1.5), (60, 60, 60)), 6)
    if rng.random() < 0.6:  # fog lamps or reflectors
        x, y = rng.uniform(90, 240), rng.uniform(top + 60, 1240)
        lens = car.tone(rng.uniform(0.5, 1.2), (40, 40, 200) if rng.random() < 0.5 else (200, 200, 200))
        width, height = rng.uniform(60, 200), rng.uniform(24, 80)
        car.pair([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], lens)


def _recess(car, middle, plate):
    """The hollow or ledge that the plate sits in, darker or lighter than the body, sometimes with a chrome strip above."""
    rng = car.rng
    width, height = plate[0] / 2 * rng.uniform(1.04, 1.5), plate[1] / 2 * rng.uniform(1.1, 2.2)
    x, y = middle
    slant = rng.uniform(0, 60)
    tone = car.tone(rng.uniform(0.35, 1.15), None if rng.random() < 0.7 else (40, 40, 40))
    shape = [[x - width, y - height], [x + width, y - height], [x + width - slant, y + height], [x - width + slant, y + height]]
    car.fill(shape, tone)
    car.line(shape[0], shape[1], car.tone(rng.uniform(0.2, 0.7)), rng.uniform(8, 30))  # its shadow
    if rng.random() < 0.35:
        above = y - height - 20
        chrome = car.tone(rng.uniform(0.6, 1.3), (190, 190, 190))
        car.fill([[x - width, above - 30], [x + width, above - 30], [x + width, above + 10], [x - width, above + 10]], chrome)


def _polished(car):
    """The sheet under an uneven sky: bands along the body, a darker foot, mirrored clutter on glossy paint."""
    rng, (height, width) = car.rng, car.alpha.shape
    bands = cv2.resize(rng.uniform(0.7, 1.25, (7, 1)).astype(np.float32), (1, height), interpolation=cv2.INTER_CUBIC)
    across = cv2.resize(rng.uniform(0.8, 1.15, (1, 5)).astype(np.float32), (width, 1), interpolation=cv2.INTER_CUBIC)
    light = bands * across
    if rng.random() < 0.5:
        mirrored = smooth_field(rng, (height, width), (int(rng.integers(4, 14)), int(rng.integers(3, 9))))
        light = light * (1 + rng.uniform(0.1, 0.6) * (mirrored - 0.5))
    picture = car.picture * light[..., None]
    if rng.random() < 0.3:
        sky = np.clip(smooth_field(rng, (height, width), (6, 4)) - 0.6, 0, 1)[..., None] * rng.uniform(60, 260)
        picture += sky * np.float32(rng.uniform(0.85, 1.1, 3))
    return picture
