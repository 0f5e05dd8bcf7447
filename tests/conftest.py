"""What every test stands on: no network beyond this machine, no global randomness, the shared data where it is there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(min(2, torch.get_num_threads()))

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LOOPBACK = ("127.0.0.1", "::1", "localhost", "testserver")


class NetworkBlocked(RuntimeError):
    """A test tried to reach another machine."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the public data sets in ../shared/data, which are not here")
    return SHARED


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise NetworkBlocked(f"a test tried to reach {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def global_generator_stands_still(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of ours draws from torch's global generator; tests that call foreign code which does are marked."""
    before = torch.get_rng_state()
    yield
    moved = not torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    if moved and request.node.get_closest_marker("uses_global_rng") is None:
        pytest.fail("torch's global generator was used; draw from a named one (devices.generator)")
