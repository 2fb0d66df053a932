"""The follower's own rows in schema `desk`: the writer's lock and epoch, the outbox, how the node's tip looks.

None of this is known to the chain. Each step of the mirror appends to `cursor_log` in the mirror's own transaction, so
that whoever reads ranges from it misses and repeats nothing. ``NOTIFY drakewell`` is only a hint.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

from indexer.errors import Halted, Locked, LostEpoch

CHANNEL = "drakewell"
LOCK_SPACE = 0x44526B57  # ours among advisory locks; the chain id is the second key


class Desk:
    """One chain's rows, for the one process that follows it.

    Args:
        connection: the store's: the lock lives in its session.
        chain_id: EIP-155.
    """

    def __init__(self, connection: psycopg.Connection[Any], chain_id: int) -> None:
        self.connection = connection
        self.chain_id = chain_id
        self.epoch = 0

    # ------------------------------------------------------------------ one writer

    def take_lock(self, seconds: float) -> None:
        """Become the chain's writer: hold the lock and raise the epoch; errors as for `hold_lock`."""
        self.hold_lock(seconds)
        self.epoch = self._one(
            "INSERT INTO desk.follower (chain_id, epoch, seq, heartbeat) VALUES (%s, 1, 0, now()) "
            "ON CONFLICT (chain_id) DO UPDATE SET epoch = desk.follower.epoch + 1, ready_at = NULL, heartbeat = now() "
            "RETURNING epoch",
            self.chain_id,
        )[0]

    def hold_lock(self, seconds: float) -> None:
        """Take the chain's lock, which a dead writer's session frees at once.

        Raises:
            Locked: another process holds it after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not self._one("SELECT pg_try_advisory_lock(%s, hashint8(%s))", LOCK_SPACE, self.chain_id)[0]:
            if time.monotonic() > deadline:
                raise Locked(f"another indexer follows chain {self.chain_id} in this database")
            time.sleep(0.05)

    def _seq(self) -> int:
        """Return the next number of the outbox; the same statement checks that we are still the writer."""
        row = self.connection.execute(
            "UPDATE desk.follower SET seq = seq + 1, heartbeat = now() "
            "WHERE chain_id = %s AND epoch = %s RETURNING seq",
            [self.chain_id, self.epoch],
        ).fetchone()
        if row is None:
            raise LostEpoch(f"another indexer took chain {self.chain_id} over while this one stood still")
        return int(row[0])

    # ------------------------------------------------------------------ the outbox

    def applied(self, first: int, last: int, hash: str) -> None:
        """Record that blocks were applied; within the mirror's transaction."""
        self._record("applied", first, last, hash, None)

    def rolled_back(self, ancestor: int, ancestor_hash: str, old_number: int, old_hash: str) -> None:
        """Record a reorg and keep its logs, before the mirror takes them back, within its transaction."""
        reorg = self._one("SELECT coalesce(max(id), 0) + 1 FROM desk.reorg WHERE chain_id = %s", self.chain_id)[0]
        moved = self.connection.execute(
            "INSERT INTO desk.orphan_log (chain_id, reorg_id, block_number, log_index, block_hash, tx_index, tx_hash, "
            "address, topics, data) SELECT l.chain_id, %s, l.block_number, l.log_index, b.hash, l.tx_index, h.hash, "
            "a.address, l.topics, l.data FROM mirror.raw_log l "
            "JOIN mirror.header b ON b.chain_id = l.chain_id AND b.block_number = l.block_number "
            "JOIN mirror.hash h ON h.chain_id = l.chain_id AND h.id = l.tx_hash "
            "JOIN mirror.address a ON a.chain_id = l.chain_id AND a.id = l.address "
            "WHERE l.chain_id = %s AND l.block_number > %s",
            [reorg, self.chain_id, ancestor],
        )
        self.connection.execute(
            "INSERT INTO desk.reorg (chain_id, id, ancestor, old_number, old_hash, logs, at) "
            "VALUES (%s, %s, %s, %s, %s, %s, now())",
            [self.chain_id, reorg, ancestor, old_number, old_hash, moved.rowcount],
        )
        self._record("rolled_back", ancestor + 1, old_number, ancestor_hash, reorg)

    def _record(self, action: str, first: int, last: int, hash: str, reorg: int | None) -> None:
        self.connection.execute(
            "INSERT INTO desk.cursor_log (chain_id, seq, action, from_block, to_block, block_hash, reorg_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [self.chain_id, self._seq(), action, first, last, hash, reorg],
        )
        self.connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{self.chain_id}:{last}"])

    # ------------------------------------------------------------------ the tip, and whether we follow it

    def finalized(self) -> tuple[int, str] | None:
        """Return the highest finalized (number, hash) ever seen."""
        row = self._one("SELECT finalized_number, finalized_hash FROM desk.follower WHERE chain_id = %s", self.chain_id)
        return None if row[0] is None else (row[0], row[1])

    def remember_tip(self, head: tuple[int, int], safe: int, finalized: tuple[int, str]) -> None:
        """Record the node's tip (number, time); a finalized block below the one we know changes nothing."""
        self.connection.execute(
            "UPDATE desk.follower SET heartbeat = now(), last_error = NULL, "
            "head_moved_at = CASE WHEN head_number IS DISTINCT FROM %(head)s THEN now() ELSE head_moved_at END, "
            "head_number = %(head)s, head_time = %(time)s, safe_number = %(safe)s, "
            "finalized_hash = "
            "CASE WHEN coalesce(finalized_number, -1) < %(final)s THEN %(hash)s ELSE finalized_hash END, "
            "finalized_number = greatest(finalized_number, %(final)s) WHERE chain_id = %(chain)s AND epoch = %(epoch)s",
            {
                "head": head[0],
                "time": head[1],
                "safe": safe,
                "final": finalized[0],
                "hash": finalized[1],
                "chain": self.chain_id,
                "epoch": self.epoch,
            },
        )

    def ready(self) -> None:
        """Record that the mirror has reached the tip."""
        self.connection.execute("UPDATE desk.follower SET ready_at = now() WHERE chain_id = %s", [self.chain_id])

    def failed(self, error: Exception) -> None:
        """Record why the node cannot be followed now."""
        self.connection.execute(
            "UPDATE desk.follower SET heartbeat = now(), last_error = %s WHERE chain_id = %s AND epoch = %s",
            [str(error), self.chain_id, self.epoch],
        )

    def halt(self, reason: str) -> Halted:
        """Store why the chain is halted, for good, and return the error to raise."""
        self.connection.execute(
            "UPDATE desk.follower SET halted = %s, heartbeat = now() WHERE chain_id = %s", [reason, self.chain_id]
        )
        return Halted(reason)

    def check_halted(self) -> None:
        """Refuse to go on with a chain that was halted.

        Raises:
            Halted: with the stored reason.
        """
        row = self._one("SELECT halted FROM desk.follower WHERE chain_id = %s", self.chain_id)
        if row[0] is not None:
            raise Halted(row[0])

    def _one(self, statement: str, *values: Any) -> Any:
        return self.connection.execute(statement, values).fetchone()
