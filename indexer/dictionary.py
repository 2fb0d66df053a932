"""Small ids for addresses, hashes and account names.

An id is the rank of a text by where the chain first named it: block, then the order in which the store goes through the
block. So it does not depend on how blocks were cut into batches, and a mirror folded again has the same ids. A rollback
deletes the ids above the ancestor, and the next ones take their place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import psycopg

from indexer.events import keccak256
from indexer.rows import escape

CACHED = 50_000


def checksummed(address: str) -> str:
    """Return a lower-case 0x address in EIP-55's mixed case."""
    digest = keccak256(address[2:].encode()).hex()
    return "0x" + "".join(
        letter.upper() if nibble >= "8" else letter for letter, nibble in zip(address[2:], digest, strict=False)
    )


class Dictionary:
    """One dictionary of one chain. ``ids`` maps a text to its id, ``texts`` back, as far as they are cached.

    Args:
        connection: that of the store.
        chain_id: EIP-155.
        schema: of the mirror.
        name: of the table.
        column: of the text.
    """

    def __init__(self, connection: psycopg.Connection[Any], chain_id: int, schema: str, name: str, column: str) -> None:
        self.ids: dict[str | None, int] = {}
        self.texts: dict[int, str] = {}
        self._connection = connection
        self._chain_id = chain_id
        self._table = f"{schema}.{name}"
        self._column = column
        self._to_text = checksummed if name == "address" else str
        self._from_text = str.lower if name == "address" else str
        self._new: dict[str, tuple[int, int, int]] = {}
        self._order = itertools.count()
        self._last = self._highest()

    def _highest(self) -> int:
        row = self._connection.execute(
            f"SELECT coalesce(max(id), 0) FROM {self._table} WHERE chain_id = %s", [self._chain_id]
        ).fetchone()
        return int(row[0]) if row else 0

    def reset(self) -> None:
        """Forget everything, after a rollback."""
        self.ids.clear()
        self.texts.clear()
        self._new.clear()
        self._last = self._highest()

    def note(self, text: str, block: int, phase: int) -> None:
        """Note that ``text`` occurs in ``block``; within a phase the calls come in the order of the chain."""
        if text in self.ids:
            return
        rank = (block, phase, next(self._order))
        found = self._new.get(text)
        if found is None or rank[:2] < found[:2]:
            self._new[text] = rank

    def settle(self) -> list[str]:
        """Look up what was noted, give ids to what is new, and return the lines of COPY for those."""
        self.lookup(self._new)
        ranked = sorted((rank, text) for text, rank in self._new.items() if text not in self.ids)
        lines = []
        for rank, text in ranked:
            self._last += 1
            self.ids[text] = self._last
            self.texts[self._last] = text
            lines.append(f"{self._last}\t{escape(self._to_text(text))}\t{rank[0]}")
        self._new.clear()
        return lines

    def lookup(self, texts: Iterable[str]) -> None:
        """Cache the ids of those of ``texts`` that have one."""
        unknown = [self._to_text(text) for text in texts if text not in self.ids]
        if unknown:
            self._cache(f"{self._column} = ANY(%s)", unknown)

    def names(self, ids: Iterable[int | None]) -> None:
        """Cache the texts of ``ids``."""
        unknown = list({id for id in ids if id is not None and id not in self.texts})
        if unknown:
            self._cache("id = ANY(%s)", unknown)

    def _cache(self, condition: str, values: list[Any]) -> None:
        rows = self._connection.execute(
            f"SELECT id, {self._column} FROM {self._table} WHERE chain_id = %s AND {condition}",
            [self._chain_id, values],
        )
        for id, text in rows:
            name = self._from_text(text)
            self.ids[name] = id
            self.texts[id] = name

    def shrink(self) -> None:
        """Drop the cache when it has grown too large; between batches."""
        if len(self.ids) > CACHED:
            self.ids.clear()
            self.texts.clear()
