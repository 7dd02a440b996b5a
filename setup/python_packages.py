"""Installs pinned Python packages into a folder of .tools; nothing is installed into the Python that runs this."""

import hashlib
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = HERE.parent / ".tools"


def install(needs, target, announce, failure):
    """Installs what setup/`needs` pins into .tools/`target`, if that or the Python has changed; whether it did."""
    needs, target = HERE / needs, TOOLS / target
    done = target / ".installed"
    wanted = hashlib.sha256(needs.read_bytes()).hexdigest() + sys.version
    if done.is_file() and done.read_text() == wanted:
        return False
    print(announce, flush=True)
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--no-warn-script-location", "--root-user-action=ignore"]
    command += ["--require-hashes", "-r", str(needs), "--target", str(target)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(failure)
    done.write_text(wanted)
    return True
