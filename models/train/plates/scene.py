"""A car in front of a camera: street, car, plate in perspective. For the demo, for tests, and for the detector's training.

The car is drawn face-on in millimetres on a sheet and laid into the picture by one homography together with its plate,
so the plate leans as the car does. Nothing aims at being pretty: what matters is that the plate sits in a bumper under
lamps, with edges, glass, shadows and lettering near it.
"""

import cv2
import numpy as np

from . import effects, kinds
from .layout import HEIGHT_MM, WIDTH_MM, Style

CAR_WIDTH_MM, CAR_HEIGHT_MM = 1760, 1460
PLATE_CORNERS = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])  # TL TR BR BL, the order used everywhere


def plate_quad(centre, width, yaw=0.0, pitch=0.0, roll=0.0, size=(WIDTH_MM, HEIGHT_MM)):
    """Corners (TL TR BR BL, pixels) of a plate of `size` (width, height) millimetres, turned by degrees, seen from 4 metres.

    `width` is the scale of the picture: how many pixels 520 mm, the width of type 1, would be face-on."""
    return project(
        np.float32([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * np.float32(size),
        centre,
        width,
        yaw,
        pitch,
        roll,
    )


def project(millimetres, centre, width, yaw, pitch, roll):
    a, b, c = np.radians([yaw, pitch, roll])
    turn_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    points = np.hstack([millimetres, np.zeros((len(millimetres), 1))]) @ (turn_z @ turn_x @ turn_y).T
    distance = 8 * WIDTH_MM
    scale = (width / WIDTH_MM) * distance / (distance + points[:, 2:])
    return (points[:, :2] * scale + np.asarray(centre)).astype(np.float32)


def street(rng, width=1280, height=720):
    """An empty yard: wall or sky above, asphalt below, a few blocks, posts and a sign."""
    horizon = int(height * rng.uniform(0.25, 0.5))
    picture = np.zeros((height, width, 3), np.float32)
    top, low = rng.uniform(110, 230) * rng.uniform(0.88, 1.12, 3), rng.uniform(60, 130) * rng.uniform(0.92, 1.08, 3)
    picture[:horizon] = top * np.linspace(1.05, 0.85, horizon)[:, None, None]
    picture[horizon:] = low * np.linspace(0.8, 1.15, height - horizon)[:, None, None]
    for _ in range(int(rng.integers(4, 12))):
        x, w = int(rng.uniform(-0.1, 1) * width), int(rng.uniform(0.02, 0.3) * width)
        y = int(rng.uniform(0, 0.9) * horizon)
        colour = tuple(float(v) for v in rng.uniform(40, 220) * rng.uniform(0.8, 1.2, 3))
        cv2.rectangle(picture, (x, y), (x + w, horizon + int(rng.uniform(-6, 10))), colour, -1)
        for _ in range(int(rng.integers(0, 12))):  # windows
            wx, wy = int(x + rng.uniform(0, 0.9) * w), int(y + rng.uniform(0, 0.8) * (horizon - y))
            shade = tuple(float(v) for v in rng.uniform(30, 240) * rng.uniform(0.85, 1.15, 3))
            cv2.rectangle(picture, (wx, wy), (wx + max(3, w // 12), wy + max(4, height // 40)), shade, -1)
    picture += (effects.smooth_field(rng, picture.shape, (9, 16)) - 0.5)[..., None] * 30
    return effects.noise(picture, rng, 5)


class _Sheet:
    """A car being drawn face-on in millimetres."""

    def __init__(self, rng, scale):
        self.rng, self.scale = rng, scale
        shape = (int(CAR_HEIGHT_MM * scale) + 2, int(CAR_WIDTH_MM * scale) + 2)
        self.picture, self.alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
        strength = rng.choice([0.03, 0.03, 0.35])  # most cars are grey
        self.body = rng.uniform(15, 235) * (1 + strength * rng.uniform(-1, 1, 3))

    def pixels(self, millimetres):
        return np.rint(np.array(millimetres) * self.scale).astype(np.int32)

    def tone(self, factor, base=None):
        return tuple(float(v) for v in np.clip((self.body if base is None else np.array(base)) * factor, 0, 255))

    def fill(self, millimetres, tone, opaque=False):
        cv2.fillPoly(self.picture, [self.pixels(millimetres)], tone)
        if opaque:
            cv2.fillPoly(self.alpha, [self.pixels(millimetres)], 1.0)

    def line(self, start, end, tone, width):
        ends = (tuple(int(v) for v in self.pixels(p)) for p in (start, end))
        cv2.line(self.picture, *ends, tone, max(1, int(width * self.scale)))


# Outlines in millimetres on the car's face.
OUTLINE = [
    [60, 620], [250, 560], [430, 60], [560, 15], [1200, 15], [1330, 60], [1510, 560], [1700, 620],
    [1755, 800], [1740, 1260], [1640, 1320], [120, 1320], [20, 1260], [5, 800],
]  # fmt: skip
GLASS = [[310, 550], [455, 100], [1305, 100], [1450, 550]]
LAMP = [[70, 690], [380, 730], [380, 840], [90, 850]]
GRILLE = [[480, 740], [1280, 740], [1240, 880], [520, 880]]
BUMPER = [[15, 960], [1745, 960], [1735, 1250], [1640, 1315], [120, 1315], [25, 1250]]
INTAKE = [[300, 1190], [1460, 1190], [1400, 1290], [360, 1290]]
MAKERS_LETTERS = list("ABCDEFGHIKLMNOPRSTUVXYZ")


def car_sheet(rng, scale):
    """A car seen face-on: (BGR float sheet, alpha, plate middle in millimetres); `scale` pixels per millimetre."""
    car = _Sheet(rng, scale)
    for left in (110, 1410):
        car.fill([[left, 1250], [left + 240, 1250], [left + 240, 1455], [left, 1455]], (22.0, 22.0, 22.0), opaque=True)
    car.fill(OUTLINE, car.tone(1.0), opaque=True)
    car.fill(GLASS, car.tone(rng.uniform(0.5, 2.2), (70, 60, 50)))
    car.fill([[60, 640], [1700, 640], [1690, 700], [70, 700]], car.tone(rng.uniform(0.6, 1.25)))
    lamp = car.tone(rng.uniform(0.7, 1.1), (60, 60, 200) if rng.random() < 0.5 else (225, 225, 215))
    car.fill(LAMP, lamp)
    car.fill([[CAR_WIDTH_MM - x, y] for x, y in LAMP], lamp)
    if rng.random() < 0.67:
        car.fill(GRILLE, car.tone(0.25))
        for y in range(760, 870, 28):
            car.line([500, y], [1260, y], car.tone(rng.uniform(0.4, 1.4), (150, 150, 150)), 6)
    car.fill(BUMPER, car.tone(rng.uniform(0.5, 1.05)))
    car.line([15, 960], [1745, 960], car.tone(0.4), 10)
    car.fill(INTAKE, (25.0, 25.0, 25.0))
    if rng.random() < 0.6:  # a maker's name, which is not a plate
        _makers_name(car)
    gloss = np.linspace(1.12, 0.75, len(car.alpha), dtype=np.float32)[:, None, None]
    return car.picture * gloss, car.alpha, np.array([CAR_WIDTH_MM / 2, rng.uniform(1060, 1120)])


def _makers_name(car):
    rng = car.rng
    text = "".join(rng.choice(MAKERS_LETTERS, int(rng.integers(4, 9))))
    at = tuple(int(v) for v in car.pixels([rng.uniform(500, 800), 930]))
    tone, pen = car.tone(rng.uniform(0.3, 1.2), (200, 200, 200)), max(1, int(7 * car.scale))
    cv2.putText(car.picture, text, at, cv2.FONT_HERSHEY_DUPLEX, 2.4 * car.scale, tone, pen, cv2.LINE_AA)


def lay(picture, sheet, alpha, homography, sharpen=1.0):
    """Warps a sheet with its alpha over the picture (in place)."""
    height, width = picture.shape[:2]
    flags = cv2.INTER_AREA if sharpen < 1 else cv2.INTER_LINEAR
    warped = cv2.warpPerspective(sheet, homography, (width, height), flags=flags)
    cover = cv2.warpPerspective(alpha, homography, (width, height), flags=flags)[..., None]
    picture *= 1 - cover
    picture += warped * cover


def mount(picture, face, quad, rng, frame=True, light=None):
    """Screws a plate face (8-bit BGR) into the picture at `quad`, with a dark holder around it; in place."""
    if frame and rng.random() < 0.75:
        middle = quad.mean(0)
        holder = middle + (quad - middle) * np.float32([rng.uniform(1.01, 1.05), rng.uniform(1.05, 1.35)])
        cv2.fillConvexPoly(
            picture,
            np.int32(np.rint(holder * 16)),
            tuple(float(v) for v in rng.uniform(5, 60) * np.ones(3)),
            cv2.LINE_AA,
            4,
        )
    height, width = face.shape[:2]
    target = float(np.linalg.norm(quad[1] - quad[0]))
    if width > 2.0 * target:  # shrink first: warping alone would alias
        shrink = 1.5 * target / width
        face = cv2.resize(face, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        height, width = face.shape[:2]
    painted = effects.shade(effects.paint(face, rng, light), rng, 0.35)
    matrix = cv2.getPerspectiveTransform(PLATE_CORNERS * np.float32([width, height]), quad)
    lay(picture, painted.astype(np.float32), np.ones((height, width), np.float32), matrix)


def render(
    text,
    kind="day",
    seed=0,
    width=300,
    centre=(640, 470),
    yaw=8.0,
    pitch=4.0,
    roll=0.0,
    size=(1280, 720),
    plate="type1",
):
    """A whole scene with a car carrying `text` (None: a car without a plate); returns (8-bit BGR, plate corners).

    `kind`: day, night, dirt, snow, dusk, empty (the yard alone). `width`: pixels of 520 mm face-on. `plate`: one of `kinds.KINDS`.
    """
    rng = np.random.default_rng(seed)
    picture = street(rng, *size)
    quad = plate_quad(centre, width, yaw, pitch, roll, kinds.size_mm(plate))
    if kind != "empty":
        scale = width / WIDTH_MM
        sheet, alpha, middle = car_sheet(rng, scale)
        car = np.float32([[0, 0], [CAR_WIDTH_MM, 0], [CAR_WIDTH_MM, CAR_HEIGHT_MM], [0, CAR_HEIGHT_MM]])
        placed = project(car - middle, centre, width, yaw, pitch, roll)
        shadow = project(
            np.float32([[-60, 1400], [1820, 1400], [1820, 1500], [-60, 1500]]) - middle, centre, width, yaw, pitch, roll
        )
        cv2.fillConvexPoly(picture, np.int32(shadow), (35.0, 35.0, 38.0), cv2.LINE_AA)
        lay(picture, sheet, alpha, cv2.getPerspectiveTransform(np.float32(car * scale), placed))
        if text is not None:
            face = kinds.draw(plate, text, Style(rng), 2.0)
            if kind == "dirt":
                face = effects.to_bytes(effects.dirt(face.astype(np.float32), rng, 0.55))
            mount(picture, face, quad, rng, light=np.array([225.0, 228, 230]) * rng.uniform(0.8, 1.0))
    if kind == "dirt":
        picture = effects.dirt(picture, rng, 0.25)
    elif kind == "night":
        picture = effects.noise(effects.night(picture, rng, centre), rng, 9)
    elif kind == "dusk":
        picture = effects.noise(picture * 0.45, rng, 6)
    elif kind == "snow":
        picture = effects.snow(picture * 0.9 + 20, rng)
    picture = effects.noise(effects.defocus(picture, rng.uniform(0.4, 0.9)), rng, 2.5)
    return effects.jpeg(effects.to_bytes(picture), 88), quad
