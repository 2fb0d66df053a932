"""A snapshot of the mirror at one block: what every read of a domain starts from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, Table, and_, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on

from backend.kit.database import ReadSession, Row
from backend.kit.pages import INT, Asked
from backend.kit.problems import CursorInvalidated, NotFound
from backend.kit.types import checksummed
from indexer import schema

#: A table with text in place of ids; a query is made of it by the hundred a second, so it is built once.
_text = cache(schema.resolved)

Condition = Callable[[Table], ColumnElement[bool]]


@dataclass(frozen=True)
class Heights:
    """How far the node, safety and finality are, as the follower last saw them."""

    head: int
    safe: int
    finalized: int


@dataclass(frozen=True)
class View:
    """One snapshot at `block`, whose `time` (unix seconds) is the now of every computed figure.

    `past` tells that it is not the newest block: rows then come from their versions.
    """

    session: ReadSession
    chain_id: int
    block: int
    hash: str
    time: int
    heights: Heights
    past: bool

    def one(self, data: Any) -> dict[str, Any]:
        """Wrap one thing."""
        return {"data": data, "meta": self._meta()}

    def page(self, asked: Asked, rows: list[Row], *key: str, block_hash: str | None = None) -> dict[str, Any]:
        """Wrap `limit + 1` rows of many."""
        return {**asked.cut(rows, key, block_hash), "meta": self._meta()}

    def _meta(self) -> dict[str, Any]:
        return {
            "as_of_block": self.block,
            "as_of_block_hash": self.hash,
            "as_of_time": self.time,
            "head_block": max(self.heights.head, self.block),
        }

    # ------------------------------------------------------------------------------------------------- rows by key

    def get(self, table: str, **key: Any) -> Row | None:
        """Return the row of a folded table under `key` at this block."""
        found = self.many(table, [key])
        return found[0] if found else None

    def need(self, table: str, what: str, **key: Any) -> Row:
        """Return the row.

        Raises:
            NotFound: there is none at this block.
        """
        row = self.get(table, **key)
        if row is None:
            raise NotFound(f"There is no {what} {'/'.join(map(str, key.values()))} at block {self.block}.")
        return row

    def many(self, table: str, keys: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Return the rows under several keys, in the order of the table's key."""
        if not keys:
            return []

        def named(source: Table) -> ColumnElement[bool]:
            return or_(*(and_(*(self.equal(source, name, value) for name, value in key.items())) for key in keys))

        return self.rows(table, named)

    def rows(self, table: str, *conditions: Condition) -> list[Row]:
        """Return the rows of a versioned table at this block that meet `conditions`, in the order of the key.

        In the past a condition picks versions before the last of each key is taken: it is only on columns that never
        change under a key.
        """
        source = schema.tables[f"{table}_version" if self.past else table]
        key = [source.c[name] for name in schema.declared_of(source).key]
        statement = self._resolved(source, *(condition(source) for condition in conditions))
        if self.past:
            latest = (*key, source.c.block_number.desc(), source.c.log_index.desc())
            statement = statement.where(source.c.block_number <= self.block).ext(distinct_on(*key)).order_by(*latest)
        else:
            statement = statement.order_by(*key)
        return self.session.rows(statement)

    def current(self, table: str, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Return a query of the current rows, for search, with names in place of ids."""
        return self._resolved(schema.tables[table], *conditions)

    def equal(self, source: Table, name: str, value: Any) -> ColumnElement[bool]:
        """Return the condition that a column has a value; an address is given as text, in any case."""
        kind = schema.declared_of(source).columns[name].rstrip("?")
        return source.c[name] == (self.address_id(value) if kind == "address" else value)

    def address_id(self, address: str) -> ScalarSelect[Any]:
        """Return the id of an address, or null for one that the mirror never met."""
        known = schema.address
        return (
            select(known.c.id)
            .where(known.c.chain_id == self.chain_id, known.c.address == checksummed(address))
            .scalar_subquery()
        )

    def _resolved(self, source: Table, *conditions: ColumnElement[bool]) -> Select[Any]:
        return _text(source).where(source.c.chain_id == self.chain_id, *conditions)

    # ------------------------------------------------------------------------------------------------- rows of logs

    def logs(
        self,
        table: Table,
        asked: Asked,
        finality: str | None,
        *conditions: ColumnElement[bool],
        newest_first: bool = False,
        places: tuple[str, ...] = ("block_number", "log_index"),
    ) -> dict[str, Any]:
        """Return a page of an append table or of postings, each row with its finality, in the order of the logs.

        Raises:
            CursorInvalidated: the cursor's anchor was reorganised away.
        """
        header = schema.header
        key = [table.c[place] for place in places]
        statement = self._resolved(table, *conditions).add_columns(header.c.hash.label("block_hash"), header.c.time)
        statement = statement.join(
            header, and_(header.c.chain_id == table.c.chain_id, header.c.block_number == table.c.block_number)
        ).where(table.c.block_number <= self._newest(finality))
        anchor = asked.after(*(INT for _ in places))
        if anchor is not None:
            self._check_anchor(*anchor)
            after = tuple_(*anchor[0])
            statement = statement.where(tuple_(*key) < after if newest_first else tuple_(*key) > after)
        order = [place.desc() for place in key] if newest_first else key
        rows = self.session.rows(statement.order_by(*order).limit(asked.limit + 1))
        for row in rows:
            row["finality"] = self.finality(row["block_number"])
        return self.page(asked, rows, *places, block_hash="block_hash")

    def finality(self, block: int) -> str:
        """Say how settled a block is."""
        if block <= self.heights.finalized:
            return "finalized"
        return "safe" if block <= self.heights.safe else "included"

    def _newest(self, finality: str | None) -> int:
        limits = {"finalized": self.heights.finalized, "safe": self.heights.safe}
        return min(self.block, limits.get(finality or "", self.block))

    def _check_anchor(self, key: tuple[int, ...], block_hash: str | None) -> None:
        header = schema.header
        known = self.session.row(
            select(header.c.hash).where(header.c.chain_id == self.chain_id, header.c.block_number == key[0])
        )
        if known is None or known["hash"] != block_hash:
            raise CursorInvalidated(f"Block {key[0]} was reorganised away since: begin the list again.")
