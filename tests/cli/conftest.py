"""Fixtures for tests of the command line."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chatwright.cli import app


@dataclass(frozen=True)
class Outcome:
    """What one command did: exit status, both outputs, and the error it ended with."""

    status: int
    out: str
    err: str
    error: Exception | None

    @property
    def last_line(self) -> str:
        return self.err.strip().splitlines()[-1]

    @property
    def text(self) -> str:
        return self.out + self.err


Command = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs `chatwright ARGUMENTS` in this process."""
    report = app.report

    def run(*arguments: object) -> Outcome:
        errors: list[Exception] = []

        def remember(error: Exception) -> int:
            errors.append(error)
            return report(error)

        monkeypatch.setattr(sys, "argv", ["chatwright", *map(str, arguments)])
        monkeypatch.setattr(app, "report", remember)
        with pytest.raises(SystemExit) as exited:
            app.main()
        printed = capsys.readouterr()
        status = int(exited.value.code or 0)
        return Outcome(status, printed.out, printed.err, errors[0] if errors else None)

    return run
