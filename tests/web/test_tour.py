"""A tour of the whole page without a network: nothing is asked of another origin."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ci

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = ["unshare", "--map-root-user", "--net", "sh", "-c"]
START = "ip link set lo up && exec "
VIEWS = ["chat", "inside", "lessons", "ranking", "teach", "runs"]


@pytest.fixture(scope="module")
def tour():
    """Make the tour where only loopback exists; return what it recorded."""
    if shutil.which("chromium") is None:
        pytest.skip("needs the browser chromium (apt-get install chromium)")
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs the commands unshare and ip (apt-get install util-linux iproute2)")
    if subprocess.run([*NAMESPACE, f"{START}true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a network namespace of its own, which this machine does not allow")
    command = [*NAMESPACE, f"{START}'{sys.executable}' -m tests.web.tour"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def test_the_page_works_whole_without_a_network(tour):
    assert not tour["reaches_elsewhere"]
    assert tour["seen"] == VIEWS
    assert tour["errors"] == []


def test_nothing_is_asked_of_another_origin(tour):
    own = (*(f"{address}/" for address in tour["addresses"]), "about:", "blob:", "data:")
    assert len(tour["requests"]) > 20
    assert [url for url in tour["requests"] if not url.startswith(own)] == []


def test_nothing_is_asked_that_the_server_does_not_have(tour):
    assert tour["refused"] == []
