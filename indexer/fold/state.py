"""What the fold reads and writes: an overlay over rows that the store loads, and the record of what changed.

A `State` serves one or many batches. The store prefetches, applies events, writes `versions`, `appends` and `postings`,
then calls `clear()`; rows stay cached. After a rollback or a `FoldError` it throws the state away and makes another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from indexer.fold.errors import FoldBreach

Key = tuple[Any, ...]
Row = dict[str, Any]

#: `loader(table, keys)` returns the current rows of those keys that exist. For the table `BALANCE` the keys are
#: `(account,)` and the answer holds, for every token the account was ever posted in, `(account, token)` -> its balance,
#: an integer, debit positive.
Loader = Callable[[str, list[Key]], dict[Key, Any]]

#: The name under which the balances of the journal's accounts are loaded.
BALANCE = "balance"


class Known(NamedTuple):
    """A contract whose logs we read. `name` is its name in the books: `leasebook`, `offering/3`; empty for a token."""

    kind: str
    name: str


class Version(NamedTuple):
    """The whole row of `table` under `key` after the log that changed it, the last change of a log only."""

    table: str
    key: Key
    row: Row
    block: int
    log_index: int


class Posting(NamedTuple):
    """One posting of the journal and its account's balance after it. `ordinal` counts the postings of a log."""

    block: int
    log_index: int
    ordinal: int
    account: str
    token: str
    amount: int
    balance: int


class State:
    """Rows by table and key. A row is never changed in place: versions share it. Put a new one instead."""

    def __init__(self, loader: Loader, known: dict[str, Known]) -> None:
        """Start from `loader` and the contracts known at this block, by address; see `Fold.state`."""
        self.loader = loader
        self.known = known
        self.versions: list[Version] = []
        self.appends: list[tuple[str, Row]] = []
        self.postings: list[Posting] = []
        self._rows: dict[str, dict[Key, Row | None]] = {}
        self._balances: dict[tuple[str, str], int] = {}
        self._accounts: set[str] = set()
        self._touched: dict[tuple[str, Key], Row] = {}

    # ------------------------------------------------------------------ rows

    def get(self, table: str, key: Key) -> Row | None:
        """Return the current row, loading it when nobody asked for it before; None when there is none."""
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = {}
        if key in rows:
            return rows[key]
        row: Row | None = self.loader(table, [key]).get(key)
        rows[key] = row
        return row

    def need(self, table: str, key: Key) -> Row:
        """Return the current row.

        Raises:
            FoldBreach: there is none, so the log that made it was missed.
        """
        row = self.get(table, key)
        if row is None:
            raise FoldBreach(f"no {table} {'/'.join(map(str, key))}: the log that made it is missing")
        return row

    def put(self, table: str, key: Key, row: Row) -> None:
        """Make `row`, complete, the current row."""
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = {}
        rows[key] = row
        self._touched[table, key] = row

    def append(self, table: str, row: Row) -> None:
        """Add a row to an append table."""
        self.appends.append((table, row))

    def change(self, table: str, key: Key, **fields: Any) -> Row:
        """Put the current row with some fields replaced, and return it.

        Raises:
            FoldBreach: there is no such row.
        """
        row = {**self.need(table, key), **fields}
        self.put(table, key, row)
        return row

    def balance(self, account: str, token: str) -> int:
        """Return the balance of an account of the journal, debit positive; 0 when nothing was ever posted."""
        if account not in self._accounts:
            self._load_balances([(account,)])
        return self._balances.get((account, token), 0)

    def post(self, account: str, token: str, amount: int) -> int:
        """Change an account's balance, for the journal alone, and return it."""
        if account not in self._accounts:
            self._load_balances([(account,)])
        key = (account, token)
        balance = self._balances[key] = self._balances.get(key, 0) + amount
        return balance

    def _load_balances(self, keys: list[Key]) -> None:
        self._balances.update(self.loader(BALANCE, keys))
        self._accounts.update(account for (account,) in keys)

    # ------------------------------------------------------------- the store

    def prefetch(self, wanted: Iterable[tuple[str, Key]]) -> None:
        """Load what of `wanted` is not here yet, one call of the loader a table."""
        missing: dict[str, set[Key]] = {}
        for table, key in wanted:
            here = self._accounts if table == BALANCE else self._rows.get(table, ())
            if (key[0] if table == BALANCE else key) not in here:
                missing.setdefault(table, set()).add(key)
        for table, keys in missing.items():
            if table == BALANCE:
                self._load_balances(list(keys))
                continue
            found = self.loader(table, list(keys))
            self._rows.setdefault(table, {}).update((key, found.get(key)) for key in keys)

    def end_log(self, block: int, log_index: int) -> None:
        """Record the rows that one log changed."""
        if self._touched:
            for (table, key), row in self._touched.items():
                self.versions.append(Version(table, key, row, block, log_index))
            self._touched.clear()

    def current(self) -> dict[str, dict[Key, Row]]:
        """Return the last version of each row changed since `clear()`, by table: what current tables must become."""
        changed: dict[str, dict[Key, Row]] = {}
        for version in self.versions:
            changed.setdefault(version.table, {})[version.key] = version.row
        return changed

    def balances(self) -> dict[tuple[str, str], int]:
        """Return the balance after the last posting of each account and token posted to since `clear()`."""
        return {(posting.account, posting.token): posting.balance for posting in self.postings}

    def clear(self) -> None:
        """Forget what changed, once it is stored. The rows stay cached."""
        self.versions, self.appends, self.postings = [], [], []

    def size(self) -> int:
        """Return how many rows are cached; a store with a memory budget calls `shrink` above some count."""
        return sum(len(rows) for rows in self._rows.values()) + len(self._balances)

    def shrink(self) -> None:
        """Drop the cached rows; only between batches, after `clear()`."""
        self._rows.clear()
        self._balances.clear()
        self._accounts.clear()
