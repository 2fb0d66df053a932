"""How the service is: from the follower's row, the node and the reconciler's results."""

from datetime import UTC, datetime
from typing import Any

from backend import __version__
from backend.chain.node import Head
from backend.kit.database import Row
from backend.kit.problems import NodeUnavailable, NotReady
from backend.mirror.view import View
from backend.services import Held
from indexer import migrate
from indexer.schema import tables
from indexer.status import status as indexer_status

SILENT_SECONDS = 15.0


def _standing(held: Held) -> dict[str, Any]:
    with held.mirror.database.write() as session:
        return indexer_status(session.driver, held.mirror.chain_id)


def _head(held: Held) -> Head | None:
    try:
        return held.contracts.node.head()
    except NodeUnavailable:
        return None


def _reconciled(standing: dict[str, Any]) -> dict[str, Any]:
    totals = standing["reconciliation"]
    blocks, sweeps = totals["block"], totals["sweep"]
    compared = blocks["blocks_compared"] - blocks["blocks_not_compared"]
    mirrored = standing["indexed_block"] - standing["first_block"] + 1
    return {
        "last_block": blocks["last_block"],
        "blocks_checked": compared,
        "accounts_compared": blocks["accounts_compared"] + sweeps["accounts_compared"],
        "node_calls": blocks["node_calls"] + sweeps["node_calls"],
        "differences": blocks["differences"] + sweeps["differences"],
        "unreconciled": max(0, mirrored - compared),
    }


def status(held: Held, view: View) -> Row:
    """Return all of it."""
    standing = _standing(held)
    head = _head(held)
    tokens = view.session.rows(view.current("token").order_by(tables["token"].c.token))
    deployment = held.contracts.deployment
    moved = standing["head_moved_at"]
    newest = max(head.number if head else 0, view.heights.head, view.block)
    return {
        "chain_id": held.mirror.chain_id,
        "genesis_hash": deployment.genesis_hash,
        "head": None if head is None else {"number": head.number, "hash": head.hash, "time": head.time},
        "indexed": {"number": view.block, "hash": view.hash, "time": view.time},
        "safe": standing["safe_number"],
        "finalized": standing["finalized_number"],
        "lag": {
            "blocks": newest - view.block,
            "seconds": None if moved is None else round((datetime.now(UTC) - moved).total_seconds(), 3),
        },
        "halted": standing["halted"],
        "contracts": {name: contract._asdict() for name, contract in deployment.contracts.items()},
        "tokens": [held.assets.of(row["token"]) for row in tokens if row["allowed"]],
        "versions": {"api": __version__, "fold": standing["fold_version"], "schema": migrate.head()},
        "reconciliation": _reconciled(standing),
    }


def check_ready(held: Held) -> None:
    """Check all that a truthful answer needs.

    Raises:
        NotReady: what is wrong.
    """
    with held.mirror.database.write() as session:
        revision = migrate.revision(session.driver)
    if revision != migrate.head():
        raise NotReady(f"The database is at revision {revision or 'none'}, this code needs {migrate.head()}.")
    standing = _standing(held)
    if standing["indexed_block"] is None:
        raise NotReady("The mirror is empty: the indexer has not begun.")
    if standing["halted"]:
        raise NotReady(f"The mirror is halted: {standing['halted']}")
    if standing["heartbeat_age"] > SILENT_SECONDS:
        raise NotReady(f"The indexer has been silent for {standing['heartbeat_age']:.0f} s.")
    try:
        node = int(held.contracts.node.call("eth_chainId"), 16)
    except NodeUnavailable as error:
        raise NotReady(error.detail) from error
    if node != held.mirror.chain_id:
        raise NotReady(f"The node serves chain {node}, the mirror is of {held.mirror.chain_id}.")
    behind = max(held.contracts.node.head().number - standing["indexed_block"], 0)
    if behind > held.settings.ready_lag_blocks:
        raise NotReady(f"The mirror is {behind} blocks behind.")


def gauges(held: Held) -> None:
    """Bring the gauges up to date; those that cannot be read keep their last value."""
    try:
        standing = _standing(held)
    except NotReady:
        return
    if standing["indexed_block"] is None:
        return
    held.metrics.indexed.set(standing["indexed_block"])
    held.metrics.head.set(standing["head_number"] or standing["indexed_block"])
    reconciled = _reconciled(standing)
    held.metrics.unreconciled.set(reconciled["unreconciled"])
    held.metrics.differences.set(reconciled["differences"])
