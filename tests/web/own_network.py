"""Run a module in a network namespace of its own, where no other machine can be reached."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = ["unshare", "--map-root-user", "--net", "sh", "-c"]
ADDRESS = "10.77.0.1"
"""An address of this machine, in the namespace, that is not a loopback address."""
START = f"ip link set lo up && ip address add {ADDRESS}/24 dev lo && exec "


def run_in_own_network(module: str) -> Any:
    """Return what a module prints as JSON; skip the test where this machine cannot do it."""
    if shutil.which("chromium") is None:
        pytest.skip("needs the browser chromium (apt-get install chromium)")
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs the commands unshare and ip (apt-get install util-linux iproute2)")
    if subprocess.run([*NAMESPACE, f"{START}true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a network namespace of its own, which this machine does not allow")
    command = [*NAMESPACE, f"{START}'{sys.executable}' -m {module}"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def reaches_elsewhere() -> bool:
    """Return whether a packet could leave this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of documentation; UDP sends nothing here
        except OSError:
            return False
    return True
