#!/usr/bin/env python3
"""Installs what the tests' peers need: from PyPI (peers.txt, schemathesis.txt, python-client.txt, vectors.txt) into .tools/python-*, and, where Node.js 18 or later and
npm are here, from npm (setup/peers-node) into .tools/node-peers. A second run only looks at it.

Needs Python 3.9 or later with pip, for libosdp 3.10 or later; nothing is installed into that Python.
"""

import shutil
import subprocess
import sys

import python_packages


def node():
    """Installs the packages for Node.js, as their lock file pins them; says what is missing."""
    lock = python_packages.HERE / "peers-node" / "package-lock.json"
    target = python_packages.TOOLS / "node-peers"
    done = target / ".installed"
    if not (shutil.which("node") and shutil.which("npm")):
        print("peers: without node and npm the tests with another OpenID Provider are skipped")
        return
    if done.is_file() and done.read_text() == lock.read_text():
        print(f"peers: their packages are in {target}")
        return
    print("peers: installing oidc-provider (9 MB) ...", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(lock.parent, target)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=target, check=False).returncode != 0:
        sys.exit("setup/peers: npm could not install the packages (its message is above)")
    done.write_text(lock.read_text())


if not python_packages.install(
    "peers.txt",
    "python-peers",
    "peers: installing pymodbus, libosdp and standardwebhooks (less than 1 MB) ...",
    "setup/peers: pip could not install the packages (its message is above); Python 3.9 or later is needed",
):
    print(f"peers: their packages are in {python_packages.TOOLS / 'python-peers'}")
# The file of pins and the folder; what it is; its size; the oldest Python it runs on; what is left out without it.
APART = [
    ("schemathesis", "schemathesis", "15 MB", (3, 10), "the cloud is not held to its description by schemathesis"),
    ("python-client", "openapi-python-client", "20 MB", (3, 11), "no client is generated of the cloud's description"),
    ("sslyze", "sslyze", "30 MB", (3, 10), "the cloud's TLS is not scanned"),
    ("vectors", "cbor2, cryptography and pycddl", "20 MB", (3, 10), "the protocol's test vectors are read by its own code alone"),
]
for name, what, size, oldest, left_out in APART:
    folder = name if name.startswith("python-") else f"python-{name}"
    if sys.version_info < oldest:
        print(f"peers: without Python {oldest[0]}.{oldest[1]} or later {left_out}")
    elif not python_packages.install(
        f"{name}.txt",
        folder,
        f"peers: installing {what} ({size}) ...",
        f"setup/peers: pip could not install {what} (its message is above)",
    ):
        print(f"peers: {what} is in {python_packages.TOOLS / folder}")
node()
