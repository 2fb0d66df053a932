"""The database as SQLAlchemy Core metadata: made from `indexer.fold.tables` and the few tables that are not folded.

Schema `mirror` is a pure function of (chain, genesis, deployment, block): no serial, no wall clock. It is dropped and
folded again at will. Schema `desk` is what no chain knows (any more): reorgs and their orphaned logs, the outbox, the
follower's own state, reconciliation results, submitted transactions. A reorg deletes nothing from it.

Addresses, hashes and account names are small ids into `address`, `hash` and `account`: `resolved(table)` selects a
table with their text. There are no foreign keys: the store writes whole blocks in one transaction, and row triggers
would cost more than all its COPYs. Amounts are Python integers on both sides, never Decimal.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateSchema, CreateTable, DropSchema
from sqlalchemy.types import TypeDecorator, TypeEngine

from indexer.fold.tables import TABLES
from indexer.fold.tables import Table as Declared

MIRROR = "mirror"
DESK = "desk"

metadata = MetaData()


class Amount(TypeDecorator[int]):
    """An exact integer up to 2^256 - 1."""

    impl = Numeric(78, 0)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else int(value)


_TYPES: dict[str, type[TypeEngine[Any]]] = {
    "int": BigInteger,
    "amount": Amount,
    "text": Text,
    "bool": Boolean,
    "json": JSONB,
    "address": Integer,
    "hash": BigInteger,
}


def _chain() -> Column[Any]:
    return Column("chain_id", BigInteger, nullable=False)


def _table(schema: str, name: str, *parts: Any) -> Table:
    return Table(name, metadata, _chain(), *parts, schema=schema)


def _columns(declared: Declared) -> list[Column[Any]]:
    return [
        Column(name, _TYPES[kind.rstrip("?")], nullable=kind.endswith("?")) for name, kind in declared.columns.items()
    ]


def _fresh(table: Table) -> None:
    """Index what a rollback deletes: a few pages at the table's end, so a BRIN index is enough and costs no insert."""
    Index(f"{table.name}_block", table.c.block_number, postgresql_using="brin")


# ------------------------------------------------------------------ mirror: what the node said

chain = _table(
    MIRROR,
    "chain",
    Column("genesis_hash", Text, nullable=False),
    Column("deployment", Text, nullable=False, comment="our contracts' addresses, one line"),
    Column("first_block", BigInteger, nullable=False),
    Column("fold_version", Text, nullable=False),
    PrimaryKeyConstraint("chain_id"),
)
cursor = _table(
    MIRROR,
    "cursor",
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
    PrimaryKeyConstraint("chain_id"),
)
header = _table(
    MIRROR,
    "header",
    Column("block_number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("parent_hash", Text, nullable=False),
    Column("time", BigInteger, nullable=False, comment="unix seconds"),
    PrimaryKeyConstraint("chain_id", "block_number"),
)
raw_log = _table(
    MIRROR,
    "raw_log",
    Column("block_number", BigInteger, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("tx_index", Integer, nullable=False),
    Column("tx_hash", BigInteger, nullable=False),
    Column("address", Integer, nullable=False),
    Column("topics", LargeBinary, nullable=False, comment="32 bytes each"),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("chain_id", "block_number", "log_index"),
)


def _dictionary(name: str, column: str, id_type: type[TypeEngine[Any]], comment: str) -> Table:
    table = _table(
        MIRROR,
        name,
        Column("id", id_type, nullable=False),
        Column(column, Text, nullable=False, comment=comment),
        Column("block_number", BigInteger, nullable=False, comment="where it was first met"),
        PrimaryKeyConstraint("chain_id", "id"),
        UniqueConstraint("chain_id", column),
    )
    _fresh(table)
    return table


address = _dictionary("address", "address", Integer, "EIP-55")
hash_ = _dictionary("hash", "hash", BigInteger, "0x, lower case: transactions and Merkle roots")
account = _dictionary("account", "name", Integer, "of the chart of accounts, such as escrow:lease/7")

# ------------------------------------------------------------------ mirror: what the fold made of it

posting = _table(
    MIRROR,
    "posting",
    Column("block_number", BigInteger, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("account", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("amount", Amount, nullable=False, comment="base units, debit positive"),
    Column("balance", Amount, nullable=False, comment="of the account after this posting, debit positive"),
    PrimaryKeyConstraint("chain_id", "block_number", "log_index", "ordinal"),
)
Index(
    "posting_account",
    *(posting.c[name] for name in ("chain_id", "account", "token", "block_number", "log_index", "ordinal")),
)

#: The account's last posting in each token: what the fold loads, and which accounts there are.
balance = _table(
    MIRROR,
    "balance",
    Column("account", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("amount", Amount, nullable=False, comment="base units, debit positive"),
    PrimaryKeyConstraint("chain_id", "account", "token"),
)

#: Every folded table by name; a versioned table `t` also as `t_version`.
tables: dict[str, Table] = {}


def version_key(declared: Declared) -> tuple[str, ...]:
    """Return the columns that identify a version row of a table, `chain_id` apart."""
    return (*declared.key, "block_number", "log_index")


def _declare(declared: Declared) -> None:
    name = declared.name
    tables[name] = _table(MIRROR, name, *_columns(declared), PrimaryKeyConstraint("chain_id", *declared.key))
    if declared.append:
        return
    version = _table(
        MIRROR,
        f"{name}_version",
        *_columns(declared),
        Column("block_number", BigInteger, nullable=False),
        Column("log_index", Integer, nullable=False),
        PrimaryKeyConstraint("chain_id", *version_key(declared)),
    )
    _fresh(version)
    tables[version.name] = version


for _declared in TABLES.values():
    _declare(_declared)

_AT = ("block_number", "log_index")
#: What people search by, beside the keys.
for _name, *_by in (
    ("site", "owner"),
    ("listing", "site_id"),
    ("lease", "site_id"),
    ("lease", "holder"),
    ("holding", "account"),
    ("site_version", "owner"),  # a portfolio of the past
    ("lease_version", "holder"),
    ("holding_version", "account"),
    ("settlement", "lease_id", *_AT),
    ("settlement", "site_id", *_AT),
    ("distribution", "share", *_AT),
    ("payout", "account", *_AT),
    ("lease_event", "lease_id", *_AT),
    ("report", "site_id"),
):
    Index(f"{_name}_{_by[0]}", *(tables[_name].c[part] for part in ("chain_id", *_by)))
Index("raw_log_tx", raw_log.c.chain_id, raw_log.c.tx_hash)

#: All tables of schema `mirror`, in the order in which they are made.
mirror_tables: list[Table] = [table for table in metadata.tables.values() if table.schema == MIRROR]

# ------------------------------------------------------------------ desk

follower = _table(
    DESK,
    "follower",
    Column("epoch", BigInteger, nullable=False, comment="raised by each writer that takes the lock"),
    Column("seq", BigInteger, nullable=False, comment="last of cursor_log"),
    Column("head_number", BigInteger, comment="the node's tip when last asked"),
    Column("head_time", BigInteger),
    Column("head_moved_at", DateTime(timezone=True), comment="wall clock when the tip last changed"),
    Column("safe_number", BigInteger),
    Column("finalized_number", BigInteger, comment="highest ever seen, never lowered"),
    Column("finalized_hash", Text),
    Column("halted", Text, comment="why the chain is halted; null while it is not"),
    Column("last_error", Text, comment="of the node; null when it answered last"),
    Column("ready_at", DateTime(timezone=True), comment="when this process reached the tip; null before"),
    Column("heartbeat", DateTime(timezone=True)),
    PrimaryKeyConstraint("chain_id"),
)
cursor_log = _table(
    DESK,
    "cursor_log",
    Column("seq", BigInteger, nullable=False),
    Column("action", Text, nullable=False, comment="applied, or rolled_back"),
    Column("from_block", BigInteger, nullable=False),
    Column("to_block", BigInteger, nullable=False, comment="last block of the range, both ends included"),
    Column("block_hash", Text, nullable=False, comment="of the cursor after this step"),
    Column("reorg_id", BigInteger),
    PrimaryKeyConstraint("chain_id", "seq"),
)
reorg = _table(
    DESK,
    "reorg",
    Column("id", BigInteger, nullable=False),
    Column("ancestor", BigInteger, nullable=False, comment="last block that both chains have"),
    Column("old_number", BigInteger, nullable=False),
    Column("old_hash", Text, nullable=False),
    Column("logs", BigInteger, nullable=False, comment="how many were taken back"),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("chain_id", "id"),
)
orphan_log = _table(
    DESK,
    "orphan_log",
    Column("reorg_id", BigInteger, nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("block_hash", Text, nullable=False),
    Column("tx_index", Integer, nullable=False),
    Column("tx_hash", Text, nullable=False),
    Column("address", Text, nullable=False, comment="EIP-55"),
    Column("topics", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("chain_id", "reorg_id", "block_number", "log_index"),
)
reconciliation = _table(
    DESK,
    "reconciliation",
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="block, or sweep"),
    Column("accounts_compared", Integer, nullable=False),
    Column(
        "differences", JSONB, nullable=False, comment="[{account, token, books, chain}], amounts as decimal strings"
    ),
    Column("node_calls", Integer, nullable=False),
    Column("error", Text, comment="why nothing could be compared, such as state_unavailable"),
    Column("checked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("chain_id", "block_number", "block_hash", "kind"),
)
opening = _table(
    DESK,
    "opening",
    Column("account", Text, nullable=False, comment="cash:<contract>"),
    Column("token", Text, nullable=False),
    Column("block_hash", Text, nullable=False, comment="of the block before the contract was known"),
    Column("amount", Amount, nullable=False, comment="what a stranger had sent there before it existed"),
    PrimaryKeyConstraint("chain_id", "account", "token", "block_hash"),
)
submitted_transaction = _table(
    DESK,
    "submitted_transaction",
    Column("tx_hash", Text, nullable=False, comment="0x, lower case"),
    Column("plan_id", Text),
    Column("kind", Text, comment="of the plan, such as open_lease"),
    Column("sender", Text, nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("raw_transaction", LargeBinary),
    Column("state", Text, nullable=False, comment="submitted, unknown, refused"),
    Column("error", Text),
    Column("submitted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("chain_id", "tx_hash"),
    Index("submitted_transaction_sender", "chain_id", "sender", "nonce"),
)
idempotency = _table(
    DESK,
    "idempotency",
    Column("scope", Text, nullable=False, comment="whose key: a signed-in address, and the route"),
    Column("key", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("chain_id", "scope", "key"),
)

desk_tables: list[Table] = [table for table in metadata.tables.values() if table.schema == DESK]

# ------------------------------------------------------------------ making and reading


def create_mirror(connection: Connection, schema: str = MIRROR, *, for_search: bool = True) -> None:
    """Create an empty mirror.

    Args:
        connection: in a transaction.
        schema: another name for a rebuild or a check.
        for_search: with the indexes that only readers and rollbacks need; a check has neither.
    """
    connection.execute(CreateSchema(schema))
    translated = connection.execution_options(schema_translate_map={MIRROR: schema})
    for table in mirror_tables:
        if for_search:
            table.create(translated, checkfirst=False)
        else:
            translated.execute(CreateTable(table))


def drop_mirror(connection: Connection, schema: str = MIRROR) -> None:
    """Drop a mirror with all it holds, if it is there."""
    connection.execute(DropSchema(schema, cascade=True, if_exists=True))


def swap_mirror(connection: Connection, schema: str) -> None:
    """Put the mirror built under ``schema`` in the place of the one that is read."""
    drop_mirror(connection)
    connection.execute(text(f'ALTER SCHEMA "{schema}" RENAME TO "{MIRROR}"'))


def declared_of(table: Table) -> Declared:
    """Return the declaration of a folded table, current or version."""
    return TABLES[table.name.removesuffix("_version")]


_IDS = {
    "posting": {"account": "account", "token": "address"},
    "balance": {"account": "account", "token": "address"},
    "raw_log": {"tx_hash": "hash", "address": "address"},
}


def resolved(table: Table) -> Select[Any]:
    """Select all columns of a table with EIP-55 addresses, hashes and account names in place of ids.

    Args:
        table: a folded table or its versions, `posting`, `balance` or `raw_log`.
    """
    kinds = _IDS.get(table.name) or {name: kind.rstrip("?") for name, kind in declared_of(table).columns.items()}
    dictionaries = {"address": (address, "address"), "hash": (hash_, "hash"), "account": (account, "name")}
    columns: list[Any] = []
    source: Any = table
    for column in table.columns:
        if column.name == "chain_id":
            continue
        dictionary, value = dictionaries.get(kinds.get(column.name, ""), (None, ""))
        if dictionary is None:
            columns.append(column)
            continue
        names = dictionary.alias(f"{column.name}_text")
        source = source.outerjoin(names, and_(names.c.chain_id == table.c.chain_id, names.c.id == column))
        columns.append(names.c[value].label(column.name))
    return select(*columns).select_from(source)
