"""SQL and row codecs of the mirror's tables, compiled once a table from its declaration.

Three forms of a row: a dict of the fold (addresses and hashes as 0x hex), a line of COPY's text format, and a tuple of
columns for `unnest`. Both written forms take addresses and hashes as ids of the dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from indexer.fold.tables import TABLES, Table

Row = dict[str, Any]
Ids = dict[str | None, int]

_CASTS = {
    "int": "bigint",
    "amount": "numeric",
    "text": "text",
    "bool": "boolean",
    "json": "jsonb",
    "address": "int",
    "hash": "bigint",
}

NULL = r"\N"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def escape(value: str) -> str:
    """Return a text as COPY reads it."""
    return value.translate(_ESCAPES)


def dumps(value: Any) -> str:
    """Return a JSON value as text."""
    return orjson.dumps(value).decode()


def _line_part(name: str, kind: str) -> str:
    value = f"r[{name!r}]"
    if kind in {"address", "hash", "address?", "hash?"}:
        ids = "a" if kind.startswith("address") else "h"
        known = f"{ids}[{value}]"
        return f"{{{known} if {value} is not None else null}}" if kind.endswith("?") else f"{{{known}}}"
    plain = {
        "text": f"escape({value})",
        "json": f"escape(dumps({value}))",
        "bool": f"'t' if {value} else 'f'",
    }.get(kind.rstrip("?"), value)
    return f"{{({plain}) if {value} is not None else null}}" if kind.endswith("?") else f"{{{plain}}}"


def _value_part(name: str, kind: str) -> str:
    value = f"r[{name!r}]"
    if kind.startswith(("address", "hash")):
        return f"{'a' if kind.startswith('address') else 'h'}.get({value})"
    if kind == "json":
        return f"dumps({value})"
    if kind.startswith("amount"):  # a list of integers is sent as the type of its largest: too small for the least
        return f"str({value})" if kind == "amount" else f"None if {value} is None else str({value})"
    return value


class Codec:
    """How one declared table is written and read.

    Attributes:
        line: (row, address ids, hash ids) -> the row's columns in COPY's text format, without `chain_id`.
        values: (row, address ids, hash ids) -> the row's columns as a tuple.
        addresses: columns that hold addresses. hashes: those that hold hashes.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = tuple(table.columns)
        self.addresses = tuple(n for n, kind in table.columns.items() if kind.startswith("address"))
        self.hashes = tuple(n for n, kind in table.columns.items() if kind.startswith("hash"))
        scope = {"escape": escape, "dumps": dumps, "null": NULL}
        line = "\\t".join(_line_part(name, kind) for name, kind in table.columns.items())
        # one f-string a row: a call a column would take three times as long
        self.line: Callable[[Row, Ids, Ids], str] = eval(f'lambda r, a, h: f"""{line}"""', scope)  # noqa: S307
        values = ", ".join(_value_part(name, kind) for name, kind in table.columns.items())
        self.values: Callable[[Row, Ids, Ids], tuple[Any, ...]] = eval(f"lambda r, a, h: ({values},)", scope)  # noqa: S307

    def columns(self, extra: Sequence[str] = ()) -> str:
        """Return the column list, `chain_id` first."""
        return ", ".join(f'"{name}"' for name in ("chain_id", *self.names, *extra))

    def key_columns(self, prefix: str = "") -> str:
        """Return the key's column list."""
        return ", ".join(f'{prefix}"{name}"' for name in self.table.key)

    def cast(self, name: str) -> str:
        """Return the PostgreSQL type of a column."""
        return _CASTS[self.table.columns[name].rstrip("?")]

    def upsert(self, schema: str) -> str:
        """Return the statement that makes rows current: parameters are chain_id and one list a column."""
        lists = ", ".join(f"%s::{self.cast(name)}[]" for name in self.names)
        rest = [name for name in self.names if name not in self.table.key]
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in rest)
        return (
            f'INSERT INTO {schema}."{self.table.name}" ({self.columns()}) SELECT %s, * FROM unnest({lists}) '
            f"ON CONFLICT (chain_id, {self.key_columns()}) DO UPDATE SET {sets}"
        )

    def load(self, schema: str) -> str:
        """Return the statement that reads current rows: parameters are one list a key column, and chain_id."""
        lists = ", ".join(f"%s::{self.cast(name)}[]" for name in self.table.key)
        names = ", ".join(f't."{name}"' for name in self.names)
        on = " AND ".join(f't."{name}" = k."{name}"' for name in self.table.key)
        return (
            f"SELECT {names} FROM unnest({lists}) AS k({self.key_columns()}) "
            f'JOIN {schema}."{self.table.name}" t ON t.chain_id = %s AND {on}'
        )


CODECS: dict[str, Codec] = {name: Codec(table) for name, table in TABLES.items()}
