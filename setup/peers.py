#!/usr/bin/env python3
"""Installs what the tests' peers need (setup/peers.txt) into .tools/python-peers; a second run only looks at it.

Needs Python 3.9 or later with pip, for libosdp 3.10 or later; nothing is installed into that Python.
"""

import python_packages

if not python_packages.install(
    "peers.txt",
    "python-peers",
    "peers: installing pymodbus and libosdp (less than 1 MB) ...",
    "setup/peers: pip could not install the packages (its message is above); Python 3.9 or later is needed",
):
    print(f"peers: their packages are in {python_packages.TOOLS / 'python-peers'}")
