#!/usr/bin/env python3
"""Writes a bill of materials (CycloneDX 1.5, JSON) of each program that is shipped into target/sbom: what cargo links into it, for
Linux on x86-64 and arm64, with versions, licences and checksums. Each is held to the schema, strictly, and to Cargo.lock. Needs
cargo-cyclonedx and Python 3.11 or later with pip; nothing is installed into that Python."""

import json
import pathlib
import subprocess
import sys
import tomllib

import python_packages

ROOT = python_packages.HERE.parent
OUT = ROOT / "target" / "sbom"
# The program, and the folder of its crate.
PROGRAMS = {"cardead": "daemon", "cardea-cloud": "cloud-api"}
python_packages.install(
    "sbom.txt",
    "python-sbom",
    "sbom: installing cyclonedx-python-lib (5 MB) ...",
    "setup/sbom: pip could not install cyclonedx-python-lib (its message is above)",
)
sys.path.insert(0, str(python_packages.TOOLS / "python-sbom"))
from cyclonedx.schema import SchemaVersion  # noqa: E402
from cyclonedx.validation.json import JsonStrictValidator  # noqa: E402


def bills():
    """The bill of each program. cargo-cyclonedx writes one beside the manifest of every crate: those are taken away."""
    command = ["cargo", "cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--target", "all", "--no-build-deps"]
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    try:
        subprocess.run([*command, "--override-filename", "sbom.cdx"], cwd=ROOT, check=True)
        return {program: (ROOT / folder / "sbom.cdx.json").read_text() for program, folder in PROGRAMS.items()}
    finally:
        for member in members:
            (ROOT / member / "sbom.cdx.json").unlink(missing_ok=True)


def check(program, text, locked):
    """What is in a bill, or an end with what is wrong."""
    if (error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)) is not None:
        sys.exit(f"sbom: the bill of {program} is not CycloneDX 1.5: {error}")
    bill = json.loads(text)
    parts = {(part["name"], part["version"]) for part in bill["components"]}
    strangers = sorted(parts - locked)
    if strangers or not parts:
        sys.exit(f"sbom: the bill of {program} has what Cargo.lock has not: {strangers or 'nothing at all'}")
    return len(parts)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    locked = {(package["name"], package["version"]) for package in lock["package"]}
    for program, text in bills().items():
        count = check(program, text, locked)
        (OUT / f"{program}.cdx.json").write_text(text)
        print(f"sbom: target/sbom/{program}.cdx.json, {count} parts")


main()
