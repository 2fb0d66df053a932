"""Dropping what the database holds of one chain, to begin anew."""

from __future__ import annotations

from typing import Any

import psycopg

from indexer.desk import Desk

#: Of `desk`, what belongs to (chain id, genesis, deployment). Submitted transactions and idempotency records stay.
_DESK = ("follower", "cursor_log", "orphan_log", "reorg", "reconciliation", "opening")


def reset(connection: psycopg.Connection[Any], chain_id: int) -> None:
    """Delete the chain's mirror and the follower's rows.

    Raises:
        Locked: a process follows the chain.
    """
    Desk(connection, chain_id).hold_lock(0)
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'mirror'::regnamespace AND relkind = 'r'"
    )
    names = [f'mirror."{name}"' for (name,) in tables] + [f"desk.{name}" for name in _DESK]
    with connection.transaction():
        for name in names:
            connection.execute(f"DELETE FROM {name} WHERE chain_id = %s", [chain_id])
