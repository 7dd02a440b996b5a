"""What the reader is shown: a plate cut flat out of a picture, and how drawn plates get there by way of a drawn camera.

`flatten` is the pipeline's own crop (models/src/plate/rectify.rs): the detector's quadrilateral widened by 3 % of its width and 8 % of its
height on every side, warped to the whole input; of a two-line plate the upper part fills the left half and the lower part the right half.
`photographed` puts a plate's face at an angle into a small picture, spoils it as light, weather, lens, sensor and JPEG do, and cuts
it out again by corners that are off by as much as the detector's are.
"""

import math

import cv2
import numpy as np

from plates import effects

WIDTH, HEIGHT = 160, 32
MARGIN_X, MARGIN_Y = 0.03, 0.08
UPPER_ENDS, LOWER_STARTS = 0.54, 0.46  # of the widened height; a tilted cut must not behead a character
UNIT = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
SIGNS = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]])
FACE_SCALE = 0.5  # pixels per millimetre of a stored face


def widened(quad):
    """The quadrilateral (TL TR BR BL) with the pipeline's margins."""
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    return (quad + SIGNS[:, :1] * MARGIN_X * along + SIGNS[:, 1:] * MARGIN_Y * down).astype(np.float32)


def aspect(quad):
    """Mean width over mean height of a quadrilateral, which tells one-line plates (above 3) from two-line ones (below 1.9)."""
    side = lambda a, b: float(np.hypot(*(quad[a] - quad[b])))
    return (side(0, 1) + side(3, 2)) / max(1e-6, side(0, 3) + side(1, 2))


def flatten(picture, quad, lines=1):
    """The plate within `quad` as the reader's gray 8-bit input [HEIGHT, WIDTH]; `picture` is gray."""
    wide = widened(quad)
    to_picture = cv2.getPerspectiveTransform(UNIT, wide)
    across = max(np.hypot(*(wide[1] - wide[0])), np.hypot(*(wide[2] - wide[3]))) * lines / WIDTH
    down = max(np.hypot(*(wide[3] - wide[0])), np.hypot(*(wide[2] - wide[1]))) / HEIGHT * (0.54 if lines == 2 else 1)
    fine = min(4, max(1, math.ceil(max(across, down) * 0.8)))
    height, width = HEIGHT * fine, WIDTH * fine // lines
    parts = ((0.0, 1.0),) if lines == 1 else ((0.0, UPPER_ENDS), (LOWER_STARTS, 1.0))
    out = []
    for top, bottom in parts:
        share = (bottom - top) / height
        to_unit = np.array([[1 / width, 0, 0.5 / width], [0, share, top + 0.5 * share], [0, 0, 1]])
        centred = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out.append(
            cv2.warpPerspective(
                picture, centred @ to_picture @ to_unit, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        )
    whole = out[0] if lines == 1 else np.hstack(out)
    return whole if fine == 1 else cv2.resize(whole, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def turned(rng, size, width):
    """Corners of a plate of `size` millimetres whose face-on width is `width` pixels, seen from some angle."""
    tails = rng.random() < 0.25
    yaw = rng.uniform(-1.05, 1.05) if tails else rng.normal(0, 0.32)
    pitch, roll = rng.normal(0, 0.22), rng.normal(0, 0.10)
    scale = width / size[0]
    corners = (UNIT - 0.5) * np.float32(size)
    x, y = corners[:, 0] * math.cos(yaw), corners[:, 1] * math.cos(pitch)
    depth = corners[:, 0] * math.sin(yaw) + corners[:, 1] * math.sin(pitch)
    near = 1 + depth / rng.uniform(1500, 6000)
    slope = math.sin(yaw) * math.sin(pitch) + math.tan(roll)  # a camera above sees a turned plate's line slope
    x, y = x - y * rng.normal(0, 0.06), y + x * slope
    return (np.stack([x, y], 1) / near[:, None] * scale).astype(np.float32)


def detected(rng, quad, upright, lines=1):
    """The corners a detector would give: off by a few hundredths; `upright`: only the box around the plate."""
    if upright:
        low, high = quad.min(0), quad.max(0)
        quad = low + UNIT * (high - low)
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    sloppy = rng.uniform(0.3, 1.6)
    off = (
        rng.normal(0, 1, (4, 2)) * [0.010, 0.045]
        + rng.normal(0, 1, 2) * [0.010, 0.04]
        + SIGNS * rng.normal(0, 1, 2) * [0.010, 0.04]
    )
    off *= sloppy * np.float32([1, 1 if lines == 1 else 0.5])  # pixels count, and a two-line plate is taller
    return (quad + off[:, :1] * along + off[:, 1:] * down).astype(np.float32)


def lit(rng, face):
    """The face (8-bit gray) as it reflects: paint, uneven light, hard shadow, dirt, drops and glare; float 0..about 1."""
    height, width = face.shape
    light = rng.uniform(0.5, 1.0)
    dark = light * rng.uniform(0.0, 0.4) * rng.random()
    picture = face.astype(np.float32) * ((light - dark) / 255) + dark
    draw = rng.random(6)
    if draw[0] < 0.45:
        picture *= np.linspace(rng.uniform(0.45, 1), rng.uniform(0.45, 1), width, dtype=np.float32)[None]
        picture *= np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1), height, dtype=np.float32)[:, None]
    if draw[1] < 0.15:
        hard_shadow(rng, picture)
    if draw[2] < 0.28:  # dust and mud, mostly in patches
        field = effects.smooth_field(rng, picture.shape, (int(rng.integers(2, 8)), int(rng.integers(4, 20))))
        cover = np.clip((field - rng.uniform(0.45, 0.75)) * rng.uniform(0.5, 3.0), 0, rng.uniform(0.4, 0.85))
        picture += (rng.uniform(0.1, 0.7) * light - picture) * cover
    if draw[3] < 0.10:  # snow or mud along an edge
        edge = (rng.random(width // 8 + 2, dtype=np.float32) * rng.uniform(0.02, 0.16) * height)[None]
        edge = cv2.resize(edge, (width, 1), interpolation=cv2.INTER_CUBIC)[0]
        rows = np.arange(height, dtype=np.float32)[:, None]
        buried = rows < edge if rng.random() < 0.5 else rows > height - edge
        picture[buried] = rng.uniform(0.1, 1.0)
    if draw[4] < 0.08:  # drops and specks
        for _ in range(int(rng.integers(3, 30))):
            at = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.circle(picture, at, int(rng.integers(1, 4)), float(rng.uniform(0.1, 1.1)), -1, cv2.LINE_AA)
    if draw[5] < 0.10:  # a lamp's glare
        glare(rng, picture)
    return picture


def hard_shadow(rng, picture):
    """A shadow with an edge, sideways or from above; in place."""
    height, width = picture.shape
    mask = np.ones((height, width), np.float32)
    if rng.random() < 0.5:
        a, b = rng.uniform(0, width, 2)
        corners = [[0, 0], [a, 0], [b, height], [0, height]]
    else:
        a, b = rng.uniform(0, height, 2)
        corners = [[0, 0], [width, 0], [width, a], [0, b]]
    cv2.fillPoly(mask, [np.int32(corners)], float(rng.uniform(0.3, 0.8)))
    picture *= mask if rng.random() < 0.5 else mask[::-1, ::-1]


def glare(rng, picture):
    """A soft bright spot; in place."""
    height, width = picture.shape
    x = (np.arange(width, dtype=np.float32) - rng.uniform(0, width)) / (width * rng.uniform(0.08, 0.4))
    y = (np.arange(height, dtype=np.float32) - rng.uniform(0, height)) / (height * rng.uniform(0.3, 1.0))
    picture += rng.uniform(0.2, 0.7) * np.exp(-(x * x))[None] * np.exp(-(y * y))[:, None]


def surroundings(rng, shape, quad):
    """What shows around the plate: body, a holder, often a dealer's lettering on its lip or small parts near by."""
    out = np.full(shape, rng.uniform(0, 0.9), np.float32)
    height, width = shape
    if rng.random() < 0.5:
        out += effects.smooth_field(rng, shape, (3, 8)) - 0.5
    middle, down = quad.mean(0), (quad[3] + quad[2] - quad[0] - quad[1]) / 2
    if rng.random() < 0.7:
        holder = middle + (quad - middle) * np.float32([rng.uniform(1.0, 1.06), rng.uniform(1.0, 1.3)])
        holder += down * rng.uniform(-0.04, 0.12)
        cv2.fillConvexPoly(
            out,
            np.int32(holder * 16),
            float(rng.uniform(0, 0.35) if rng.random() < 0.7 else rng.uniform(0.4, 1)),
            cv2.LINE_AA,
            4,
        )
    if rng.random() < 0.5:  # small strokes stand for small letters
        tone, tall = float(rng.uniform(0, 1)), float(np.hypot(*down))
        side = rng.choice([0.54, 0.58, 0.62, -0.62])
        along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
        for share in np.cumsum(rng.uniform(0.008, 0.03, int(rng.integers(8, 40)))) - 0.5:
            if share > 0.5:
                break
            x, y = middle + along * share + down * side
            reach = tall * rng.uniform(0.03, 0.09)
            end = (int(x + rng.uniform(-0.5, 0.5) * reach), int(y + reach))
            cv2.line(out, (int(x), int(y)), end, tone, 1, cv2.LINE_AA)
    return out


def seen(rng, picture, width):
    """Lens, sensor and file: blur, motion, sharpening, exposure, noise, JPEG. Float picture -> 8 bits; the plate is `width` pixels."""
    draw = rng.random(8)
    most = max(0.5, width / 75)  # more blur than that nobody reads
    if draw[0] < 0.85:
        sigma = rng.uniform(0.25, min(most, 0.9)) if draw[0] < 0.65 else rng.uniform(0.4, min(most, 2.2))
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    if draw[1] < 0.14:
        picture = effects.motion(picture, rng, rng.uniform(2, max(2.5, width / 34)))
    if draw[2] < 0.10:
        factor = rng.uniform(1.2, 2.5) if width < 150 else 1 / rng.uniform(1.1, 2.0)
        picture = cv2.resize(
            picture,
            None,
            fx=factor,
            fy=factor,
            interpolation=cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_LINEAR,
        )
    if draw[3] < 0.40:
        picture = picture + rng.uniform(0.3, 1.8) * (picture - cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 2.0)))
    gain = (
        rng.uniform(0.5, 1.1) if draw[4] < 0.68 else rng.uniform(0.16, 0.5) if draw[4] < 0.86 else rng.uniform(1.1, 1.7)
    )
    picture = picture * gain + rng.uniform(-0.08, 0.30) * rng.random()
    if draw[5] < 0.4:
        picture = np.maximum(picture, 0) ** np.float32(rng.uniform(0.55, 1.8))
    strength = rng.uniform(0, 0.06) * rng.random() * (1.5 if gain < 0.5 else 1.0) * min(1.0, 2 * gain)
    grain = rng.standard_normal(picture.shape, np.float32)
    if draw[6] < 0.3:  # smoothed by the camera, so coarser
        grain = cv2.GaussianBlur(grain, (0, 0), 0.8) * 2.4
    picture = picture + grain * np.float32(strength)
    picture = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if draw[7] < 0.6:
        picture = effects.jpeg(picture, rng.integers(18, 92))
    return picture


def photographed(rng, face, size, lines):
    """A stored face (gray, FACE_SCALE pixels per mm) of a plate of `size` mm as the reader is shown it: 8-bit gray [HEIGHT, WIDTH]."""
    low, high = (46, 330) if lines == 1 and size[0] > 400 else (34, 220)
    width = math.exp(rng.uniform(math.log(low), math.log(high)))
    quad = turned(rng, size, width)
    narrow = float(np.hypot(*(quad[1] - quad[0])))
    if narrow < low * 0.85:  # seen so much from the side that it could not be read: come nearer
        quad *= low * 0.85 / narrow
        width *= low * 0.85 / narrow
    pad = np.float32([0.10, 0.32 if lines == 1 else 0.16]) * np.ptp(quad, axis=0) + 3
    quad = quad - quad.min(0) + pad
    shape = np.ceil(quad.max(0) + pad).astype(int)[::-1]
    picture = lit(rng, face)
    shrink = 1.3 * width / face.shape[1]
    if shrink < 0.9:  # warping alone would alias
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    out = surroundings(rng, tuple(int(v) for v in shape), quad)
    matrix = cv2.getPerspectiveTransform(UNIT * np.float32(picture.shape[::-1]), quad)
    cv2.warpPerspective(picture, matrix, out.shape[::-1], dst=out, borderMode=cv2.BORDER_TRANSPARENT)
    finished = seen(rng, out, min(width, narrow))
    if finished.shape != out.shape:
        quad = quad * np.float32(np.array(finished.shape[::-1]) / out.shape[::-1])
    return flatten(finished, detected(rng, quad, lines == 1 and rng.random() < 0.30, lines), lines)
