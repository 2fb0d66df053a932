"""Queries of usage and reports."""

from sqlalchemy import tuple_

from backend.kit.database import Row
from backend.kit.pages import INT, Asked
from backend.mirror.view import View
from indexer.schema import tables

usage = tables["usage"]
report = tables["report"]


def usage_page(view: View, asked: Asked, column: str, value: int) -> list[Row]:
    """Return `limit + 1` rows of usage of a lease or a site, in the order of the reports."""
    after = asked.after(INT, INT)
    if view.past:
        rows = view.rows("usage", lambda table: table.c[column] == value)
        rows.sort(key=lambda row: (row["report_id"], row["lease_id"]))
        left = [row for row in rows if after is None or (row["report_id"], row["lease_id"]) > after[0]]
        return left[: asked.limit + 1]
    query = view.current("usage", usage.c[column] == value)
    key = (usage.c.report_id, usage.c.lease_id)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after[0]))
    return view.session.rows(query.order_by(*key).limit(asked.limit + 1))


def report_page(view: View, asked: Asked, site_id: int | None) -> list[Row]:
    """Return `limit + 1` reports in the order of their ids."""
    query = view.current("report", *([] if site_id is None else [report.c.site_id == site_id]))
    if (after := asked.after(INT)) is not None:
        query = query.where(report.c.report_id > after[0][0])
    return view.session.rows(query.order_by(report.c.report_id).limit(asked.limit + 1))
