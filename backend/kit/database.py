"""Two session types: a `ReadSession` is one snapshot of the read server, a `WriteSession` a transaction of the primary.

They are distinct types so that a query for one is not run on the other by mistake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Executable, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from backend.kit.problems import NotReady

Row = dict[str, Any]


class _Session:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: Executable) -> list[Row]:
        """Run a query and return its rows."""
        return [dict(row) for row in self._connection.execute(statement).mappings()]

    def row(self, statement: Executable) -> Row | None:
        """Run a query and return its first row, if any."""
        found = self._connection.execute(statement).mappings().first()
        return dict(found) if found is not None else None

    @property
    def driver(self) -> Any:
        """Return the psycopg connection underneath, for queries that the indexer keeps."""
        return self._connection.connection.driver_connection


class ReadSession(_Session):
    """Reads of `mirror`: one repeatable-read snapshot, perhaps of a replica."""


class WriteSession(_Session):
    """Writes, and reads of `desk`: one transaction of the primary, committed when its block ends well."""

    def run(self, statement: Executable) -> int:
        """Run a statement and return how many rows it touched."""
        return self._connection.execute(statement).rowcount


class Database:
    """The connections to both servers."""

    def __init__(self, primary: str, replica: str, size: int) -> None:
        self._write = create_engine(primary, pool_size=size, max_overflow=size)
        self._read = create_engine(
            replica,
            pool_size=size,
            max_overflow=size,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )

    def close(self) -> None:
        """Close all connections."""
        self._write.dispose()
        self._read.dispose()

    @contextmanager
    def read(self) -> Iterator[ReadSession]:
        """Open a snapshot.

        Raises:
            NotReady: the server does not answer.
        """
        with _answering(self._read) as connection:
            yield ReadSession(connection)

    @contextmanager
    def write(self) -> Iterator[WriteSession]:
        """Open a transaction of the primary.

        Raises:
            NotReady: the server does not answer.
        """
        with _answering(self._write) as connection:
            yield WriteSession(connection)


@contextmanager
def _answering(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, NoConnection) as error:
        raise NotReady("The database does not answer; try again.", headers={"Retry-After": "1"}) from error
