"""Rank a model's replies in the terminal: `chatwright rate DIR`."""

import getpass
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import ModelDirectory
from chatwright.cli.rating.keys import KeyboardKeys, Keys, PipedKeys
from chatwright.commands import command_line

if TYPE_CHECKING:
    from chatwright.cli.rating.session import RatingSession
    from chatwright.pipeline.collect import Candidates

FOLDER = "feedback"
"""Folder in the model's directory that holds the replies, the log and the snapshots."""
PROMPTS_FOR_ONE = 6
"""Prompts that are drawn for each one to rank: many get equal replies and are left out."""


def rate(
    directory: ModelDirectory,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help='File of prompts, such as lines of {"prompt": "Hello!"}. By default prompts of '
            "the starter corpus for a starter model, else general ones.",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="File of prompts with replies, such as chatwright compare --votes-out writes. "
            "Nothing is sampled then.",
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", help="Number of prompts to rank.", min=1)] = 30,
    replies: Annotated[
        int, typer.Option("--replies", help="Replies to each prompt.", min=2, max=9)
    ] = 2,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Temperature of the sampling.", min=0.0)
    ] = 0.8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of prompts and replies.")] = 0,
    rater: Annotated[
        str, typer.Option("--rater", help="Your name in the feedback; by default your user name.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the feedback; by default DIRECTORY/feedback."),
    ] = None,
) -> None:
    """Rank replies of a model: say which of two or more is better.

    Keys, without Enter: 1 or 2 for the better reply (of more replies, type the numbers from best
    to worst), = equal, b all bad, s skip, u undo, r reason, c write a better reply, q quit. Each
    decision is saved at once; the same command continues where you stopped.
    """
    from chatwright.cli.rating.loop import RatingLoop
    from chatwright.cli.rating.screen import RatingScreen
    from chatwright.cli.rating.session import RatingSession
    from chatwright.data.feedback_log import FeedbackLog

    folder = out or directory / FOLDER
    candidates = _candidates(directory, folder, prompts, pairs, count, replies, temperature, seed)
    folder.mkdir(parents=True, exist_ok=True)
    log = FeedbackLog(folder / "feedback.jsonl")
    session = RatingSession(candidates, log, rater or getpass.getuser())
    screen = RatingScreen()
    with suppress(KeyboardInterrupt):  # every decision is in the log already
        RatingLoop(session, screen, _keys()).run()
    _conclude(session, directory, folder, screen.note)


def _candidates(
    directory: Path,
    folder: Path,
    prompts: Path | None,
    pairs: Path | None,
    count: int,
    n_reply: int,
    temperature: float,
    seed: int,
) -> "list[Candidates]":
    from chatwright.cli.rating import sources
    from chatwright.cli.rating.candidate_file import read_candidates
    from chatwright.pipeline.collect import CollectConfig

    if pairs is not None:
        return read_candidates(pairs)
    if prompts is not None:
        chosen = sources.read_prompts(prompts)
    else:
        chosen = sources.own_prompts(directory, PROMPTS_FOR_ONE * count, seed)
    config = CollectConfig(n_reply=n_reply, temperature=temperature, seed=seed)
    return sources.sampled_candidates(directory, chosen, config, folder / "replies.jsonl", count)


def _keys() -> Keys:
    if sys.stdin.isatty() and sys.stdout.isatty():
        return KeyboardKeys()
    return PipedKeys(sys.stdin)


def _conclude(
    session: "RatingSession", directory: Path, folder: Path, note: Callable[[str], None]
) -> None:
    """Write a snapshot of the log, and say what comes next."""
    from chatwright.data.feedback_log import read_log
    from chatwright.data.snapshot import read_snapshot, write_snapshot

    left = len(session.candidates) - session.position
    note(f"{session.n_ranked} ranked, {session.n_correction} corrected, {left} left.")
    feedback = read_log(session.log.path).feedback if session.log.path.exists() else ()
    if not feedback:
        note("There is no feedback yet, so no snapshot was written.")
        return
    earlier = sorted(folder.glob("snapshot-*.jsonl"))
    previous = read_snapshot(earlier[-1]) if earlier else None
    if previous is not None and previous.feedback == feedback:
        path = previous.path
    else:
        path = folder / f"snapshot-{len(earlier) + 1:03}.jsonl"
        write_snapshot(path, feedback, previous)
    note(f"{len(feedback)} pieces of feedback in {path}")
    note(f"next: {command_line('improve', directory, '--feedback', path)}")
