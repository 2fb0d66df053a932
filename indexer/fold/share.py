"""Events of a CapacityShare clone: holdings, the stream, and what is attributed to whom.

A distribution is posted to the pool alone. A holder's part is computed from balance, index and block time by the
contract's own formula at the moments when the contract writes it down: a transfer and a claim.
"""

from __future__ import annotations

from indexer import formulas
from indexer.events import Log
from indexer.fold.errors import FoldBreach
from indexer.fold.journal import Args, Books, Handler, clearing, payable, payout, pool, revenue
from indexer.fold.state import BALANCE, Key, Row

NOBODY = "0x" + 40 * "0"

#: `RevenueSource` of ICapacityShare.
SOURCES = ("lease", "mining", "demand_response", "other")


def transfer(books: Books, log: Log, a: Args) -> None:
    """Settle both sides, then move the shares. A mint finds the index at 0."""
    offering = books.state.need("offering", (log.address,))
    sender, receiver, value = a["from"], a["to"], a["value"]
    if sender == NOBODY:
        attribute(books, log, offering, receiver)
    else:
        attribute(books, log, offering, sender, receiver)
        row = _holding(books, log, sender)
        if row["balance"] < value:
            account = f"shares:{_contract(offering)}/{sender}"
            raise FoldBreach("more shares left than there were", account=account, amount=value - row["balance"])
        _put(books, {**row, "balance": row["balance"] - value})
    row = _holding(books, log, receiver)
    _put(books, {**row, "balance": row["balance"] + value})


def attribute(books: Books, log: Log, offering: Row, *accounts: str) -> None:
    """Move what holders have earned up to this block's time from the pool to what is payable to them."""
    now = formulas.index(offering, log.time)
    contract = _contract(offering)
    lines = []
    total = 0
    for account in accounts:
        row = _holding(books, log, account)
        if now == row["paid_index"]:
            continue
        amount = formulas.earned(row["balance"], row["paid_index"], now)
        _put(books, {**row, "paid_index": now, "accrued": row["accrued"] + amount})
        if amount:
            total += amount
            lines.append((payable(contract, account), -amount))
    if total:
        books.journal.entry(log, offering["token"], (pool(contract), total), *lines)


def distributed(books: Books, log: Log, a: Args) -> None:
    offering = books.state.need("offering", (log.address,))
    token, contract, amount = offering["token"], _contract(offering), a["amount"]
    source = SOURCES[a["source"]]
    turnover = revenue(offering["site_id"], source)
    # Rent was shown as revenue when its lease was settled.
    shown = 0 if source == "lease" else amount
    books.journal.entry(
        log, token, (clearing(contract), amount), (turnover, -shown), (turnover, shown), (pool(contract), -amount)
    )
    _check_owed(books.owe(log.address, token, amount), contract, token, a["owed"])
    books.state.put(
        "offering",
        (log.address,),
        {
            **offering,
            "index": a["index"],
            "index_end": a["indexEnd"],
            "stream_start": a["streamStart"],
            "stream_end": a["streamEnd"],
            "owed": a["owed"],
            "distributed": offering["distributed"] + amount,
        },
    )
    row: Row = {
        "block_number": log.block,
        "log_index": log.index,
        "time": log.time,
        "tx_hash": log.tx_hash,
        "share": log.address,
        "site_id": offering["site_id"],
        "source": source,
        "ref": a["ref"],
        "payer": a["payer"],
        "amount": amount,
    }
    books.state.append("distribution", row)


def claimed(books: Books, log: Log, a: Args) -> None:
    offering = books.state.need("offering", (log.address,))
    token, contract, amount, account = offering["token"], _contract(offering), a["amount"], a["account"]
    attribute(books, log, offering, account)
    row = _holding(books, log, account)
    owed_to = payable(contract, account)
    if row["accrued"] != amount:
        off = amount - row["accrued"]
        raise FoldBreach("the claim is not what was earned", account=owed_to, token=token, amount=off)
    _put(books, {**row, "accrued": 0, "claimed": row["claimed"] + amount})
    books.journal.entry(log, token, (owed_to, amount), (clearing(contract), -amount))
    books.journal.expect(owed_to, token, 0)
    _check_owed(books.owe(log.address, token, -amount), contract, token, a["owed"])
    books.state.change("offering", (log.address,), owed=a["owed"], claimed=offering["claimed"] + amount)
    payout(books, log, kind="claim", token=token, account=account, recipient=a["to"], subject=contract, amount=amount)


def claimable_moved(books: Books, log: Log, a: Args) -> None:
    """A lost wallet's accrued money goes along; both sides were settled by the transfer before it."""
    offering = books.state.need("offering", (log.address,))
    contract, sender, receiver, amount = _contract(offering), a["from"], a["to"], a["amount"]
    attribute(books, log, offering, sender, receiver)
    source, target = _holding(books, log, sender), _holding(books, log, receiver)
    if source["accrued"] != amount:
        off = amount - source["accrued"]
        raise FoldBreach("what moved is not what was earned", account=payable(contract, sender), amount=off)
    _put(books, {**source, "accrued": 0})
    _put(books, {**target, "accrued": target["accrued"] + amount})
    books.journal.entry(
        log, offering["token"], (payable(contract, sender), amount), (payable(contract, receiver), -amount)
    )


def frozen(books: Books, log: Log, a: Args) -> None:
    row = _holding(books, log, a["account"])
    _put(books, {**row, "frozen": a["amount"]})


def _contract(offering: Row) -> str:
    return f"offering/{offering['site_id']}"


def _holding(books: Books, log: Log, account: str) -> Row:
    return books.state.get("holding", (log.address, account)) or {
        "share": log.address,
        "account": account,
        "balance": 0,
        "paid_index": 0,
        "accrued": 0,
        "frozen": 0,
        "claimed": 0,
    }


def _put(books: Books, row: Row) -> None:
    books.state.put("holding", (row["share"], row["account"]), row)


def _check_owed(ours: int, contract: str, token: str, theirs: int) -> None:
    if ours != theirs:
        reason = "the event states another total owed"
        raise FoldBreach(reason, account=pool(contract), token=token, amount=theirs - ours)


def keys(name: str, contract: str, log: Log, a: Args) -> list[tuple[str, Key]]:
    """Return what an event of the clone named `contract` in the books (`offering/3`) touches."""
    share = log.address
    found: list[tuple[str, Key]] = [("offering", (share,))]
    holders = [a[side] for side in ("account", "from", "to") if side in a]
    if name == "Claimed":
        holders = [a["account"]]
    found += [("holding", (share, holder)) for holder in holders]
    found += [(BALANCE, (payable(contract, holder),)) for holder in holders]
    found += [(BALANCE, (pool(contract),)), (BALANCE, (clearing(contract),))]
    if name == "Distributed":
        found.append((BALANCE, (revenue(int(contract.partition("/")[2]), SOURCES[a["source"]]),)))
    return found


HANDLERS: dict[str, Handler] = {
    "Transfer": transfer,
    "Distributed": distributed,
    "Claimed": claimed,
    "ClaimableMoved": claimable_moved,
    "Frozen": frozen,
}
