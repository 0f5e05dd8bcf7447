"""Open a database: connections that read, and one writer at a time.

SQLite is embedded: write-ahead log, `synchronous=FULL` (a commit is on disk before it returns),
foreign keys, `BEGIN IMMEDIATE`. Reading connections are `query_only` and never checkpoint. A lock
file keeps the writers of several processes apart, for example a server and `chatwright users add`:
SQLite below 3.51.3 may lose a commit when one process resets the log while another writes.

PostgreSQL is opened by its URL and needs the extra `postgresql`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.pool import StaticPool

from chatwright.errors import InputError
from chatwright.store.migrate import migrate

BUSY_SECONDS = 30
LOCK_SUFFIX = ".lock"
SQLITE_HEADER = b"SQLite format 3\0"
WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_SECONDS * 1000}",
    "mmap_size=0",
)
READER_PRAGMAS = (
    "query_only=ON",
    "wal_autocheckpoint=0",
    f"busy_timeout={BUSY_SECONDS * 1000}",
    "mmap_size=0",
)


class StoreBusy(OSError):
    """Another process has been writing to the store for too long."""


class Database:
    """A database with the tables of the store. Threads may share it."""

    def __init__(self, address: str | Path, *, synchronous: str = "FULL") -> None:
        """Open a database, create it if it is missing, and migrate it.

        Args:
            address: The path of an SQLite file, or postgresql://USER@HOST/NAME.
            synchronous: SQLite's setting. Tests lower it to see that they notice lost commits.

        Raises:
            InputError: The file is no SQLite database, or a later program made it.
        """
        self.path: Path | None = None
        self._reader: sa.Engine
        if "://" in str(address):
            self._writer = _open_postgresql(str(address))
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._file_lock: FileLock | None = None
        else:
            self.path = Path(address)
            _create_file(self.path)
            writer_pragmas = (*WRITER_PRAGMAS, f"synchronous={synchronous}")
            self._writer = _open_sqlite(self.path, writer_pragmas, "BEGIN IMMEDIATE", StaticPool)
            self._reader = _open_sqlite(self.path, READER_PRAGMAS, "BEGIN", None)
            self._file_lock = FileLock(f"{self.path}{LOCK_SUFFIX}", timeout=BUSY_SECONDS)
        self._write_lock = threading.Lock()
        try:
            with self.write() as connection:
                migrate(connection)
        except BaseException:
            self.close()
            raise

    @property
    def postgresql_url(self) -> sa.URL:
        """The address of a database in PostgreSQL, with its password."""
        return self._writer.url

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file."""
        return self.path is not None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction that commits at the end, or rolls back on an error.

        The commit is on disk when the block has been left. Raises StoreBusy.
        """
        with self._exclusive(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees one state of the database and changes nothing."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def maintain(self) -> Iterator[Any]:
        """Yield the driver's writing connection without a transaction, for VACUUM and the like."""
        with self._exclusive():
            engine = self._writer
            if not self.is_sqlite:
                engine = engine.execution_options(isolation_level="AUTOCOMMIT")
                with engine.connect() as connection:
                    yield connection.connection.dbapi_connection
                return
            connection_proxy = engine.raw_connection()
            try:
                yield connection_proxy.driver_connection
            finally:
                connection_proxy.close()

    def close(self) -> None:
        """Close all connections. SQLite then writes its log into the database."""
        with self._exclusive():
            self._reader.dispose()
            self._writer.dispose()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if self._file_lock is None:
            yield
            return
        with self._write_lock:
            try:
                self._file_lock.acquire()
            except Timeout:
                raise StoreBusy(
                    f"{self.path}: another process has been writing for {BUSY_SECONDS} seconds"
                ) from None
            try:
                yield
            finally:
                self._file_lock.release()


def _create_file(path: Path) -> None:
    """Create an SQLite file that only its owner can read; refuse a file of another kind."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise _no_database(path, "it is not a file") from None
        with path.open("rb") as file:
            header = file.read(len(SQLITE_HEADER))
        if header not in (b"", SQLITE_HEADER):
            raise _no_database(path, "it is not an SQLite database") from None
    except FileNotFoundError:
        raise _no_database(path, "its folder does not exist") from None


def _no_database(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} cannot be the store: {reason}.",
        remedy="Give a new file name, the file of a store, or postgresql://USER@HOST/NAME.",
        field="store",
        value=str(path),
    )


def _open_sqlite(
    path: Path, pragmas: tuple[str, ...], begin: str, pool: type[StaticPool] | None
) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        hide_parameters=True,  # errors hold no text of a conversation
        poolclass=pool,
        **({} if pool else {"pool_size": 8, "max_overflow": 64}),
    )

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below, not the driver's
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _open_postgresql(address: str) -> sa.Engine:
    url = sa.make_url(address)
    if url.get_backend_name() != "postgresql":
        raise InputError(
            f"A store in {url.get_backend_name()!a} is not supported.",
            remedy="Use a file name for SQLite, or postgresql://USER@HOST/NAME.",
            field="store",
            value=url.get_backend_name(),
        )
    try:
        return sa.create_engine(
            url.set(drivername="postgresql+psycopg"), hide_parameters=True, pool_pre_ping=True
        )
    except ModuleNotFoundError:
        raise InputError(
            "A store in PostgreSQL needs a driver that is not installed.",
            remedy="Install it: pip install 'chatwright[postgresql]'.",
            field="store",
            value="postgresql",
        ) from None
