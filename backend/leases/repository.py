"""Queries of leases."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, not_

from backend.kit.database import Row
from backend.kit.pages import INT, Asked
from backend.mirror.view import View
from indexer import formulas
from indexer.schema import tables

lease = tables["lease"]
PROVIDER = formulas.PROVIDER_CODES


@dataclass(frozen=True)
class Search:
    """What is looked for; None means any."""

    holder: str | None = None
    opened_by: str | None = None
    site_id: int | None = None
    listing_id: int | None = None
    state: str | None = None


def in_state(state: str, time: int) -> ColumnElement[bool]:
    """Return `formulas.lease_state(lease, time) == state` in SQL; a test holds the two equal."""
    c = lease.c
    running = and_(c.finalised.is_(False), c.end_at > time)
    reclaimed = c.code.between(PROVIDER.start, PROVIDER.stop - 1)
    closing = and_(running, not_(reclaimed), c.closing_at.is_not(None))
    plain = and_(running, not_(reclaimed), c.closing_at.is_(None))
    return {
        formulas.FINAL: c.finalised.is_(True),
        formulas.ENDED: and_(c.finalised.is_(False), c.end_at <= time),
        formulas.RECLAIMING: and_(running, reclaimed),
        formulas.CLOSING: closing,
        formulas.FORWARD: and_(plain, c.start_at > time),
        formulas.ACTIVE: and_(plain, c.start_at <= time),
    }[state]


def page(view: View, asked: Asked, wanted: Search) -> list[Row]:
    """Return `limit + 1` leases in the order of their ids."""
    conditions: list[ColumnElement[bool]] = [
        view.equal(lease, name, value)
        for name in ("holder", "opened_by", "site_id", "listing_id")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.state is not None:
        conditions.append(in_state(wanted.state, view.time))
    if (after := asked.after(INT)) is not None:
        conditions.append(lease.c.lease_id > after[0][0])
    query = view.current("lease", *conditions).order_by(lease.c.lease_id)
    return view.session.rows(query.limit(asked.limit + 1))
