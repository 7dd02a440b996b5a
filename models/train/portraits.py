"""Two public-domain portraits through the finished face models, as the demo uses them.

    python portraits.py --pack ../base

Grace Hopper (matplotlib's sample data) and Eileen Collins (scikit-image's astronaut): each as it is and as a bad camera
would see it. Prints, for every probe, whether the face is found and its cosines to the two originals.
"""

import argparse
import pathlib
import tomllib

import cv2
import matplotlib.cbook
import numpy as np
import skimage.data

from centre_points import detect
from face_embedder import SIZE, to_input
from faces_data import ARCFACE_112, align, session


def portraits():
    """{name: BGR picture}"""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
    return {"hopper": hopper, "astronaut": cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)}


def probes(picture):
    """{what was done: picture}"""
    rng = np.random.default_rng(1)
    height, width = picture.shape[:2]

    def turned(angle):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
        return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)

    def scaled(share):
        return cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)

    def in_frame(share, x, y):
        frame = np.full((720, 1280, 3), 96, np.uint8)
        small = scaled(share)
        h, w = min(small.shape[0], 720 - y), min(small.shape[1], 1280 - x)
        frame[y : y + h, x : x + w] = small[:h, :w]
        return frame

    jpeg = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 35])[1], 1)
    noisy = np.clip(picture + rng.normal(0, 10, picture.shape), 0, 255).astype(np.uint8)
    return {
        "as it is": picture,
        "blurred": cv2.GaussianBlur(picture, (0, 0), 2.0),
        "dark": (picture * 0.45).astype(np.uint8),
        "bright": np.clip(picture * 1.4 + 15.0, 0, 255).astype(np.uint8),
        "JPEG 35": jpeg,
        "noise": noisy,
        "turned +8": turned(8),
        "turned -8": turned(-8),
        "scaled 0.6": scaled(0.6),
        "mirrored": picture[:, ::-1].copy(),
        "in a 1280x720 frame, 0.9": in_frame(0.9, 300, 60),
        "in a 1280x720 frame, 0.5": in_frame(0.5, 700, 300),
    }


class FacePack:
    """The two face models of a pack, run as the controller runs them."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        manifest = tomllib.loads((folder / "manifest.toml").read_text())
        models = {model["role"]: model for model in manifest["model"]}
        self.detector, self.embedder = models["face-detector"], models["face-embedder"]
        self.find, self.embed = (session(folder / model["file"]) for model in (self.detector, self.embedder))

    def faces(self, picture):
        """Detections in the picture, best first."""
        run = lambda tensor: self.find.run(None, {"bgr": tensor.numpy()})
        return detect(run, picture, self.detector["input"]["max_side"], self.detector["threshold"]["value"])

    def vector(self, picture, points):
        """Unit vector of the face with these landmarks."""
        return self.embed.run(None, {"rgb": to_input([align(picture, points, ARCFACE_112, SIZE)]).numpy()})[0][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    pack = FacePack(parser.parse_args().pack)
    pictures = portraits()
    threshold = pack.embedder["threshold"]["value"]
    enrolled = {}
    for name, picture in pictures.items():
        faces = pack.faces(picture)
        if not faces:
            raise SystemExit(f"no face found in {name}")
        enrolled[name] = pack.vector(picture, faces[0][1])
    print(f"threshold {threshold}")
    for name, picture in pictures.items():
        for what, probe in probes(picture).items():
            faces = pack.faces(probe)
            if not faces:
                print(f"{name:10} {what:26} NOT FOUND")
                continue
            vector = pack.vector(probe, faces[0][1])
            cosines = {other: float(vector @ reference) for other, reference in enrolled.items()}
            own, foreign = cosines.pop(name), max(cosines.values())
            verdict = "ok" if own >= threshold > foreign else "WRONG"
            print(
                f"{name:10} {what:26} faces {len(faces)} ({faces[0][0]:.2f})  own {own:+.3f}  other {foreign:+.3f}  {verdict}"
            )


if __name__ == "__main__":
    main()
