"""Submitted transactions, in `desk`: on the primary."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from backend.kit.database import Row, WriteSession
from indexer.schema import submitted_transaction as table


def get(session: WriteSession, chain_id: int, tx_hash: str) -> Row | None:
    """Return the row of a transaction."""
    return session.row(select(table).where(table.c.chain_id == chain_id, table.c.tx_hash == tx_hash))


def add(session: WriteSession, chain_id: int, **values: Any) -> None:
    """Keep a transaction; one that is kept already stays as it is."""
    session.run(insert(table).values(chain_id=chain_id, **values).on_conflict_do_nothing())


def mark(session: WriteSession, chain_id: int, tx_hash: str, state: str, error: str | None) -> None:
    """Record how the broadcast went."""
    session.run(
        update(table).where(table.c.chain_id == chain_id, table.c.tx_hash == tx_hash).values(state=state, error=error)
    )


def rivals(session: WriteSession, chain_id: int, sender: str, nonce: int, tx_hash: str) -> list[str]:
    """Return the hashes of other transactions of that sender and nonce."""
    rows = session.rows(
        select(table.c.tx_hash).where(
            table.c.chain_id == chain_id,
            table.c.sender == sender,
            table.c.nonce == nonce,
            table.c.tx_hash != tx_hash,
        )
    )
    return [row["tx_hash"] for row in rows]
