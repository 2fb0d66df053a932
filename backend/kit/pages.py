"""Answers of one thing and of many, and the opaque keyset cursors between pages."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from backend.kit.problems import InvalidCursor
from backend.kit.types import ID_MAX, Time, parse_amount

T = TypeVar("T")
#: Parameters that do not change which rows a list has.
_NOT_FILTERS = {"cursor", "limit", "min_block"}


class Meta(BaseModel):
    """The block that an answer is true of, and the newest one known."""

    as_of_block: int
    as_of_block_hash: str
    as_of_time: Time
    head_block: int


class One(BaseModel, Generic[T]):
    """One thing."""

    data: T
    meta: Meta


class Next(BaseModel):
    """How to ask for the next page."""

    next_cursor: str | None
    has_more: bool


class Page(BaseModel, Generic[T]):
    """A page of many."""

    data: list[T]
    page: Next
    meta: Meta


@dataclass(frozen=True)
class Asked:
    """The page asked for. `scope` names the list and its filters, so that a cursor of another is told apart."""

    limit: int
    scope: str
    cursor: str | None

    def after(self, *bits: int) -> "tuple[tuple[int, ...], str | None] | None":
        """Return the key of the last row seen, its whole numbers of at most `bits` each, and the hash of its block.

        Raises:
            InvalidCursor: the cursor is not one that this list gave.
        """
        if self.cursor is None:
            return None
        try:
            text = base64.b64decode(self.cursor + "=" * (-len(self.cursor) % 4), altchars=b"-_", validate=True)
            scope, block_hash, parts = json.loads(text)
            key = tuple(parse_amount(part, 2**size - 1) for part, size in zip(parts, bits, strict=True))
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidCursor("This is not a cursor of this list: begin again without one.") from error
        if scope != self.scope or not (block_hash is None or isinstance(block_hash, str)):
            raise InvalidCursor("This cursor is of another list, or of this one with other filters: begin again.")
        return key, block_hash

    def cut(self, rows: list[dict[str, Any]], key: Sequence[str], block_hash: str | None = None) -> dict[str, Any]:
        """Cut `limit + 1` rows to a page; `key` names the columns that order them, `block_hash` that of their block."""
        kept = rows[: self.limit]
        following = None
        if len(rows) > self.limit:
            last = kept[-1]
            hashed = last[block_hash] if block_hash else None
            text = json.dumps([self.scope, hashed, [str(last[name]) for name in key]])
            following = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return {"data": kept, "page": {"next_cursor": following, "has_more": following is not None}}


def scope_of(path: str, filters: Sequence[tuple[str, str]]) -> str:
    """Name a list and its filters."""
    kept = sorted((name, value) for name, value in filters if name not in _NOT_FILTERS)
    return hashlib.sha256(json.dumps([path, kept]).encode()).hexdigest()[:16]


INT = ID_MAX.bit_length()
