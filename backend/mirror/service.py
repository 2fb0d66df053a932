"""Opening views of the mirror, and waiting for it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio import to_thread
from sqlalchemy import and_, select
from sqlalchemy.exc import ProgrammingError

from backend.kit.database import Database, ReadSession, Row
from backend.kit.problems import IndexBehind, InvalidRequest, NotFound, NotReady
from backend.mirror.view import Heights, View
from indexer import schema

FOLLOWER_SECONDS = 0.1
POLL_SECONDS = 0.005
# Another node may be a little ahead of ours; a block further off than this is a mistake, not a wait.
FUTURE_BLOCKS = 1000


class Mirror:
    """The mirror of one chain."""

    def __init__(self, database: Database, chain_id: int, wait_seconds: float) -> None:
        self.database = database
        self.chain_id = chain_id
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._follower: tuple[float, Row | None] | None = None

    @contextmanager
    def view(self, as_of_block: int | None = None) -> Iterator[View]:
        """Open a snapshot at the newest block, or at a past one.

        Raises:
            IndexBehind: the mirror has not reached `as_of_block`.
            NotFound: that block lies before the deployment.
            NotReady: there is no mirror yet.
        """
        heights = self.heights()
        with self.database.read() as session:
            newest = self._newest(session)
            at = newest if as_of_block is None else self._header(session, as_of_block, newest["block_number"])
            yield View(
                session,
                self.chain_id,
                at["block_number"],
                at["hash"],
                at["time"],
                heights,
                past=at["block_number"] < newest["block_number"],
            )

    def follower(self) -> Row | None:
        """Return what the follower last wrote of itself, at most 100 ms old; None before its first start."""
        with self._lock:
            now = time.monotonic()
            if self._follower is None or now - self._follower[0] > FOLLOWER_SECONDS:
                with self.database.write() as session:
                    table = schema.follower
                    found = _existing(session.row, select(table).where(table.c.chain_id == self.chain_id))
                self._follower = (now, found)
            return self._follower[1]

    def heights(self) -> Heights:
        """Return the head, safe and finalized block as the follower last saw them; -1 for none."""
        row = self.follower() or {}
        return Heights(
            *(-1 if (at := row.get(f"{name}_number")) is None else at for name in ("head", "safe", "finalized"))
        )

    def indexed(self) -> int:
        """Return the newest block in the mirror."""
        with self.database.read() as session:
            number: int = self._newest(session)["block_number"]
            return number

    async def wait(self, block: int) -> None:
        """Return once the mirror has `block`, holding no thread meanwhile.

        Raises:
            IndexBehind: it does not come in time.
        """
        await to_thread.run_sync(self._not_future, block)
        deadline = time.monotonic() + self._wait_seconds
        while (indexed := await to_thread.run_sync(self.indexed)) < block:
            if time.monotonic() > deadline:
                raise IndexBehind(
                    f"The mirror is at block {indexed}, {block - indexed} behind; ask again.",
                    headers={"Retry-After": "1"},
                )
            await asyncio.sleep(POLL_SECONDS)

    def _not_future(self, block: int) -> None:
        head = self.heights().head
        if block > head + FUTURE_BLOCKS:
            raise InvalidRequest(f"Block {block} is not mined; the head is {head}.")

    def _newest(self, session: ReadSession) -> Row:
        cursor, header = schema.cursor, schema.header
        found = _existing(
            session.row,
            select(header.c.block_number, header.c.hash, header.c.time)
            .join(cursor, and_(cursor.c.chain_id == header.c.chain_id, cursor.c.block_number == header.c.block_number))
            .where(header.c.chain_id == self.chain_id),
        )
        if found is None:
            raise NotReady("The mirror is empty: the indexer has not begun.", headers={"Retry-After": "1"})
        return found

    def _header(self, session: ReadSession, block: int, indexed: int) -> Row:
        if block > indexed:
            self._not_future(block)
            raise IndexBehind(
                f"The mirror is at block {indexed}; {block} is not there yet.", headers={"Retry-After": "1"}
            )
        header = schema.header
        found = session.row(
            select(header.c.block_number, header.c.hash, header.c.time).where(
                header.c.chain_id == self.chain_id, header.c.block_number == block
            )
        )
        if found is None:
            raise NotFound(f"Block {block} lies before the deployment of the contracts.")
        return found


def _existing(query: Any, statement: Any) -> Row | None:
    try:
        found: Row | None = query(statement)
    except ProgrammingError as error:
        raise NotReady("The database has no schema yet: run `python -m indexer migrate`.") from error
    return found
