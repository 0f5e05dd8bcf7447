"""Commands `chatwright store`: backups, checks and the feedback of the store."""

from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.open_store import StoreAddress, open_store

app = typer.Typer(
    no_args_is_help=True,
    help="Look after the store, which holds accounts, conversations and feedback.",
)


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="The new file.")], store: StoreAddress = ""
) -> None:
    """Copy the store while it is in use. To restore it, give the copy as --store.

    A copy of PostgreSQL is an archive for pg_restore.
    """
    with open_store(store) as opened:
        made = opened.backups.make(file)
    print(f"done: {made.path}")


@app.command("check")
def check(store: StoreAddress = "") -> None:
    """Verify the hash chain of the audit log, and print its last hash. Keep it elsewhere."""
    with open_store(store) as opened:
        last = opened.audit.verify()
    print(last or "the audit log is empty")


@app.command("log")
def log(
    limit: Annotated[int, typer.Option("--limit", help="Number of entries.", min=1)] = 50,
    store: StoreAddress = "",
) -> None:
    """Print the last entries of the audit log, the newest first."""
    with open_store(store) as opened:
        entries = opened.audit.entries(limit)
    for entry in entries:
        details = "forgotten" if entry.details is None else _details(dict(entry.details))
        print(f"{entry.time}  {entry.actor}  {entry.action}  {entry.subject}  {details}".rstrip())


@app.command("feedback")
def feedback(
    out: Annotated[Path, typer.Argument(help="The new snapshot, a file ending in .jsonl.")],
    previous: Annotated[
        Path | None,
        typer.Option("--previous", help="The snapshot before, whose hash the new one holds."),
    ] = None,
    store: StoreAddress = "",
) -> None:
    """Write the feedback of all users into a snapshot, to train on it: chatwright improve."""
    from chatwright.data.snapshot import read_snapshot
    from chatwright.pipeline.store_feedback import write_store_snapshot

    with open_store(store) as opened:
        before = None if previous is None else read_snapshot(previous)
        written = write_store_snapshot(opened, out, before)
    print(f"{len(written.feedback):,} pieces of feedback, sha256 {written.sha256}")
    print(f"done: {written.path}")


def _details(details: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in details.items())
