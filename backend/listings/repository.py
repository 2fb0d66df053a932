"""The search of the market, on current rows."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, tuple_
from sqlalchemy import Numeric as SqlNumeric

from backend.kit.database import Row
from backend.kit.pages import INT, Asked
from backend.mirror.view import View
from indexer.schema import tables

PRICE_BITS = 80
listing = tables["listing"]
site = tables["site"]


@dataclass(frozen=True)
class Search:
    """What is looked for; None and empty mean any."""

    site_id: int | None = None
    models: list[str] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    price_lte: int | None = None
    available_gpus_gte: int | None = None
    sla_gte: int | None = None
    window_from: int | None = None
    window_until: int | None = None
    include_withdrawn: bool = False
    sort: str = "listing_id"


def next_price() -> ColumnElement[Any]:
    """Return `formulas.price(terms, leased, 1)` in SQL, exact (`div` is the whole quotient); a test holds both."""
    whole = SqlNumeric(78, 0)
    span = (listing.c.ceiling_price - listing.c.floor_price) * (2 * listing.c.leased + 1)
    parts = cast(2 * listing.c.gpus, whole)
    return listing.c.floor_price + func.div(cast(span, whole) + parts - 1, parts)


def search(view: View, asked: Asked, wanted: Search) -> list[Row]:
    """Return `limit + 1` listings with `next_price`, in the order asked for, then by id."""
    price = next_price()
    statement = view.current("listing", *_conditions(view, wanted, price)).add_columns(price.label("next_price"))
    statement = statement.join(site, and_(site.c.chain_id == listing.c.chain_id, site.c.site_id == listing.c.site_id))
    down, by_price = wanted.sort.startswith("-"), wanted.sort.endswith("price")
    key = [price, listing.c.listing_id] if by_price else [listing.c.listing_id]
    if (after := asked.after(*((PRICE_BITS, INT) if by_price else (INT,)))) is not None:
        anchor = tuple_(*after[0])
        statement = statement.where(tuple_(*key) < anchor if down else tuple_(*key) > anchor)
    order = [each.desc() for each in key] if down else key
    return view.session.rows(statement.order_by(*order).limit(asked.limit + 1))


def _conditions(view: View, wanted: Search, price: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    c = listing.c
    conditions = []
    if not wanted.include_withdrawn:
        conditions += [c.withdrawn.is_(False), c.window_until > view.time]
    if wanted.site_id is not None:
        conditions.append(c.site_id == wanted.site_id)
    if wanted.models:
        conditions.append(c.model.in_(wanted.models))
    if wanted.regions:
        conditions.append(site.c.region.in_(wanted.regions))
    if wanted.price_lte is not None:
        conditions.append(price <= wanted.price_lte)
    if wanted.available_gpus_gte is not None:
        conditions.append(c.gpus - c.leased >= wanted.available_gpus_gte)
    if wanted.sla_gte is not None:
        conditions.append(c.sla_bps >= wanted.sla_gte)
    if wanted.window_from is not None:
        conditions.append(c.window_from <= wanted.window_from)
    if wanted.window_until is not None:
        conditions.append(c.window_until >= wanted.window_until)
    return conditions
