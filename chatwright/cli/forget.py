"""Delete a user with everything the user wrote: `chatwright forget USER`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.open_store import StoreAddress, open_store

if TYPE_CHECKING:
    from chatwright.store.deletion import Deletion


def forget(
    user: Annotated[str, typer.Argument(help="Name or id of the user.")],
    models: Annotated[
        list[Path] | None,
        typer.Option(
            "--models",
            help="A folder to search for snapshots with the user's ratings, and for models "
            "trained on them, such as runs. Repeat the option for several.",
        ),
    ] = None,
    store: StoreAddress = "",
) -> None:
    """Delete a user's account, conversations, feedback and keys from the store.

    No byte of them stays in its files. A running server erases them from its memory within seconds.
    Backups, snapshots and models are not changed: the command
    names those that hold something of the user.
    """
    from chatwright.cli.users import find_user
    from chatwright.store.deletion import forget_user

    with open_store(store) as opened:
        deletion = forget_user(opened.database, find_user(opened, user).id)
    print(
        f"deleted {deletion.n_conversation:,} conversations, {deletion.n_message:,} messages, "
        f"{deletion.n_feedback:,} pieces of feedback"
    )
    _print_left(deletion, models or [])


def _print_left(deletion: "Deletion", folders: list[Path]) -> None:
    from chatwright.pipeline.user_traces import find_traces

    for backup in deletion.backups:
        print(f"left: backup {backup.path} of {backup.created[:19]}")
    for snapshot in deletion.snapshots:
        print(f"left: snapshot {snapshot.path}, sha256 {snapshot.sha256}")
    exported = {snapshot.sha256 for snapshot in deletion.snapshots}
    listed = {snapshot.path for snapshot in deletion.snapshots}
    for folder in folders:
        traces = find_traces(folder, deletion.user_id, exported)
        for path in traces.snapshots:
            if str(path.resolve()) not in listed:
                print(f"left: snapshot {path}")
        for trained in traces.versions:
            path = trained.directory / trained.version.path
            print(f"left: model {trained.version.name} of {trained.directory}, {path}")
