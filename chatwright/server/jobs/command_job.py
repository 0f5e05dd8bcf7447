"""One command of Chatwright in its own process, such as `chatwright run RECIPE --json`.

The web application imports no torch, so it trains nothing itself. A thread reads what the command
prints: JSON objects are progress, messages and results; other lines are kept as text. Only the
newest lines are kept. `stop` asks the command to save its state and end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

from chatwright.commands import command_line

JobState = Literal["running", "finished", "stopped", "failed"]
MAX_LINES = 200
MAX_POINTS = 2_000
"""Number of losses that are kept; of more, every second one is dropped."""
STOPPED = 130
"""Exit status of a command that saved its state because it was asked to stop."""
LOW_PRIORITY = 5
"""The nice value of a command with few threads, where the system has one."""
STOP_SECONDS = 20.0
"""Time that a stopped command has to save its state before it is ended."""


class CommandJob:
    """A command that runs, or has ended."""

    def __init__(self, arguments: Sequence[str], n_thread: int | None = None) -> None:
        """Start `python -m chatwright ARGUMENTS` in the folder of this process.

        Args:
            arguments: The words after `chatwright`.
            n_thread: Threads that the command computes with, at a lower priority than the replies;
                None: all of them, at the same priority.
        """
        self.command = command_line(*arguments)
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._progress: dict[str, Any] = {}
        self._curve: list[tuple[int, float]] = []
        self._result: dict[str, Any] = {}
        self._is_stop_asked = False
        self._began = time.monotonic()
        self._seconds: float | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chatwright", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **_threads(n_thread)},
        )
        if n_thread is not None and hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, LOW_PRIORITY)
        self._reader = threading.Thread(target=self._read, name="job", daemon=True)
        self._reader.start()

    @property
    def state(self) -> JobState:
        """Whether the command runs, and how it ended."""
        # Until the reader has the last line, the result is not known.
        if self._reader.is_alive():
            return "running"
        status = self._process.poll()
        if status == 0:
            return "finished"
        return "stopped" if status == STOPPED or self._is_stop_asked else "failed"

    @property
    def result(self) -> dict[str, Any]:
        """What the command reports at its end; empty before."""
        with self._lock:
            return dict(self._result)

    def stop(self) -> None:
        """Ask the command to save its state and end; return at once."""
        self._is_stop_asked = True
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float | None = None) -> JobState:
        """Wait until the command has ended, at most `seconds`; return its state."""
        self._reader.join(seconds)
        return self.state

    def close(self) -> None:
        """Stop the command and wait for its end; kill it if it takes too long."""
        self.stop()
        self._reader.join(STOP_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
        self._reader.join()

    def to_json(self) -> dict[str, Any]:
        """Return state, command, newest lines, progress, losses, and seconds since the start."""
        state = self.state
        with self._lock:
            seconds = self._seconds or time.monotonic() - self._began
            return {
                "state": state,
                "command": self.command,
                "seconds": round(seconds, 1),
                "lines": list(self._lines),
                "progress": dict(self._progress) or None,
                "curve": [list(point) for point in self._curve],
                "error": self._lines[-1] if state == "failed" and self._lines else "",
            }

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                if text := line.rstrip():
                    self._take(text)
        self._process.wait()
        self._seconds = time.monotonic() - self._began

    def _take(self, text: str) -> None:
        """Keep one line of output."""
        record = _record(text)
        with self._lock:
            if record is None:
                self._lines.append(text)
            elif "say" in record or "warning" in record:
                self._lines.append(str(record.get("say") or record["warning"]))
            elif "stage" in record and "step" in record:
                self._take_progress(record)
            else:
                self._result = record

    def _take_progress(self, record: dict[str, Any]) -> None:
        if record["stage"] != self._progress.get("stage"):
            self._curve = []  # losses of different stages are not comparable
        names = ("stage", "step", "steps", "loss", "seconds", "seconds_left")
        self._progress = {name: record.get(name) for name in names}
        is_step = not record.get("evaluation") and isinstance(record.get("loss"), int | float)
        if is_step:
            self._curve.append((int(record["step"]), float(record["loss"])))
        if len(self._curve) > MAX_POINTS:
            self._curve = self._curve[::2]


def _threads(n_thread: int | None) -> dict[str, str]:
    return {} if n_thread is None else {"OMP_NUM_THREADS": str(n_thread)}


def _record(text: str) -> dict[str, Any] | None:
    """Return the JSON object in a line, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
