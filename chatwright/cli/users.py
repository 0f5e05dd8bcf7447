"""Commands `chatwright users`: accounts of a server with a log-in."""

import getpass
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatwright.cli.open_store import StoreAddress, open_store
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.store.store import Store
    from chatwright.store.users import User

app = typer.Typer(
    no_args_is_help=True,
    help="Make and change accounts. The first administrator is made here, on the host.",
)

Name = Annotated[str, typer.Argument(help="The name with which the user logs in.")]
RoleName = Literal["admin", "member", "rater", "learner"]
Role = Annotated[
    RoleName,
    typer.Option(
        "--role",
        help="admin: everything; member: chat and rate; rater: rate; learner: chat and lessons.",
    ),
]


@app.command("add")
def add(name: Name, role: Role = "member", store: StoreAddress = "") -> None:
    """Add a user. The password is asked for, or read from standard input."""
    with open_store(store) as opened:
        user = opened.users.add(name, role, _new_password())
    print(f"added {user.name}, {user.role}")


@app.command("list")
def list_users(store: StoreAddress = "") -> None:
    """List the users with their roles."""
    with open_store(store) as opened:
        users = opened.users.list()
    for user in users:
        state = "" if user.is_active else "  disabled"
        print(f"{user.name:24} {user.role:8} since {user.created[:10]}  {user.id}{state}")
    if not users:
        print("no users: chatwright users add NAME --role admin", file=sys.stderr)


@app.command("invite")
def invite(
    role: Role = "member",
    days: Annotated[int, typer.Option("--days", help="How long the code works.", min=1)] = 7,
    store: StoreAddress = "",
) -> None:
    """Print a code with which one person makes an account on the page. It is shown this once."""
    from datetime import timedelta

    with open_store(store) as opened:
        print(opened.invitations.create(role, lifetime=timedelta(days=days)))


@app.command("password")
def password(name: Name, store: StoreAddress = "") -> None:
    """Change a password; sessions of the user end."""
    with open_store(store) as opened:
        opened.users.set_password(_id_of(opened, name), _new_password())
    print(f"changed the password of {name}")


@app.command("role")
def role(
    name: Name,
    new: Annotated[RoleName, typer.Argument(help="The new role.")],
    store: StoreAddress = "",
) -> None:
    """Change a role."""
    with open_store(store) as opened:
        opened.users.set_role(_id_of(opened, name), new)
    print(f"{name} is {new}")


@app.command("rename")
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(help="The new name.")],
    store: StoreAddress = "",
) -> None:
    """Change a name. `owner` is the user of a server without a log-in."""
    with open_store(store) as opened:
        opened.users.rename(_id_of(opened, name), new)
    print(f"{name} is now {new}")


@app.command("disable")
def disable(name: Name, store: StoreAddress = "") -> None:
    """Refuse log-ins and end the sessions of a user. What the user wrote stays."""
    with open_store(store) as opened:
        opened.users.set_active(_id_of(opened, name), False)
    print(f"disabled {name}; allow log-ins again: chatwright users enable {name}")


@app.command("enable")
def enable(name: Name, store: StoreAddress = "") -> None:
    """Allow log-ins of a user again."""
    with open_store(store) as opened:
        opened.users.set_active(_id_of(opened, name), True)
    print(f"enabled {name}")


keys = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke a user's keys of the HTTP API.",
)
app.add_typer(keys, name="key")


@keys.command("add")
def add_key(
    name: Name,
    label: Annotated[str, typer.Argument(help="What the key is for, such as laptop.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="What the key is good for: chat, embeddings, metrics, admin. Repeat the option "
            "for several. A key never allows more than its user's role. By default chat.",
        ),
    ] = None,
    expires: Annotated[
        str,
        typer.Option("--expires", help="When the key ends: 30m, 12h, 90d, 4w. By default never."),
    ] = "",
    store: StoreAddress = "",
) -> None:
    """Make a key of a user and print it. It is shown this once; the store holds only its hash."""
    from datetime import timedelta

    from chatwright.cli.keys import parse_duration
    from chatwright.server.access.access_keys import known_scopes

    scopes = known_scopes(scope or ("chat",))
    lifetime = timedelta(seconds=parse_duration(expires)) if expires else None
    with open_store(store) as opened:
        key, secret = opened.api_keys.add(_id_of(opened, name), label, scopes, lifetime)
    print(secret)
    print(f"{key.id} for {name}: {', '.join(scopes)}. Keep it now.", file=sys.stderr)


@keys.command("list")
def list_keys(name: Name, store: StoreAddress = "") -> None:
    """List the keys of a user. The keys themselves are not stored."""
    with open_store(store) as opened:
        found = opened.api_keys.list(_id_of(opened, name))
    for key in found:
        ends = f"ends {key.expires[:16]}" if key.expires else "never ends"
        state = f"revoked {key.revoked[:16]}" if key.revoked else ends
        print(f"{key.id}  {key.name:20} {', '.join(sorted(key.scopes)):24} {state}")
    if not found:
        print(f"no keys: chatwright users key add {name} LABEL", file=sys.stderr)


@keys.command("revoke")
def revoke_key(
    name: Name,
    key: Annotated[str, typer.Argument(help="Id of the key.")],
    store: StoreAddress = "",
) -> None:
    """End a key of a user. Running servers refuse it from their next request."""
    from chatwright.store.errors import NotFound

    with open_store(store) as opened:
        try:
            opened.api_keys.revoke(_id_of(opened, name), key)
        except NotFound:
            raise InputError(
                f"{name} has no key {key!a}.",
                remedy=f"List them: chatwright users key list {name}.",
                field="key",
                value=key,
            ) from None
    print(f"revoked {key}")


def _id_of(opened: "Store", name: str) -> str:
    return find_user(opened, name).id


def find_user(opened: "Store", name: str) -> "User":
    """Return the user with a name or an id. Raises InputError."""
    for user in opened.users.list():
        if name in (user.name, user.id):
            return user
    raise InputError(
        f"There is no user {name!a}.",
        remedy="List them: chatwright users list.",
        field="name",
        value=name,
    )


def _new_password() -> str:
    """Ask twice at a terminal, or read one line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise InputError(
            "The two passwords differ.", remedy="Run the command again.", field="password"
        )
    return first
