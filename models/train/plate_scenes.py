"""What the plate detector learns from: drawn pictures with and without plates, and what a plate is not."""

from dataclasses import dataclass

import cv2
import numpy as np

from backgrounds import background, lettering, overlay, signs
from centre_points import box_of, overlap, worsened
from plates import effects, kinds, weather
from plates.layout import Style
from plates.scene import Pose, mount, place_car, plate_quad

NARROWEST = 28  # pixels; what is smaller cannot be read, and small bright things abound
INFRARED, NIGHT, DAY = "infrared", "night", "day"


@dataclass(frozen=True)
class Mounted:
    """A plate that is to be drawn: its corners in the picture and how it came there."""

    text: str
    kind: str
    scale: float
    pose: Pose
    quad: np.ndarray


def random_pose(rng):
    """From the front, from the side as at most gates, or from far above; through long and short lenses."""
    view = rng.random()
    if view < 0.4:
        yaw = rng.normal(0, 14)
    elif view < 0.7:
        yaw = rng.uniform(-55, 55)
    else:
        yaw = rng.choice([-1, 1]) * rng.uniform(35, 66)
    pitch = rng.normal(10, 10) if rng.random() < 0.75 else rng.uniform(-15, 45)
    roll = rng.normal(0, 4) if rng.random() < 0.8 else rng.normal(0, 14)
    lean = rng.normal(0, 0.06) if rng.random() < 0.5 else 0.0
    return Pose(yaw, pitch, roll, float(np.exp(rng.uniform(np.log(1500), np.log(12000)))), lean)


def random_plate(rng, size, widths):
    """A plate somewhere in a picture of `size` pixels, its longer edge log-uniform between `widths` pixels."""
    text, kind = kinds.random_plate(rng)
    millimetres, pose = kinds.size_mm(kind), random_pose(rng)
    width = float(np.exp(rng.uniform(*np.log(widths))))
    if kinds.lines(kind) == 2:  # twice as tall, so found from farther
        width *= 0.7
    unit = plate_quad((0, 0), 1.0, pose, millimetres)
    scale = width / max(np.linalg.norm(unit[1] - unit[0]), np.linalg.norm(unit[2] - unit[3]))
    centre = rng.uniform(0.06, 0.94, 2) * size
    return Mounted(text, kind, scale, pose, plate_quad(centre, scale, pose, millimetres))


def draw_on(picture, rng, plate, time):
    """Draws the plate's face into the picture; in place. At night plates throw the lamp's light back and glow."""
    face = kinds.draw(plate.kind, plate.text, Style(rng), 1.0)
    if rng.random() < 0.25:
        face = effects.to_bytes(effects.dirt(face.astype(np.float32), rng, rng.uniform(0.2, 0.8)))
    level = {DAY: (110, 265), NIGHT: (60, 330), INFRARED: (150, 420)}[time]
    tint = 1.0 if time == INFRARED else rng.uniform(0.9, 1.06, 3)
    light = np.ones(3) * rng.uniform(*level) * tint
    mount(picture, face, plate.quad, rng, light=light)


def sample(rng, size, widths):
    """(8-bit BGR picture of `size` pixels square, objects) as `centre_points.Pool` takes them; `widths` as in `random_plate`."""
    picture, plates = background(rng, size), []
    time = str(rng.choice([DAY, NIGHT, INFRARED], p=[0.78, 0.1, 0.12]))
    for _ in range(int(rng.choice([0, 0, 1, 2]))):  # cars whose plates cannot be seen
        scale = float(np.exp(rng.uniform(*np.log([15, 150])))) / 520
        place_car(picture, rng, rng.uniform(0, 1, 2) * size, scale, random_pose(rng))
    for _ in range(int(rng.choice([0, 0, 1, 1, 2, 4, 6]))):  # more than on a road: corners are learnt from plates alone
        plate = random_plate(rng, size, widths)
        if any(overlap(box_of(plate.quad), box_of(other.quad)) > 0 for other in plates):
            continue
        if rng.random() < 0.75 and (not plates or rng.random() < 0.15):
            middle, measures = plate.quad.mean(0), kinds.size_mm(plate.kind)
            place_car(picture, rng, middle, plate.scale, plate.pose, measures)
        plates.append(plate)
    quads = [plate.quad for plate in plates]
    if rng.random() < 0.35:
        lettering(rng, picture, int(rng.integers(1, 5)), quads)
    if rng.random() < 0.2:
        signs(rng, picture, int(rng.integers(1, 4)), quads)
    if time != DAY:
        at = quads[0].mean(0) if quads and rng.random() < 0.7 else None
        picture = weather.lamp_light(picture, rng, at)
    for plate in plates:
        draw_on(picture, rng, plate, time)
    picture = _weathered(rng, picture, quads, time)
    objects = [(quad, box_of(quad)) for quad in quads]
    picture = worsened(rng, picture, by_day=time == DAY)
    if rng.random() < 0.2:
        picture = _enlarged(rng, picture, quads)
    if rng.random() < 0.2:
        picture = effects.to_bytes(weather.sharpened(picture, rng))
    if rng.random() < 0.3:
        overlay(rng, picture, quads)
        picture = effects.jpeg(picture, rng.integers(50, 95))
    return picture, objects


def _weathered(rng, picture, quads, time):
    draw = rng.random(6)
    if quads and draw[0] < (0.06 if time == DAY else 0.35):
        weather.headlights(picture, rng, quads[0])
    if time != DAY:
        picture = weather.bloom(picture, rng)
    if draw[1] < 0.08:
        picture = weather.rain(picture, rng)
    if draw[2] < 0.08:
        weather.drops(picture, rng, int(rng.integers(2, 12)))
    if draw[3] < 0.05:
        picture = weather.fog(picture, rng)
    if draw[4] < 0.04:
        picture = effects.snow(np.ascontiguousarray(picture, np.float32), rng, 150)
    return picture


def _enlarged(rng, picture, quads):
    """As a small picture made larger, while its plates were still wide enough to be read in the small one."""
    narrowest = min((float(np.linalg.norm(quad[1] - quad[0])) for quad in quads), default=100.0)
    factor = min(rng.uniform(1.3, 4.0), narrowest / NARROWEST)
    if factor < 1.2:
        return picture
    small = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_CUBIC
    return cv2.resize(small, picture.shape[1::-1], interpolation=how)


def near(rng, size):
    """Plates that fill a third of the frame and more."""
    return sample(rng, size, (140, 350))


def far(rng, size):
    """Plates at a gate's usual distance."""
    return sample(rng, size, (NARROWEST, 230))
