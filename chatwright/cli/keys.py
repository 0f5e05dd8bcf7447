"""Commands `chatwright keys`: keys of the HTTP API, for servers that other machines reach."""

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.server.access.access_keys import AccessKey, KeyFile

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke the keys that a server asks for (chatwright serve --require-key).",
)

File = Annotated[
    Path | None,
    typer.Option("--keys", help="The file of keys; by default the one in your settings folder."),
]
DURATION = re.compile(r"([0-9]{1,6})(m|h|d|w)", re.ASCII)
SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="What the key is good for: chat, embeddings, metrics, admin (all). Repeat the "
            "option for several. By default chat and embeddings.",
        ),
    ] = None,
    expires: Annotated[
        str,
        typer.Option("--expires", help="When the key ends: 30m, 12h, 90d, 4w. By default never."),
    ] = "",
    file: File = None,
) -> None:
    """Make a key and print it. It is shown this once; the file holds only its hash."""
    seconds = parse_duration(expires) if expires else None
    keys = _key_file(file)
    text, key = keys.add(name, scope or ("chat", "embeddings"), seconds)
    print(text)
    print(
        f"{key.id} for {key.name}: {', '.join(key.scopes)}. Keep it now: it cannot be shown again. "
        f"Its hash is in {keys.path}.",
        file=sys.stderr,
    )


@app.command("list")
def list_keys(file: File = None) -> None:
    """List the keys: ids, names, scopes and when they end. The keys themselves are not stored."""
    keys = _key_file(file)
    found = keys.read()
    for key in found:
        print(f"{key.id}  {key.name:20} {', '.join(key.scopes):24} {_validity(key)}")
    if not found:
        print(f"no keys in {keys.path}: chatwright keys add NAME", file=sys.stderr)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Name or id of the key.")], file: File = None
) -> None:
    """Delete a key. Running servers refuse it from their next request."""
    found = _key_file(file).revoke(key)
    print(f"revoked {found.id} for {found.name}")


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as 12h; InputError for another text."""
    match = DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise InputError(
            f"--expires {text[:30]!a} is not a duration.",
            remedy="Write minutes, hours, days or weeks: 30m, 12h, 90d, 4w.",
            field="expires",
            value=text,
        )
    return int(match[1]) * SECONDS[match[2]]


def _key_file(path: Path | None) -> "KeyFile":
    from chatwright.server.access.access_keys import KeyFile, default_path

    return KeyFile(path or default_path())


def _validity(key: "AccessKey") -> str:
    if key.expires is None:
        return "never ends"
    verb = "ends" if key.is_valid(time.time()) else "ended"
    return f"{verb} {time.strftime('%Y-%m-%d %H:%M', time.localtime(key.expires))}"
