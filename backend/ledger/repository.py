"""Queries of the books."""

from sqlalchemy import ColumnElement, and_, case, func, select, true, tuple_

from backend.kit.database import Row, WriteSession
from backend.kit.pages import INT, Asked
from backend.mirror.view import View
from indexer import schema

posting = schema.posting
raw_log = schema.raw_log
reconciliation = schema.reconciliation


def balances(view: View, token: str | None) -> list[Row]:
    """Return the balance of every account and token after its last posting up to the view's block, zeros left out.

    Which accounts there are comes from the current balances; each is one probe of the postings' index, never a scan.
    """
    known, c = schema.balance.c, posting.c
    last = (
        select(c.balance)
        .where(c.chain_id == view.chain_id, c.account == known.account, c.token == known.token)
        .where(c.block_number <= view.block)
        .order_by(c.block_number.desc(), c.log_index.desc(), c.ordinal.desc())
        .limit(1)
        .correlate(schema.balance)
        .lateral()
    )
    of_chain = [known.chain_id == view.chain_id]
    if token is not None:
        of_chain.append(known.token == view.address_id(token))
    names, tokens = schema.account, schema.address
    return view.session.rows(
        select(names.c.name.label("account"), tokens.c.address.label("token"), last.c.balance)
        .select_from(schema.balance)
        .join(last, true())
        .join(names, and_(names.c.chain_id == view.chain_id, names.c.id == known.account))
        .join(tokens, and_(tokens.c.chain_id == view.chain_id, tokens.c.id == known.token))
        .where(*of_chain, last.c.balance != 0)
        .order_by(names.c.name, tokens.c.address)
    )


def account_id(view: View, name: str) -> ColumnElement[bool]:
    """Return the condition that a posting is of the account of that name."""
    known = schema.account
    found = select(known.c.id).where(known.c.chain_id == view.chain_id, known.c.name == name).scalar_subquery()
    return posting.c.account == found


def of_transaction(view: View, tx_hash: str) -> ColumnElement[bool]:
    """Return the condition that a posting is of a log of that transaction."""
    known = schema.hash_
    wanted = select(known.c.id).where(known.c.chain_id == view.chain_id, known.c.hash == tx_hash).scalar_subquery()
    logs = select(raw_log.c.block_number, raw_log.c.log_index).where(
        raw_log.c.chain_id == view.chain_id, raw_log.c.tx_hash == wanted
    )
    return tuple_(posting.c.block_number, posting.c.log_index).in_(logs)


def transactions(view: View, rows: list[Row]) -> dict[tuple[int, int], str]:
    """Return the transaction of each posting's log."""
    logs = {(row["block_number"], row["log_index"]) for row in rows}
    if not logs:
        return {}
    known = schema.hash_
    found = view.session.rows(
        select(raw_log.c.block_number, raw_log.c.log_index, known.c.hash)
        .join(known, and_(known.c.chain_id == raw_log.c.chain_id, known.c.id == raw_log.c.tx_hash))
        .where(
            raw_log.c.chain_id == view.chain_id, tuple_(raw_log.c.block_number, raw_log.c.log_index).in_(sorted(logs))
        )
    )
    return {(row["block_number"], row["log_index"]): row["hash"] for row in found}


_STATUS = case(
    (reconciliation.c.error.is_not(None), "failed"),
    (func.jsonb_array_length(reconciliation.c.differences) > 0, "differs"),
    (reconciliation.c.accounts_compared == 0, "failed"),
    else_="ok",
)


def comparisons(session: WriteSession, chain_id: int, asked: Asked, status: str | None) -> list[Row]:
    """Return `limit + 1` comparisons, the newest block first."""
    c = reconciliation.c
    kind = case((c.kind == "sweep", 1), else_=0)
    # Two comparisons of a block differ in kind, or in the hash of a block that a reorg replaced.
    key = (c.block_number, kind, func.hashtext(c.block_hash).op("&")(0x7FFFFFFF))
    statement = select(reconciliation, _STATUS.label("status"), kind.label("sweep"), key[2].label("hashed"))
    statement = statement.where(c.chain_id == chain_id)
    if status is not None:
        statement = statement.where(_STATUS.in_([status]))
    if (after := asked.after(INT, INT, INT)) is not None:
        statement = statement.where(tuple_(*key) < tuple_(*after[0]))
    return session.rows(statement.order_by(*(each.desc() for each in key)).limit(asked.limit + 1))
