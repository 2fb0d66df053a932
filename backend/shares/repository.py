"""Queries of offerings, holdings and distributions."""

from collections.abc import Sequence

from sqlalchemy import and_, func, select

from backend.kit.database import Row
from backend.kit.pages import INT, Asked
from backend.mirror.view import View
from indexer.schema import tables

offering = tables["offering"]
holding = tables["holding"]
distribution = tables["distribution"]


def offering_page(view: View, asked: Asked) -> list[Row]:
    """Return `limit + 1` offerings in the order of their sites."""
    query = view.current("offering")
    if (after := asked.after(INT)) is not None:
        query = query.where(offering.c.site_id > after[0][0])
    return view.session.rows(query.order_by(offering.c.site_id).limit(asked.limit + 1))


def holding_page(view: View, asked: Asked, share: str) -> list[Row]:
    """Return `limit + 1` holdings of an offering with the id of their account, in the order of those."""
    query = view.current("holding", view.equal(holding, "share", share))
    query = query.add_columns(holding.c.account.label("account_id"))
    if (after := asked.after(INT)) is not None:
        query = query.where(holding.c.account > after[0][0])
    return view.session.rows(query.order_by(holding.c.account).limit(asked.limit + 1))


def revenue(view: View, share: str) -> dict[str, int]:
    """Return what was distributed to an offering up to the view's block, by source."""
    rows = view.session.rows(
        select(distribution.c.source, func.sum(distribution.c.amount).label("amount"))
        .where(
            distribution.c.chain_id == view.chain_id,
            view.equal(distribution, "share", share),
            distribution.c.block_number <= view.block,
        )
        .group_by(distribution.c.source)
    )
    return {row["source"]: int(row["amount"]) for row in rows}


def holders(view: View, share: str) -> int:
    """Return how many accounts hold some of an offering at the view's block."""
    if view.past:
        rows = view.rows("holding", lambda table: view.equal(table, "share", share))
        return sum(row["balance"] > 0 for row in rows)
    found = view.session.row(
        select(func.count().label("holders"))
        .select_from(holding)
        .where(and_(holding.c.chain_id == view.chain_id, view.equal(holding, "share", share), holding.c.balance > 0))
    )
    return int(found["holders"]) if found else 0


def of_shares(view: View, shares: Sequence[str]) -> dict[str, Row]:
    """Return offerings at the view's block by their EIP-55 address."""
    return {row["share"]: row for row in view.many("offering", [{"share": share} for share in shares])}
