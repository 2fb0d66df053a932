"""Queries of sites."""

from sqlalchemy import Select

from backend.kit.database import Row
from backend.kit.pages import INT, Asked
from backend.mirror.view import View
from indexer.schema import tables


def page(view: View, asked: Asked, owner: str | None, region: str | None, token: str | None) -> list[Row]:
    """Return `limit + 1` sites in the order of their ids."""
    site = tables["site"]
    conditions = []
    if owner is not None:
        conditions.append(view.equal(site, "owner", owner))
    if token is not None:
        conditions.append(view.equal(site, "token", token))
    if region is not None:
        conditions.append(site.c.region == region)
    if (after := asked.after(INT)) is not None:
        conditions.append(site.c.site_id > after[0][0])
    query: Select[tuple[object, ...]] = view.current("site", *conditions)
    return view.session.rows(query.order_by(site.c.site_id).limit(asked.limit + 1))
