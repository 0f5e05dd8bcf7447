"""A PostgreSQL server of Debian's packages in a temporary folder, under a user of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

ROLE = "chatwright"


def program_folder() -> Path | None:
    """Return the folder of the newest installed server, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parts[-3])
    return found[-1].parent if found else None


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Yield the address of the database "postgres"; skip the test if no server is installed.

    The server listens on a socket file only. It refuses to run as root, so it then runs as the
    user that the package made.
    """
    programs = program_folder()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    options: dict[str, str] = {}
    if os.getuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user postgres to run the server")
        options["user"] = "postgres"
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
    if options:
        shutil.chown(folder, options["user"])

    def run(*arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, cwd=folder, **options)

    data = str(folder / "data")
    control = str(programs / "pg_ctl")
    try:
        run(str(programs / "initdb"), "-D", data, "-U", ROLE, "--auth=trust", "-E", "UTF8", "-N")
        # The tests kill clients, never the server, so it need not wait for the disk.
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run(control, "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            yield f"postgresql://{ROLE}@/postgres?host={folder}"
        finally:
            run(control, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty_database(server: str) -> str:
    """Empty the server's database and return its address."""
    address = server.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return server
