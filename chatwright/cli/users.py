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
