"""`chatwright doctor`: what is missing is reported with a remedy, and the exit status is 1."""

import pytest

from chatwright.pipeline import machine_checks
from tests.cli.conftest import Command


def test_a_machine_that_meets_every_requirement_exits_with_status_0(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "NEEDED_BYTES", 0)
    outcome = command("doctor")
    assert outcome.status == 0, outcome.out
    assert "BAD" not in outcome.out
    assert "float32" in outcome.out


def test_each_requirement_that_is_not_met_is_reported_with_a_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "SERVING_PACKAGES", ("no_such_package",))
    monkeypatch.setattr(machine_checks, "available_memory", lambda: 10)
    outcome = command("doctor")
    assert outcome.status == 1
    bad = [line for line in outcome.out.splitlines() if line.startswith("BAD")]
    assert ["memory" in bad[0], "no_such_package" in bad[1]] == [True, True]
    assert all(" -> " in line for line in bad)
