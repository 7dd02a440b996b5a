#!/usr/bin/env python3
"""Installs what the tests' peers need (setup/peers.txt) into .tools/python-peers; a second run only looks at it.

Needs Python 3.9 or later with pip; nothing is installed into that Python.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
NEEDS = HERE / "peers.txt"
TARGET = HERE.parent / ".tools" / "python-peers"


def main():
    done = TARGET / ".installed"
    wanted = hashlib.sha256(NEEDS.read_bytes()).hexdigest() + sys.version
    if done.is_file() and done.read_text() == wanted:
        print(f"peers: their packages are in {TARGET}")
        return
    print("peers: installing pymodbus (less than 1 MB) ...", flush=True)
    shutil.rmtree(TARGET, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--no-warn-script-location", "--root-user-action=ignore"]
    command += ["--require-hashes", "-r", str(NEEDS), "--target", str(TARGET)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit("setup/peers: pip could not install the packages (its message is above); Python 3.9 or later is needed")
    done.write_text(wanted)


if __name__ == "__main__":
    main()
