#!/usr/bin/env python3
"""Installs what the benchmarks' peers need (setup/bench.txt) into .tools/python-bench; a second run only looks at it.

Needs Python 3.10 to 3.12 with pip; nothing is installed into that Python.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
NEEDS = HERE / "bench.txt"
TARGET = HERE.parent / ".tools" / "python-bench"


def main():
    done = TARGET / ".installed"
    wanted = hashlib.sha256(NEEDS.read_bytes()).hexdigest() + sys.version
    if done.is_file() and done.read_text() == wanted:
        print(f"bench: the peers' packages are in {TARGET}")
        return
    print("bench: installing the peers' packages (ONNX Runtime, OpenCV, faiss: about 100 MB) ...", flush=True)
    shutil.rmtree(TARGET, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--no-warn-script-location", "--root-user-action=ignore"]
    command += ["--require-hashes", "-r", str(NEEDS), "--target", str(TARGET)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit("setup/bench: pip could not install the peers' packages (its message is above); Python 3.10 to 3.12 is needed")
    done.write_text(wanted)


if __name__ == "__main__":
    main()
