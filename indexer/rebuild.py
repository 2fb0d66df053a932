"""Folding raw logs again: into a schema beside the mirror, for a check, or to take its place when the fold has changed.

Only the tables that hold what the node said are read, so a fold whose own tables have changed can be replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from indexer.desk import Desk
from indexer.errors import BadMirror, Moved
from indexer.events import Log
from indexer.fold import Fold, Genesis
from indexer.source import Batch, Header
from indexer.store import Store

logger = logging.getLogger(__name__)

BLOCKS_A_READ = 250
LOGS_A_BATCH = 5_000
BESIDE = "mirror_rebuilt"


class Chain(NamedTuple):
    """A mirrored chain, as its mirror states it."""

    chain_id: int
    genesis_hash: str
    deployment: str
    first_block: int

    def genesis(self) -> Genesis:
        """Return the deployment that the mirror was folded for."""
        addresses = dict(pair.split("=") for pair in self.deployment.lower().split())
        return Genesis(addresses["identityregistry"], addresses["leasebook"], addresses["usagemeter"], self.first_block)


def chains(connection: psycopg.Connection[Any]) -> list[Chain]:
    """Return the chains that the mirror holds."""
    rows = connection.execute(
        "SELECT chain_id, genesis_hash, deployment, first_block FROM mirror.chain ORDER BY chain_id"
    )
    return [Chain(*row) for row in rows]


def rebuild(connection: psycopg.Connection[Any], sqlalchemy_url: str) -> None:
    """Fold every chain of the mirror again and put the result in its place, in one transaction.

    Args:
        connection: of the writer; it takes the lock of every chain, so that none moves meanwhile.
        sqlalchemy_url: of the same database.

    Raises:
        Locked: one of the chains is being followed by another process.
        FoldError: the raw logs contradict the books; the mirror stays as it was.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    from indexer import schema

    found = chains(connection)
    for chain in found:
        Desk(connection, chain.chain_id).hold_lock(0)
    engine = create_engine(sqlalchemy_url, poolclass=NullPool)
    with engine.begin() as making:
        schema.drop_mirror(making, BESIDE)
        schema.create_mirror(making, BESIDE)
    for chain in found:
        fold_again(connection, connection, chain, BESIDE)
    with engine.begin() as swapping:
        schema.swap_mirror(swapping, BESIDE)


def fold_again(
    source: psycopg.Connection[Any], connection: psycopg.Connection[Any], chain: Chain, schema: str
) -> Store:
    """Fold the raw logs that ``source`` reads in the mirror into the empty mirror ``schema``.

    Raises:
        BadMirror: blocks are missing.
        FoldError: the logs contradict the books.
    """
    store = Store(connection, chain.chain_id, Fold(chain.genesis()), chain.genesis(), schema)
    row = source.execute(
        "SELECT block_number, hash, parent_hash, time FROM mirror.header WHERE chain_id = %s AND block_number = %s",
        [chain.chain_id, chain.first_block - 1],
    ).fetchone()
    if row is None:
        raise BadMirror(f"the mirror lacks the header of block {chain.first_block - 1}, where it began")
    store.begin(chain.genesis_hash, chain.deployment, Header._make((*row, 0)))
    for batch in _raw_batches(source, chain):
        try:
            store.apply(batch)
        except Moved as torn:
            raise BadMirror(f"the mirror lacks blocks: {torn}") from torn
    return store


def _raw_batches(connection: psycopg.Connection[Any], chain: Chain) -> Iterator[Batch]:
    """Return what the mirror holds of a chain, as the node once gave it."""
    start = chain.first_block
    while headers := _headers(connection, chain.chain_id, start):
        yield from _cut(headers, _logs(connection, chain.chain_id, headers))
        start = headers[-1].number + 1


def _headers(connection: psycopg.Connection[Any], chain_id: int, start: int) -> list[Header]:
    rows = connection.execute(
        "SELECT block_number, hash, parent_hash, time FROM mirror.header "
        "WHERE chain_id = %s AND block_number >= %s ORDER BY block_number LIMIT %s",
        [chain_id, start, BLOCKS_A_READ],
    )
    return [Header._make((*row, 0)) for row in rows]


def _logs(connection: psycopg.Connection[Any], chain_id: int, headers: list[Header]) -> list[Log]:
    times = {header.number: header.time for header in headers}
    rows = connection.execute(
        "SELECT l.block_number, l.log_index, l.tx_index, h.hash, lower(a.address), l.topics, l.data "
        "FROM mirror.raw_log l JOIN mirror.address a ON a.chain_id = l.chain_id AND a.id = l.address "
        "JOIN mirror.hash h ON h.chain_id = l.chain_id AND h.id = l.tx_hash "
        "WHERE l.chain_id = %s AND l.block_number BETWEEN %s AND %s ORDER BY l.block_number, l.log_index",
        [chain_id, headers[0].number, headers[-1].number],
    )
    return [
        Log(
            number,
            index,
            tx_index,
            tx_hash,
            times[number],
            address,
            tuple([topics[at : at + 32] for at in range(0, len(topics), 32)]),
            data,
        )
        for number, index, tx_index, tx_hash, address, topics, data in rows
    ]


def _cut(headers: list[Header], logs: list[Log]) -> Iterator[Batch]:
    """Cut at block boundaries into batches of at least 5,000 logs; the last may have fewer."""
    batch = Batch([], [])
    waiting = iter(logs)
    log = next(waiting, None)
    for header in headers:
        batch.headers.append(header)
        while log is not None and log.block == header.number:
            batch.logs.append(log)
            log = next(waiting, None)
        if len(batch.logs) >= LOGS_A_BATCH:
            yield batch
            batch = Batch([], [])
    if batch.headers:
        yield batch
