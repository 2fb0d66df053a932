"""The first schema.

`mirror` is made from the metadata as it is now, not as it was when this was written: it is folded again whenever the
fold changes, so a later change of it is a revision that drops and creates it. `desk` outlives all folds: its tables are
spelled out here, and later revisions alter them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from indexer.schema import create_mirror

revision = "0001"
down_revision = None

WHEN = sa.DateTime(timezone=True)
AMOUNT = sa.Numeric(78, 0)


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(name, sa.Column("chain_id", sa.BigInteger, nullable=False), *parts, schema="desk")


def _need(name: str, kind: Any, comment: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, comment=comment)


def upgrade() -> None:
    create_mirror(op.get_bind())
    _table(
        "follower",
        _need("epoch", sa.BigInteger, "raised by each writer that takes the lock"),
        _need("seq", sa.BigInteger, "last of cursor_log"),
        sa.Column("head_number", sa.BigInteger, comment="the node's tip when last asked"),
        sa.Column("head_time", sa.BigInteger),
        sa.Column("head_moved_at", WHEN, comment="wall clock when the tip last changed"),
        sa.Column("safe_number", sa.BigInteger),
        sa.Column("finalized_number", sa.BigInteger, comment="highest ever seen, never lowered"),
        sa.Column("finalized_hash", sa.Text),
        sa.Column("halted", sa.Text, comment="why the chain is halted; null while it is not"),
        sa.Column("last_error", sa.Text, comment="of the node; null when it answered last"),
        sa.Column("ready_at", WHEN, comment="when this process reached the tip; null before"),
        sa.Column("heartbeat", WHEN),
        sa.PrimaryKeyConstraint("chain_id"),
    )
    _table(
        "cursor_log",
        _need("seq", sa.BigInteger),
        _need("action", sa.Text, "applied, or rolled_back"),
        _need("from_block", sa.BigInteger),
        _need("to_block", sa.BigInteger, "last block of the range, both ends included"),
        _need("block_hash", sa.Text, "of the cursor after this step"),
        sa.Column("reorg_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("chain_id", "seq"),
    )
    _table(
        "reorg",
        _need("id", sa.BigInteger),
        _need("ancestor", sa.BigInteger, "last block that both chains have"),
        _need("old_number", sa.BigInteger),
        _need("old_hash", sa.Text),
        _need("logs", sa.BigInteger, "how many were taken back"),
        _need("at", WHEN),
        sa.PrimaryKeyConstraint("chain_id", "id"),
    )
    _table(
        "orphan_log",
        _need("reorg_id", sa.BigInteger),
        _need("block_number", sa.BigInteger),
        _need("log_index", sa.Integer),
        _need("block_hash", sa.Text),
        _need("tx_index", sa.Integer),
        _need("tx_hash", sa.Text),
        _need("address", sa.Text, "EIP-55"),
        _need("topics", sa.LargeBinary),
        _need("data", sa.LargeBinary),
        sa.PrimaryKeyConstraint("chain_id", "reorg_id", "block_number", "log_index"),
    )
    _table(
        "reconciliation",
        _need("block_number", sa.BigInteger),
        _need("block_hash", sa.Text),
        _need("kind", sa.Text, "block, or sweep"),
        _need("accounts_compared", sa.Integer),
        _need("differences", JSONB, "[{account, token, books, chain}], amounts as decimal strings"),
        _need("node_calls", sa.Integer),
        sa.Column("error", sa.Text, comment="why nothing could be compared, such as state_unavailable"),
        sa.Column("checked_at", WHEN, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("chain_id", "block_number", "block_hash", "kind"),
    )
    _table(
        "opening",
        _need("account", sa.Text, "cash:<contract>"),
        _need("token", sa.Text),
        _need("block_hash", sa.Text, "of the block before the contract was known"),
        _need("amount", AMOUNT, "what a stranger had sent there before it existed"),
        sa.PrimaryKeyConstraint("chain_id", "account", "token", "block_hash"),
    )
    _table(
        "submitted_transaction",
        _need("tx_hash", sa.Text, "0x, lower case"),
        sa.Column("plan_id", sa.Text),
        sa.Column("kind", sa.Text, comment="of the plan, such as open_lease"),
        _need("sender", sa.Text),
        _need("nonce", sa.BigInteger),
        sa.Column("raw_transaction", sa.LargeBinary),
        _need("state", sa.Text, "submitted, unknown, refused"),
        sa.Column("error", sa.Text),
        sa.Column("submitted_at", WHEN, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("chain_id", "tx_hash"),
        sa.Index("submitted_transaction_sender", "chain_id", "sender", "nonce"),
    )
    _table(
        "idempotency",
        _need("scope", sa.Text, "whose key: a signed-in address, and the route"),
        _need("key", sa.Text),
        _need("body_hash", sa.Text),
        _need("status", sa.Integer),
        _need("answer", JSONB),
        sa.Column("created_at", WHEN, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("chain_id", "scope", "key"),
    )
