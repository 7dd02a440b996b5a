#!/usr/bin/env python3
"""Installs what the benchmarks' peers need (setup/bench.txt) into .tools/python-bench; a second run only looks at it.

Needs Python 3.10 to 3.12 with pip; nothing is installed into that Python.
"""

import python_packages

if not python_packages.install(
    "bench.txt",
    "python-bench",
    "bench: installing the peers' packages (ONNX Runtime, OpenCV, faiss: about 100 MB) ...",
    "setup/bench: pip could not install the peers' packages (its message is above); Python 3.10 to 3.12 is needed",
):
    print(f"bench: the peers' packages are in {python_packages.TOOLS / 'python-bench'}")
