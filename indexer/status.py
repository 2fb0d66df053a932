"""Where the mirror, the node and the reconciler stand: what `status` prints and the API serves."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

_FOLLOWER = """
SELECT c.block_number AS indexed_block, c.block_hash AS indexed_hash, m.genesis_hash, m.deployment, m.first_block,
       m.fold_version, f.head_number, f.head_time, f.head_moved_at, f.safe_number, f.finalized_number, f.halted,
       f.last_error, f.ready_at, f.heartbeat, f.head_number - c.block_number AS blocks_behind,
       extract(epoch FROM now() - f.heartbeat)::float8 AS heartbeat_age
FROM desk.follower f
LEFT JOIN mirror.cursor c USING (chain_id) LEFT JOIN mirror.chain m USING (chain_id)
WHERE f.chain_id = %s
"""

# Only results for blocks that the mirror still holds count; those of orphaned blocks are kept, but say nothing.
_RECONCILED = """
SELECT count(*) AS blocks_compared, coalesce(sum(r.accounts_compared), 0)::bigint AS accounts_compared,
       coalesce(sum(r.node_calls), 0)::bigint AS node_calls,
       coalesce(sum(jsonb_array_length(r.differences)), 0)::bigint AS differences,
       count(*) FILTER (WHERE r.error IS NOT NULL OR r.accounts_compared = 0) AS blocks_not_compared,
       max(r.block_number) AS last_block
FROM desk.reconciliation r
JOIN mirror.header h ON h.chain_id = r.chain_id AND h.block_number = r.block_number AND h.hash = r.block_hash
WHERE r.chain_id = %s AND r.kind = %s
"""


def status(connection: psycopg.Connection[Any], chain_id: int) -> dict[str, Any]:
    """Return the follower's row, the mirror's cursor and the totals of the reconciler, for blocks and for sweeps."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_FOLLOWER, [chain_id]).fetchone() or {"indexed_block": None}
        totals = {kind: cursor.execute(_RECONCILED, [chain_id, kind]).fetchone() for kind in ("block", "sweep")}
    return {"chain_id": chain_id, **found, "reconciliation": totals}
