#!/usr/bin/env python3
"""Puts ONNX Runtime's shared library where Cardea looks for it: .tools/onnxruntime/libonnxruntime.so

The library comes out of the official wheel, which pip fetches and checks against the hashes in onnxruntime.txt; what is
extracted is checked once more, so a half-written or changed file is replaced. A second run only hashes the file.
Needs Python 3.8 or later with pip; nothing is installed into that Python.

    setup/onnxruntime.py                          for this machine
    setup/onnxruntime.py --arch aarch64 --out D   for a package of another architecture
"""

import argparse
import hashlib
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import zipfile

VERSION = "1.23.2"
LIBRARY = "libonnxruntime.so"
# sha256 of capi/libonnxruntime.so.<VERSION> inside each wheel
LIBRARY_SHA256 = {
    "x86_64": "718c3fb0785d5ea06061b92c32ce4ad35be1bd4c71ae6192efe06f1ab21f0f8a",
    "aarch64": "ab8c4363e06ac80b3d1279ea55ebea44e906c5b131ba783ff684a067540c0e94",
}
# what travels with the library in a package
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")
HERE = pathlib.Path(__file__).resolve().parent


def sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def fetch_wheel(arch: str, folder: pathlib.Path) -> pathlib.Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(HERE / "onnxruntime.txt")]
    command += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]
    command += ["--platform", f"manylinux_2_27_{arch}", "--dest", str(folder)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(
            "setup/onnxruntime: pip could not fetch the ONNX Runtime wheel (its own message is above). "
            "Check the network and that `python3 -m pip --version` works (Debian: apt install python3-pip), then run again."
        )
    wheels = list(folder.glob("onnxruntime-*.whl"))
    if len(wheels) != 1:
        sys.exit(f"setup/onnxruntime: expected one wheel in {folder}, found {len(wheels)}")
    return wheels[0]


def extract(wheel: pathlib.Path, out: pathlib.Path, expected: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        # written beside the target and renamed, so that an interrupted run never leaves half a library
        partial = out / f".{LIBRARY}.{os.getpid()}"
        partial.write_bytes(archive.read(f"onnxruntime/capi/{LIBRARY}.{VERSION}"))
        found = sha256(partial)
        if found != expected:
            partial.unlink()
            sys.exit(f"setup/onnxruntime: {LIBRARY} has sha256 {found}, expected {expected}; nothing was installed")
        for notice in NOTICES:
            (out / notice).write_bytes(archive.read(f"onnxruntime/{notice}"))
        partial.chmod(0o644)
        partial.replace(out / LIBRARY)


def main() -> None:
    parser = argparse.ArgumentParser(description="fetch ONNX Runtime's shared library, pinned by hash")
    parser.add_argument("--arch", default=platform.machine(), help="x86_64 or aarch64 (default: this machine)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / ".tools" / "onnxruntime", help="target folder")
    arguments = parser.parse_args()
    expected = LIBRARY_SHA256.get(arguments.arch)
    if expected is None:
        sys.exit(f"setup/onnxruntime: no pinned library for {arguments.arch!r}; known: {', '.join(LIBRARY_SHA256)}")

    target = arguments.out / LIBRARY
    if target.is_file() and sha256(target) == expected:
        print(f"onnxruntime {VERSION} ({arguments.arch}): already at {target}")
        return
    print(f"onnxruntime {VERSION} ({arguments.arch}): fetching the wheel, about 17 MB ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        extract(fetch_wheel(arguments.arch, pathlib.Path(folder)), arguments.out, expected)
    print(f"onnxruntime {VERSION} ({arguments.arch}): {target}")


if __name__ == "__main__":
    main()
