"""An empty store in SQLite and, in the tier `ci`, in PostgreSQL: the same tests run on both."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from chatwright.store.database import Database
from chatwright.store.schema import METADATA
from chatwright.store.store import Store
from tests.store.postgresql_server import empty_database, postgresql_server

HEAD = "4"  # the last migration
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.ci)]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgresql_server() as address:
        yield address


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite store without rows: to copy it is faster than to migrate each time."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    Database(path).close()
    return path


@pytest.fixture(params=BOTH)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database without tables."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return empty_database(request.getfixturevalue("server"))


@pytest.fixture(params=BOTH)
def store(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> Iterator[Store]:
    """Yield an open store without rows."""
    if request.param == "sqlite":
        address = str(shutil.copy(migrated_file, tmp_path / "store.db"))
    else:
        address = request.getfixturevalue("server")
        empty_tables(address)
    with Store(address) as store:
        yield store


def empty_tables(server: str) -> None:
    """Delete all rows; make the tables first if a test left other ones."""
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        found = sa.inspect(connection).get_table_names()
        version = "SELECT version_num FROM alembic_version"
        is_whole = {*METADATA.tables, "alembic_version"} == set(found) and (
            connection.exec_driver_sql(version).scalars().all() == [HEAD]
        )
        if is_whole:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(METADATA.tables)}")
    engine.dispose()
    if not is_whole:
        empty_database(server)
