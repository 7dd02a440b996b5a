"""Renders plates and scenes from the command line.

    python -m plates render --text A123BC77 --out plate.png [--scene dirt] [--seed 1]
    python -m plates scene --text A123BC77 --out car.jpg [--kind night] [--width 260] [--centre 700,480] [--yaw -12]
    python -m plates scene --empty --out yard.jpg
    python -m plates sheet --out sheet.png              contact sheet, to look at
    python -m plates dataset --out DIR --count 200 [--seed 1] [--kind type1a]     scenes with labels, to measure on

`scene` prints one JSON line with the text, the picture's file and the four plate corners (TL TR BR BL, pixels).
"""

import argparse
import json
import sys

import cv2
import numpy as np

from . import dataset, effects, kinds, layout, scene
from .grammar import random_text

KINDS = ("day", "night", "dusk", "dirt", "snow")


def plate_picture(text, kind, seed, plate="type1"):
    """A plate alone, face-on, on its face an effect."""
    rng = np.random.default_rng(seed)
    face = kinds.draw(plate, text, layout.Style(rng if seed else None))
    face = effects.paint(face, rng, np.array([230.0, 232, 235]))
    if kind == "dirt":
        face = effects.dirt(face, rng, 0.6)
    elif kind in ("night", "dusk"):
        face = effects.noise(face * (0.25 if kind == "night" else 0.5), rng, 8)
    elif kind == "snow":
        face = effects.snow(face, rng)
    return effects.to_bytes(face)


def contact_sheet(seed):
    """Plates of every kind, and scenes of every light, on one picture."""
    rng = np.random.default_rng(seed)
    rows = []
    for kind in kinds.KINDS:
        faces = []
        for _ in range(4 if kinds.lines(kind) == 1 and kind != "us" else 7):
            text, _ = kinds.random_plate(rng, kind)
            face = kinds.draw(kind, text, layout.Style(rng), 0.8)
            faces.append(
                cv2.resize(face, (max(1, int(face.shape[1] * 90 / face.shape[0])), 90), interpolation=cv2.INTER_AREA)
            )
        row = np.hstack(faces)[:, :1664]
        rows.append(np.pad(row, ((0, 4), (0, 1664 - row.shape[1]), (0, 0))))
    scenes = [
        scene.render(random_text(rng), kind, seed + i, yaw=float(rng.normal(0, 12)))
        for i, kind in enumerate(KINDS + ("day",))
    ]
    shrunk = [cv2.resize(picture, (554, 312), interpolation=cv2.INTER_AREA) for picture, _ in scenes]
    streets = np.vstack([np.hstack(shrunk[:3]), np.hstack(shrunk[3:])])
    return np.vstack([*rows, np.pad(streets, ((0, 0), (0, 1664 - streets.shape[1]), (0, 0)))])


def arguments():
    parser = argparse.ArgumentParser(
        prog="plates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="one plate, face-on")
    render.add_argument("--text", required=True)
    render.add_argument("--scene", choices=KINDS, default="day")
    street = commands.add_parser("scene", help="a car in a yard")
    street.add_argument("--text")
    street.add_argument("--empty", action="store_true", help="the yard without a car")
    street.add_argument("--kind", choices=KINDS, default="day")
    street.add_argument("--width", type=float, default=300, help="pixels of 520 mm, the width of type 1, face-on")
    street.add_argument("--centre", default="640,470", help="x,y of the plate's middle, pixels")
    street.add_argument("--size", default="1280x720")
    for angle, value in (("yaw", 8.0), ("pitch", 4.0), ("roll", 0.0)):
        street.add_argument(f"--{angle}", type=float, default=value, help="degrees")
    for command in (render, street):
        command.add_argument("--plate", choices=kinds.KINDS, default="type1", help="the kind of plate")
    sheet = commands.add_parser("sheet", help="contact sheet")
    drawn = commands.add_parser("dataset", help="a folder of scenes with labels")
    drawn.add_argument("--count", type=int, required=True)
    drawn.add_argument("--kind", choices=kinds.KINDS, help="only this kind of plate")
    for command in (render, street, sheet, drawn):
        command.add_argument("--out", required=True)
        command.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def checked(args):
    """The text, if any, fits its plate; otherwise the program ends and says why."""
    if args.text is not None:
        try:
            kinds.draw(args.plate, args.text, scale=0.1)
        except ValueError as error:
            sys.exit(f"plates: {error}")
    return args.text


def main():
    args = arguments()
    if args.command == "sheet":
        cv2.imwrite(args.out, contact_sheet(args.seed))
        return
    if args.command == "dataset":
        dataset.write(args.out, args.count, args.seed, args.kind)
        return
    text = checked(args)
    if args.command == "render":
        cv2.imwrite(args.out, plate_picture(text, args.scene, args.seed, args.plate))
        return
    if text is None and not args.empty:
        sys.exit("plates: scene needs --text or --empty")
    centre = tuple(float(v) for v in args.centre.split(","))
    size = tuple(int(v) for v in args.size.split("x"))
    kind = "empty" if args.empty else args.kind
    angles = (args.yaw, args.pitch, args.roll)
    picture, quad = scene.render(text, kind, args.seed, args.width, centre, *angles, size, args.plate)
    cv2.imwrite(args.out, picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    corners = None if args.empty else quad.round(1).tolist()
    print(json.dumps({"file": args.out, "text": text, "corners": corners}))


if __name__ == "__main__":
    main()
