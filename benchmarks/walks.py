"""Count the functions a reader must follow on two walks through the code.

    python benchmarks/walks.py MODEL DATA OUT

Walk 1 goes from the command `chatwright train sft` to the loss of the first batch. Walk 2 goes from
`chatwright chat MODEL` to loaded weights. A stop is a distinct function of the package that is
entered on the way, counted by `sys.setprofile`. Modules and class bodies do not count.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import chatwright

PACKAGE = Path(chatwright.__file__).parent


class Arrived(Exception):
    """The walk has reached its end."""


class Walk:
    """The distinct functions of the package entered until `is_end` is true for a return."""

    def __init__(self, is_end: Callable[[CodeType], bool]) -> None:
        self.is_end = is_end
        self.stops: dict[CodeType, str] = {}

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Count one call; end the walk when the last function returns."""
        code = frame.f_code
        if not code.co_filename.startswith(str(PACKAGE)):
            return
        if event == "call" and code.co_name[0] != "<" and code.co_flags & 0x2:
            file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            self.stops.setdefault(code, f"{file}:{code.co_qualname}")
        if event == "return" and self.is_end(code):
            sys.setprofile(None)
            raise Arrived

    def run(self, arguments: list[str]) -> list[str]:
        """Run a command until the walk ends and return the stops in order."""
        from chatwright.cli.app import app

        sys.setprofile(self.profile)
        try:
            app(arguments, standalone_mode=False)
        except Arrived:
            pass
        finally:
            sys.setprofile(None)
        return list(self.stops.values())


def to_first_loss(model: str, data: str, out: str) -> list[str]:
    """Return the stops from `chatwright train sft` to the loss of the first batch."""

    def is_loss(code: CodeType) -> bool:
        return code.co_name == "loss" and "training" in code.co_filename

    return Walk(is_loss).run(
        ["train", "sft", "--from", model, "--data", data, "--out", out, "loop.steps=2"]
    )


def to_loaded_weights(model: str) -> list[str]:
    """Return the stops from `chatwright chat MODEL` to loaded weights."""

    def is_load(code: CodeType) -> bool:
        file = Path(code.co_filename).name
        return code.co_name == "load" and file == "model_directory.py"

    return Walk(is_load).run(["chat", model])


def main() -> None:
    """Print both walks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model directory")
    parser.add_argument("data", help="conversations")
    parser.add_argument("out", help="an empty directory for the run")
    parser.add_argument("--list", action="store_true", help="print every stop")
    options = parser.parse_args()
    walks = {
        "train sft to its first loss": to_first_loss(options.model, options.data, options.out),
        "chat to loaded weights": to_loaded_weights(options.model),
    }
    for name, stops in walks.items():
        print(f"{name}: {len(stops)} stops")
        for stop in stops if options.list else []:
            print(f"    {stop}")


if __name__ == "__main__":
    main()
