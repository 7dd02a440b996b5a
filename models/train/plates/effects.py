"""What the world and the camera do to a picture: shade, dirt, night, snow, motion, defocus, noise, JPEG.

Pictures are float32 BGR in 0..255 here, so that effects chain without clipping; `to_bytes` ends the chain.
"""

import cv2
import numpy as np


def to_bytes(picture):
    """Back to 8 bits."""
    return np.clip(picture, 0, 255).astype(np.uint8)


def smooth_field(rng, shape, cells):
    """A smooth random field, mean 0.5, with about `cells` (rows, columns) bumps."""
    coarse = rng.random(cells, dtype=np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def paint(face, rng, background=None):
    """Gives the black-on-white face real paint: grey-ish white, dark grey ink, sometimes tinted by the light."""
    light = background if background is not None else rng.uniform(120, 250) * rng.uniform(0.9, 1.06, 3)
    dark = light * rng.uniform(0.03, 0.35)
    return (dark + (light - dark) * (face.astype(np.float32) / 255)).astype(np.float32)


def shade(picture, rng, depth=0.45):
    """Uneven light: a gradient across, and sometimes a hard shadow edge."""
    height, width = picture.shape[:2]
    ramp = np.linspace(rng.uniform(1 - depth, 1), rng.uniform(1 - depth, 1), width, dtype=np.float32)[None, :, None]
    ramp = (
        ramp
        * np.linspace(rng.uniform(1 - depth, 1), rng.uniform(1 - depth, 1), height, dtype=np.float32)[:, None, None]
    )
    if rng.random() < 0.25:
        mask = np.ones((height, width), np.float32)
        cut = (rng.uniform(0, width, 2)).astype(int) if rng.random() < 0.5 else None
        if cut is not None:
            corners = np.array([[0, 0], [cut[0], 0], [cut[1], height], [0, height]])
        else:
            level = rng.uniform(0, height, 2).astype(int)
            corners = np.array([[0, 0], [width, 0], [width, level[0]], [0, level[1]]])
        cv2.fillPoly(mask, [corners.astype(np.int32)], float(rng.uniform(0.35, 0.8)))
        ramp = ramp * cv2.GaussianBlur(mask, (0, 0), max(0.5, width / 150))[..., None]
    return picture * ramp


def dirt(picture, rng, amount):
    """Mud and dust in patches, thicker at the bottom; `amount` 0 (clean) to 1 (hard to read)."""
    height, width = picture.shape[:2]
    field = smooth_field(rng, picture.shape, (int(rng.integers(3, 8)), int(rng.integers(6, 18))))
    field += (
        0.35 * smooth_field(rng, picture.shape, (12, 40)) + np.linspace(-0.15, 0.2, height, dtype=np.float32)[:, None]
    )
    cover = np.clip((field - 0.75 + 0.25 * amount) * 2.2, 0, 1) * amount
    mud = np.array([70, 90, 105], np.float32) * rng.uniform(0.6, 1.3)
    veil = 0.35 * amount
    dusty = picture * (1 - veil) + mud * 1.4 * veil
    return dusty * (1 - 0.85 * cover[..., None]) + mud * 0.85 * cover[..., None]


def night(picture, rng, glow_at=None):
    """Dark, bluish or sodium-lit, with the light falling where the camera's lamp points."""
    height, width = picture.shape[:2]
    tint = np.array([1.1, 1.0, 0.9]) if rng.random() < 0.5 else np.array([0.75, 0.95, 1.1])
    x, y = glow_at if glow_at is not None else (width / 2, height / 2)
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot((xx - x) / width, (yy - y) / height)
    lamp = 0.10 + 0.75 * np.exp(-((distance / 0.33) ** 2))
    return picture * lamp[..., None] * tint.astype(np.float32)


def snow(picture, rng, flakes=250):
    """Snowfall in front of the lens."""
    out, height, width = picture.copy(), *picture.shape[:2]
    for _ in range(flakes):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        length = int(rng.integers(1, 1 + max(2, width // 150)))
        cv2.line(out, (x, y), (x + length // 2, y + length), (235.0, 235.0, 235.0), 1, cv2.LINE_AA)
    return out


def motion(picture, rng, length):
    """Motion blur of `length` pixels in a random direction, mostly sideways."""
    length = max(2, int(length))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), float(rng.normal(0, 25)), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(picture, -1, kernel / max(1e-3, kernel.sum()))


def defocus(picture, sigma):
    """Gaussian blur."""
    return cv2.GaussianBlur(picture, (0, 0), float(sigma)) if sigma > 0.05 else picture


def noise(picture, rng, sigma):
    """Sensor noise, less in one channel than between them."""
    shared = rng.standard_normal(picture.shape[:2] + (1,), np.float32) if picture.ndim == 3 else 0.0
    own = rng.standard_normal(picture.shape, np.float32)
    return picture + (0.7 * shared + 0.7 * own) * sigma


def jpeg(picture, quality):
    """Through a JPEG encoder and back; takes and returns 8 bits."""
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
