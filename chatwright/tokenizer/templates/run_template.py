"""Render a model's chat template on conversations, in a process with limits.

A template is a program from a stranger. It runs in minijinja (`render_program.py`), which gives it
no file, no network and no Python object, within limits of time and memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROGRAM = Path(__file__).with_name("render_program.py")
MAX_TEMPLATE = 200_000
"""Longest template, in characters."""
MAX_SECONDS = 10.0
"""Time of all renderings of a template. Those of known models take less than one second."""
MAX_BYTES = 2**29
"""Memory of the process."""
POLL_SECONDS = 0.05
REFUSES = "the template refuses it"
"""Beginning of the error that `render_program.raise_exception` raises."""


class TemplateFailed(Exception):
    """A template could not be run within its limits."""


@dataclass(frozen=True)
class Job:
    """One rendering: a conversation and the variables that the template reads."""

    messages: Sequence[dict[str, str]]
    """In the form of the OpenAI API."""
    variables: dict[str, Any] = field(default_factory=dict)
    date: str = "2026-01-01"
    """The date that the template takes for today's."""


@dataclass(frozen=True)
class Outcome:
    """What a rendering gave: a text, or an error."""

    text: str = ""
    error: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the template itself refuses the conversation, with raise_exception."""
        return REFUSES in self.error


def run_template(template: str, jobs: Sequence[Job]) -> list[Outcome]:
    """Render the template on each job. If the first fails, so do the others.

    Raises TemplateFailed if the template exceeds a limit.
    """
    if len(template) > MAX_TEMPLATE:
        raise TemplateFailed(f"it has more than {MAX_TEMPLATE:,} characters")
    request = {
        "template": template,
        "memory": 2 * MAX_BYTES,  # of addresses, of which a process needs more than of memory
        "jobs": [
            {"messages": list(job.messages), "variables": job.variables, "date": job.date}
            for job in jobs
        ],
    }
    results = _answer(json.dumps(request).encode())["results"]
    return [Outcome(result.get("text", ""), result.get("error", "")) for result in results]


def _answer(request: bytes) -> dict[str, Any]:
    # -P: the program's folder holds modules with names like those of the standard library.
    command = [sys.executable, "-P", str(PROGRAM)]
    # A file: `communicate` with a timeout does not continue to write what a pipe did not take.
    with tempfile.TemporaryFile() as file:
        file.write(request)
        file.seek(0)
        with subprocess.Popen(
            command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                output = _wait(process)
            finally:
                process.kill()
    try:
        return dict(json.loads(output))
    except ValueError:
        raise TemplateFailed("it ended the process that rendered it") from None


def _wait(process: subprocess.Popen[bytes]) -> bytes:
    """Return the program's output; TemplateFailed as soon as it exceeds a limit."""
    deadline = time.monotonic() + MAX_SECONDS
    while True:
        try:
            return process.communicate(timeout=POLL_SECONDS)[0]
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise TemplateFailed(f"it takes more than {MAX_SECONDS:.0f} seconds") from None
            if _memory(process.pid) > MAX_BYTES:
                raise TemplateFailed(f"it takes more than {MAX_BYTES >> 20} MiB") from None


def _memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0
