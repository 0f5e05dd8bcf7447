"""Copy a store while it is in use."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from chatwright.durable_file import sync_directory, sync_file
from chatwright.errors import InputError
from chatwright.store import audit
from chatwright.store.database import Database
from chatwright.store.identifiers import now
from chatwright.store.schema import BACKUPS

PAGES_AT_ONCE = 1000  # writers wait while these are copied


@dataclass(frozen=True)
class Backup:
    """A copy that was made on this machine."""

    path: str
    created: str


class Backups:
    """The backups of a store. Each is recorded, because a deletion does not reach them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, path: Path) -> Backup:
        """Write a new file with the state at one moment: a crash leaves the whole file or none.

        SQLite: a database like the store. PostgreSQL: an archive for pg_restore.
        Raises InputError if the file exists or the folder does not.
        """
        if path.exists() or not path.parent.is_dir():
            raise InputError(
                f"{path}: the file exists, or its folder does not.",
                remedy="Choose a new name in a folder that exists.",
                field="file",
                value=str(path),
            )
        temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            if self._database.is_sqlite:
                self._copy_sqlite(temporary)
            else:
                self._dump_postgresql(temporary)
            sync_file(temporary)
            os.replace(temporary, path)
            sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return self._record(Backup(str(path.resolve()), now()))

    def list(self) -> tuple[Backup, ...]:
        """Return the recorded backups, the oldest first; their files may be gone."""
        query = sa.select(BACKUPS).order_by(BACKUPS.c.created)
        with self._database.read() as connection:
            return tuple(Backup(row.path, row.created) for row in connection.execute(query))

    def _record(self, backup: Backup) -> Backup:
        with self._database.write() as connection:
            connection.execute(sa.delete(BACKUPS).where(BACKUPS.c.path == backup.path))
            row = {"path": backup.path, "created": backup.created}
            connection.execute(sa.insert(BACKUPS).values(row))
            audit.record(connection, audit.HOST, "backup", "store", path=backup.path)
        return backup

    def _copy_sqlite(self, path: Path) -> None:
        target = sqlite3.connect(path)
        try:
            with self._database.read() as connection:
                source = connection.connection.driver_connection
                assert isinstance(source, sqlite3.Connection), "the store is an SQLite file"
                # The transaction of `read` is open: all pages are of one moment.
                connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar()
                source.backup(target, pages=PAGES_AT_ONCE)
            target.execute("PRAGMA journal_mode=DELETE")
            found = target.execute("PRAGMA integrity_check").fetchone()
            assert found == ("ok",), "SQLite copies whole databases"
        finally:
            target.close()

    def _dump_postgresql(self, path: Path) -> None:
        program = shutil.which("pg_dump")
        if program is None:
            raise InputError(
                "A backup of PostgreSQL needs the program pg_dump, which is not installed.",
                remedy="Install PostgreSQL's client programs.",
                field="file",
            )
        url = self._database.postgresql_url
        environment = {**os.environ, "PGPASSWORD": url.password or ""}
        address = url.set(password=None, drivername="postgresql").render_as_string()
        arguments = [program, "--format=custom", f"--file={path}", f"--dbname={address}"]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"pg_dump failed: {done.stderr.strip()}")
