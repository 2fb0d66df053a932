"""The mirror in PostgreSQL: loads the rows that the fold asks for, stores what it made, and takes blocks back.

A batch of any number of blocks is one transaction. What only grows goes in by COPY; current rows by one
``INSERT .. SELECT unnest .. ON CONFLICT`` a table. Nothing here calls a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import Loader as PgLoader

from indexer.dictionary import Dictionary
from indexer.errors import BadAnswer, Moved
from indexer.fold import BALANCE, FOLD_VERSION, Fold, Genesis, Key, Log, State
from indexer.rows import CODECS, Codec
from indexer.source import Batch, Header, Watch

CACHED_ROWS = 30_000
# a rollback deletes from these by block number; projections and `balance` have their own way
_BY_BLOCK = ("header", "raw_log", "posting", "address", "hash", "account")
RAW, VERSION, APPEND, POSTING = range(4)


class Cursor(NamedTuple):
    """The last block that the mirror holds."""

    number: int
    hash: str


class _Integers(PgLoader):
    """NUMERIC columns hold integers: exact, and never Decimal."""

    def load(self, data: Any) -> int:
        return int(bytes(data))


def connect(url: str) -> psycopg.Connection[Any]:
    """Open the store's connection. Its session may hold the writer's lock, so it goes to the primary, directly."""
    connection = psycopg.connect(url, autocommit=True, application_name="drakewell-indexer")
    connection.adapters.register_loader("numeric", _Integers)
    return connection


class Store:
    """One chain's mirror in one schema.

    Args:
        connection: used by nobody else, not in a transaction.
        chain_id: EIP-155.
        fold: of the deployment.
        genesis: the deployment.
        schema: `mirror`, or another one for a rebuild or a check.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        chain_id: int,
        fold: Fold,
        genesis: Genesis,
        schema: str = "mirror",
    ) -> None:
        self.connection = connection
        self.chain_id = chain_id
        self.fold = fold
        self.genesis = genesis
        self.schema = schema
        self.addresses, self.hashes, self.accounts = (
            Dictionary(connection, chain_id, schema, name, column)
            for name, column in (("address", "address"), ("hash", "hash"), ("account", "name"))
        )
        self.state: State
        self.watch: Watch
        self.reset()

    # ------------------------------------------------------------------ beginning

    def begin(self, genesis_hash: str, deployment: str, anchor: Header) -> None:
        """Start an empty mirror at ``anchor``, the block before the deployment's first."""
        with self.connection.transaction():
            self._execute(
                "INSERT INTO {s}.chain (chain_id, genesis_hash, deployment, first_block, fold_version) "
                "VALUES (%s, %s, %s, %s, %s)",
                self.chain_id,
                genesis_hash,
                deployment,
                anchor.number + 1,
                FOLD_VERSION,
            )
            self._copy("header", "block_number, hash, parent_hash, time", [_header_line(anchor)])
            self._execute(
                "INSERT INTO {s}.cursor (chain_id, block_number, block_hash) VALUES (%s, %s, %s)",
                self.chain_id,
                anchor.number,
                anchor.hash,
            )

    def cursor(self) -> Cursor | None:
        """Return the cursor; None for a mirror that has not begun."""
        row = self._execute("SELECT block_number, block_hash FROM {s}.cursor WHERE chain_id = %s", self.chain_id)
        found = row.fetchone()
        return Cursor(*found) if found else None

    def reset(self) -> None:
        """Drop every cache: what is known is what the database holds."""
        for dictionary in (self.addresses, self.hashes, self.accounts):
            dictionary.reset()
        names = "JOIN {s}.address a ON a.chain_id = t.chain_id AND a.id = t.{c} WHERE t.chain_id = %s"
        offerings = self._execute(
            "SELECT a.address, t.site_id FROM {s}.offering t " + names.replace("{c}", "share"), self.chain_id
        )
        clones = [(address.lower(), site) for address, site in offerings]
        allowed = self._execute("SELECT a.address FROM {s}.token t " + names.replace("{c}", "token"), self.chain_id)
        tokens = [address.lower() for (address,) in allowed]
        self.state = self.fold.state(self.load, clones, tokens)
        self.watch = Watch(self.fold, self.genesis, self.state.known.items())

    # ------------------------------------------------------------------ load

    def load(self, table: str, keys: list[Key]) -> dict[Key, Any]:
        """Return the current rows of ``keys`` that exist; the fold's loader."""
        if table == BALANCE:
            return self._load_balances([name for (name,) in keys])
        codec = CODECS[table]
        key_names = codec.table.key
        columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)]
        for position, name in enumerate(key_names):
            dictionary = self._dictionary(codec, name)
            if dictionary is not None:
                dictionary.lookup(columns[position])
                columns[position] = [dictionary.ids.get(text) for text in columns[position]]
        rows = self._execute(codec.load("{s}"), *columns, self.chain_id).fetchall()
        places = [
            (position, dictionary)
            for position, name in enumerate(codec.names)
            if (dictionary := self._dictionary(codec, name)) is not None
        ]
        for position, dictionary in places:
            dictionary.names(row[position] for row in rows)
        found: dict[Key, Any] = {}
        for values in rows:
            row = dict(zip(codec.names, values, strict=True))
            for position, dictionary in places:
                if values[position] is not None:
                    row[codec.names[position]] = dictionary.texts[values[position]]
            found[tuple([row[name] for name in key_names])] = row
        return found

    def _load_balances(self, names: list[str]) -> dict[Key, Any]:
        self.accounts.lookup(names)
        ids = [self.accounts.ids[name] for name in names if name in self.accounts.ids]
        rows = self._execute(
            "SELECT account, token, amount FROM {s}.balance WHERE chain_id = %s AND account = ANY(%s)",
            self.chain_id,
            ids,
        ).fetchall()
        self.addresses.names(token for _, token, _ in rows)
        return {(self.accounts.texts[name], self.addresses.texts[token]): amount for name, token, amount in rows}

    def _dictionary(self, codec: Codec, name: str) -> Dictionary | None:
        if name in codec.addresses:
            return self.addresses
        return self.hashes if name in codec.hashes else None

    # ------------------------------------------------------------------ apply

    def apply(self, batch: Batch, within: Callable[[], None] = lambda: None) -> None:
        """Fold a batch and store it, in one transaction.

        Args:
            batch: the blocks after the cursor, all of them.
            within: called before the commit, for what must be kept together with the batch.

        Raises:
            Moved: the batch does not follow the cursor.
            FoldError: the events contradict the books; nothing was stored. Call `reset` before going on.
        """
        with self.connection.transaction():
            self._follows(batch)
            self.state.clear()
            self.fold.fold_block(self.state, batch.logs)
            self._write(batch)
            within()
        self.state.clear()
        if self.state.size() > CACHED_ROWS:
            self.state.shrink()
        for dictionary in (self.addresses, self.hashes, self.accounts):
            dictionary.shrink()

    def _follows(self, batch: Batch) -> None:
        before = self.cursor()
        if before is None:
            raise BadAnswer("this mirror has not begun")
        for header in batch.headers:
            if header.number != before.number + 1 or header.parent_hash != before.hash:
                raise Moved(f"block {header.number} {header.hash} does not follow block {before.number} {before.hash}")
            before = Cursor(header.number, header.hash)

    def _write(self, batch: Batch) -> None:
        state = self.state
        self._name(batch.logs)
        a, h, n = self.addresses.ids, self.hashes.ids, self.accounts.ids
        self._copy(
            "header", "block_number, hash, parent_hash, time", [_header_line(header) for header in batch.headers]
        )
        self._copy(
            "raw_log",
            "block_number, log_index, tx_index, tx_hash, address, topics, data",
            [
                f"{log.block}\t{log.index}\t{log.tx_index}\t{h[log.tx_hash]}\t{a[log.address]}\t"
                f"\\\\x{b''.join(log.topics).hex()}\t\\\\x{log.data.hex()}"
                for log in batch.logs
            ],
        )
        self._copy(
            "posting",
            "block_number, log_index, ordinal, account, token, amount, balance",
            [
                f"{p.block}\t{p.log_index}\t{p.ordinal}\t{n[p.account]}\t{a[p.token]}\t{p.amount}\t{p.balance}"
                for p in state.postings
            ],
        )
        lines: dict[str, list[str]] = {}
        for version in state.versions:
            line = CODECS[version.table].line(version.row, a, h)
            lines.setdefault(version.table, []).append(f"{line}\t{version.block}\t{version.log_index}")
        for table, rows in lines.items():
            self._copy(f"{table}_version", CODECS[table].columns(("block_number", "log_index")), rows)
        lines = {}
        for table, row in state.appends:
            lines.setdefault(table, []).append(CODECS[table].line(row, a, h))
        for table, rows in lines.items():
            self._copy(table, CODECS[table].columns(), rows)
        for table, current in state.current().items():
            codec = CODECS[table]
            values = zip(*(codec.values(row, a, h) for row in current.values()), strict=True)
            self._execute(codec.upsert("{s}"), self.chain_id, *map(list, values))
        if balances := state.balances():
            self._execute(
                "INSERT INTO {s}.balance (chain_id, account, token, amount) "
                "SELECT %s, * FROM unnest(%s::int[], %s::int[], %s::numeric[]) "
                "ON CONFLICT (chain_id, account, token) DO UPDATE SET amount = excluded.amount",
                self.chain_id,
                [n[name] for name, _ in balances],
                [a[token] for _, token in balances],
                [str(amount) for amount in balances.values()],
            )
        last = batch.headers[-1]
        self._set_cursor(Cursor(last.number, last.hash))

    def _name(self, logs: Iterable[Log]) -> None:
        """Give ids to the addresses, hashes and accounts of this batch."""
        addresses, hashes, accounts = self.addresses, self.hashes, self.accounts
        # nearly all are known, so that is asked here and not by a call each
        for log in logs:
            if log.address not in addresses.ids:
                addresses.note(log.address, log.block, RAW)
            hashes.note(log.tx_hash, log.block, RAW)
        for version in self.state.versions:
            self._note_row(CODECS[version.table], version.row, version.block, VERSION)
        for table, row in self.state.appends:
            self._note_row(CODECS[table], row, row["block_number"], APPEND)
        for posting in self.state.postings:
            if posting.account not in accounts.ids:
                accounts.note(posting.account, posting.block, POSTING)
            if posting.token not in addresses.ids:
                addresses.note(posting.token, posting.block, POSTING)
        for dictionary, name, column in (
            (self.addresses, "address", "address"),
            (self.hashes, "hash", "hash"),
            (self.accounts, "account", "name"),
        ):
            self._copy(name, f"id, {column}, block_number", dictionary.settle())

    def _note_row(self, codec: Codec, row: dict[str, Any], block: int, phase: int) -> None:
        known = self.addresses.ids
        for name in codec.addresses:
            text = row[name]
            if text not in known and text is not None:
                self.addresses.note(text, block, phase)
        for name in codec.hashes:
            self.hashes.note(row[name], block, phase)

    # ------------------------------------------------------------------ roll back

    def roll_back(self, ancestor: int, within: Callable[[], None] = lambda: None) -> None:
        """Take back every block above ``ancestor``, in one transaction, and drop every cache.

        Args:
            ancestor: the last block that stays; the mirror has its header.
            within: called first in the transaction, while the rows that go are still there.
        """
        with self.connection.transaction():
            within()
            with self.connection.pipeline():
                for name, codec in CODECS.items():
                    if codec.table.append:
                        self._delete_above(name, ancestor)
                    else:
                        self._restore(codec, ancestor)
                self._restore_balances(ancestor)
                for name in _BY_BLOCK:
                    self._delete_above(name, ancestor)
            row = self._execute(
                "SELECT block_number, hash FROM {s}.header WHERE chain_id = %s AND block_number = %s",
                self.chain_id,
                ancestor,
            ).fetchone()
            if row is None:
                raise BadAnswer(f"the mirror has no header of block {ancestor} to go back to")
            self._set_cursor(Cursor(*row))
        self.reset()

    def _delete_above(self, table: str, ancestor: int) -> None:
        self._execute(f'DELETE FROM {{s}}."{table}" WHERE chain_id = %s AND block_number > %s', self.chain_id, ancestor)

    def _restore(self, codec: Codec, ancestor: int) -> None:
        """Put back the last version left of each row that changed above the ancestor."""
        name, key = codec.table.name, codec.key_columns()
        changed = f'SELECT DISTINCT {key} FROM {{s}}."{name}_version" WHERE chain_id = %s AND block_number > %s'
        same = " AND ".join(f'v."{part}" = k."{part}"' for part in codec.table.key)
        self._execute(
            f'DELETE FROM {{s}}."{name}" WHERE chain_id = %s AND ({key}) IN ({changed})',
            self.chain_id,
            self.chain_id,
            ancestor,
        )
        self._execute(
            f'INSERT INTO {{s}}."{name}" ({codec.columns()}) SELECT v.* FROM ({changed}) k CROSS JOIN LATERAL '
            f'(SELECT {codec.columns()} FROM {{s}}."{name}_version" v WHERE v.chain_id = %s AND {same} '
            f"AND block_number <= %s ORDER BY block_number DESC, log_index DESC LIMIT 1) v",
            self.chain_id,
            ancestor,
            self.chain_id,
            ancestor,
        )
        self._delete_above(f"{name}_version", ancestor)

    def _restore_balances(self, ancestor: int) -> None:
        changed = "SELECT DISTINCT account, token FROM {s}.posting WHERE chain_id = %s AND block_number > %s"
        self._execute(
            f"DELETE FROM {{s}}.balance WHERE chain_id = %s AND (account, token) IN ({changed})",
            self.chain_id,
            self.chain_id,
            ancestor,
        )
        self._execute(
            f"INSERT INTO {{s}}.balance (chain_id, account, token, amount) SELECT %s, k.account, k.token, p.balance "
            f"FROM ({changed}) k CROSS JOIN LATERAL (SELECT balance FROM {{s}}.posting p WHERE p.chain_id = %s "
            f"AND p.account = k.account AND p.token = k.token AND block_number <= %s "
            f"ORDER BY block_number DESC, log_index DESC, ordinal DESC LIMIT 1) p",
            self.chain_id,
            self.chain_id,
            ancestor,
            self.chain_id,
            ancestor,
        )

    # ------------------------------------------------------------------ headers

    def headers(self, first: int, last: int) -> list[Cursor]:
        """Return (number, hash) of the mirrored blocks ``first`` to ``last``."""
        rows = self._execute(
            "SELECT block_number, hash FROM {s}.header WHERE chain_id = %s AND block_number BETWEEN %s AND %s "
            "ORDER BY block_number",
            self.chain_id,
            first,
            last,
        )
        return [Cursor(*row) for row in rows]

    # ------------------------------------------------------------------ SQL

    def _set_cursor(self, cursor: Cursor) -> None:
        self._execute(
            "UPDATE {s}.cursor SET block_number = %s, block_hash = %s WHERE chain_id = %s",
            cursor.number,
            cursor.hash,
            self.chain_id,
        )

    def _execute(self, statement: str, *values: Any) -> psycopg.Cursor[Any]:
        return self.connection.execute(statement.replace("{s}", self.schema), values)

    def _copy(self, table: str, columns: str, lines: list[str]) -> None:
        if not lines:
            return
        if not columns.startswith('"chain_id"'):
            columns = f"chain_id, {columns}"
        chain = f"{self.chain_id}\t"
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f'COPY {self.schema}."{table}" ({columns}) FROM STDIN') as copy,
        ):
            copy.write(chain + f"\n{chain}".join(lines) + "\n")


def _header_line(header: Header) -> str:
    return f"{header.number}\t{header.hash}\t{header.parent_hash}\t{header.time}"
