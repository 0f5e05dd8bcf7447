"""Rules for every test: no network beyond this machine, and no global random numbers."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples in every run; a slow machine is no failure.
settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")

torch.set_num_threads(min(2, torch.get_num_threads()))

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LOOPBACK = ("127.0.0.1", "::1", "localhost", "testserver")


class NetworkBlocked(RuntimeError):
    """A test tried to reach another machine."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of public data sets; without it the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the public data sets in ../shared/data, which are not here")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep results of the tests, and of programs they start, out of the user's cache folder."""
    os.environ["CHATWRIGHT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["CHATWRIGHT_STORE"] = str(tmp_path_factory.mktemp("store") / "store.db")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise NetworkBlocked(f"a test tried to reach {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def global_generator_is_unused(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which our code draws from torch's global generator.

    Tests that call other libraries which draw from it have the marker `uses_global_rng`.
    """
    before = torch.get_rng_state()
    yield
    is_used = not torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    if is_used and request.node.get_closest_marker("uses_global_rng") is None:
        pytest.fail("torch's global generator was used; draw from a named one (devices.generator)")
