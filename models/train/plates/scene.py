"""A car in front of a camera: street, car, plate in perspective. For the demo, for tests, and for the detector's training.

The car (`cars.py`) is drawn face-on in millimetres on a sheet and laid into the picture by one homography together with
its plate, so the plate leans as the car does.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from . import effects, kinds
from .cars import CAR_HEIGHT_MM, CAR_WIDTH_MM, MAKERS_LETTERS, car_sheet
from .layout import HEIGHT_MM, WIDTH_MM, Style

PLATE_CORNERS = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])  # TL TR BR BL, the order used everywhere
SEEN_FROM = 8 * WIDTH_MM  # millimetres, where nothing else is said


@dataclass(frozen=True)
class Pose:
    """How a plate, and the car behind it, is turned towards the camera.

    Degrees: `yaw` to the side, `pitch` positive when the camera looks down, `roll` within the picture; `distance` in
    millimetres sets the perspective; `lean` is the shear that a wide lens adds away from its middle.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    distance: float = SEEN_FROM
    lean: float = 0.0


def plate_quad(centre, scale, pose, size=(WIDTH_MM, HEIGHT_MM)):
    """Corners (TL TR BR BL, pixels) of a plate of `size` millimetres; `scale` in pixels per millimetre face-on."""
    return project((PLATE_CORNERS - 0.5) * np.float32(size), centre, scale, pose)


def project(millimetres, centre, scale, pose):
    """Points on the car's face, relative to the plate's middle, to pixels; `scale` in pixels per millimetre face-on."""
    a, b, c = np.radians([pose.yaw, pose.pitch, pose.roll])
    turn_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    points = np.hstack([millimetres, np.zeros((len(millimetres), 1))]) @ (turn_z @ turn_x @ turn_y).T
    # what would lie at or behind the camera is kept in front of it: far corners of a car seen from close by
    nearer = scale * pose.distance / np.maximum(0.2 * pose.distance, pose.distance + points[:, 2:])
    seen = points[:, :2] * nearer
    seen[:, 1] += pose.lean * seen[:, 0]
    return (seen + np.asarray(centre)).astype(np.float32)


def place_car(picture, rng, centre, scale, pose, plate=(WIDTH_MM, HEIGHT_MM)):
    """Lays a car without plate into the picture so that a plate of `plate` millimetres belongs at `centre`; in place."""
    sheet, alpha, middle = car_sheet(rng, scale, plate)
    car = np.float32([[0, 0], [CAR_WIDTH_MM, 0], [CAR_WIDTH_MM, CAR_HEIGHT_MM], [0, CAR_HEIGHT_MM]])
    ground = np.float32([[-60, 1400], [1820, 1400], [1820, 1500], [-60, 1500]])
    shadow = project(ground - middle, centre, scale, pose)
    cv2.fillConvexPoly(picture, np.int32(shadow), (35.0, 35.0, 38.0), cv2.LINE_AA)
    placed = project(car - middle, centre, scale, pose)
    lay(picture, sheet, alpha, cv2.getPerspectiveTransform(np.float32(car * scale), placed))


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


def lay(picture, sheet, alpha, homography):
    """Warps a sheet with its alpha over the picture (in place); the homography maps positions, not pixel numbers.

    Positions are counted from the outer edge of the first pixel, as corners are everywhere here; OpenCV counts from that
    pixel's middle.
    """
    height, width = sheet.shape[:2]
    edge = cv2.perspectiveTransform(PLATE_CORNERS[None] * np.float32([width, height]), homography)[0]
    left, top = np.maximum(0, np.floor(edge.min(0)).astype(int) - 1)
    right, bottom = np.minimum(picture.shape[1::-1], np.ceil(edge.max(0)).astype(int) + 1)
    if right <= left or bottom <= top:
        return
    half = np.float64([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    into = np.float64([[1, 0, -0.5 - left], [0, 1, -0.5 - top], [0, 0, 1]])
    size, matrix = (int(right - left), int(bottom - top)), into @ homography @ half
    cover = cv2.warpPerspective(alpha, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    # the sheet's edge is continued outwards, so that only `alpha` fades there
    warped = cv2.warpPerspective(sheet, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    part = picture[top:bottom, left:right]
    part *= 1 - cover
    part += warped * cover


def mount(picture, face, quad, rng, frame=True, light=None):
    """Screws a plate face (8-bit BGR) into the picture at `quad`, often in a holder; in place."""
    if frame and rng.random() < 0.75:
        _holder(picture, quad, rng)
    height, width = face.shape[:2]
    target = float(np.linalg.norm(quad[1] - quad[0]))
    if width > 2.0 * target:  # shrink first: warping alone would alias
        shrink = 1.5 * target / width
        face = cv2.resize(face, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        height, width = face.shape[:2]
    painted = effects.shade(effects.paint(face, rng, light), rng, 0.35)
    matrix = cv2.getPerspectiveTransform(PLATE_CORNERS * np.float32([width, height]), quad)
    lay(picture, painted.astype(np.float32), rounded(height, width), matrix)


def rounded(height, width, share=0.09):
    """The transparency of a plate: corners round by `share` of the shorter side."""
    radius = max(1, int(share * min(height, width)))
    alpha = np.zeros((height, width), np.float32)
    cv2.rectangle(alpha, (radius, 0), (width - 1 - radius, height - 1), 1.0, -1)
    cv2.rectangle(alpha, (0, radius), (width - 1, height - 1 - radius), 1.0, -1)
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(alpha, (x, y), radius, 1.0, -1)
    return alpha


def _holder(picture, quad, rng):
    """A frame around the plate, black or chrome, wider at the foot, where a dealer's name often stands."""
    middle = quad.mean(0)
    along, down = (quad[1] - quad[0] + quad[2] - quad[3]) / 2, (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    rim = rng.uniform(0.005, 0.03) if rng.random() < 0.75 else rng.uniform(0.03, 0.08)
    foot = rng.uniform(0.02, 0.28)
    grown = middle + (quad - middle) * (1 + 2 * rim) + np.outer([-0.02, -0.02, foot, foot], down)
    tone = rng.uniform(5, 60) if rng.random() < 0.7 else rng.uniform(90, 235)
    cv2.fillConvexPoly(picture, np.int32(np.rint(grown * 16 - 8)), (float(tone),) * 3, cv2.LINE_AA, 4)
    if rng.random() < 0.3:  # the foot has a colour of its own, often as pale as the plate
        tone = rng.uniform(0, 245)
        ground = np.full(3, tone) * (rng.uniform(0.4, 1, 3) if rng.random() < 0.4 else 1.0)
        strip = np.float32([quad[3] + 0.03 * down, quad[2] + 0.03 * down, grown[2] - 0.02 * down, grown[3] - 0.02 * down])
        cv2.fillConvexPoly(picture, np.int32(np.rint(strip * 16 - 8)), tuple(float(v) for v in ground), cv2.LINE_AA, 4)
    letter = foot * float(np.linalg.norm(down)) * 0.6
    if letter > 3 and rng.random() < 0.7:
        text = "".join(rng.choice(MAKERS_LETTERS, int(rng.integers(4, 16))))
        reach = np.linalg.norm(along)
        strip = np.full((14, 12 * len(text) + 8, 3), tone, np.float32)
        ink = (float(rng.uniform(120, 255) if tone < 80 else rng.uniform(0, 60)),) * 3
        cv2.putText(strip, text, (3, 12), cv2.FONT_HERSHEY_DUPLEX, 0.5, ink, 1, cv2.LINE_AA)
        share = min(0.8, letter * len(text) / reach)
        low = quad[3] + (quad[2] - quad[3]) * (1 - share) / 2 + down * foot * 0.15
        across, up = (quad[2] - quad[3]) * share, down * foot * 0.7
        corners = np.float32([low, low + across, low + across + up, low + up])
        size = np.float32([strip.shape[1], strip.shape[0]])
        matrix = cv2.getPerspectiveTransform(PLATE_CORNERS * size, corners)
        lay(picture, strip, np.ones(strip.shape[:2], np.float32), matrix)


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
    pose, scale, measures = Pose(yaw, pitch, roll), width / WIDTH_MM, kinds.size_mm(plate)
    quad = plate_quad(centre, scale, pose, measures)
    if kind != "empty":
        place_car(picture, rng, centre, scale, pose, measures)
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
