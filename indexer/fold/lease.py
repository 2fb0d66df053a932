"""Events of the LeaseBook on one lease: opening, funding, closing, settlement, collection; its token's transfers."""

from __future__ import annotations

from indexer import formulas
from indexer.events import Log
from indexer.fold.errors import FoldBreach
from indexer.fold.journal import (
    FEE,
    LEASEBOOK,
    Args,
    Books,
    Handler,
    bond,
    clearing,
    compensation,
    credit,
    escrow,
    payout,
    revenue,
    sla,
)
from indexer.fold.share import NOBODY
from indexer.fold.state import Row


def opened(books: Books, log: Log, a: Args) -> None:
    lease_id, site_id, deposit = a["leaseId"], a["siteId"], a["deposit"]
    listing = books.state.need("listing", (a["listingId"],))
    locked = a["gpus"] * listing["bond_per_gpu"]
    _set_locked(books, site_id, locked, a["lockedBond"])
    first = not listing["leased"]
    books.state.put(
        "listing",
        (a["listingId"],),
        {
            **listing,
            "leased": a["leased"],
            "busy_from": a["start"] if first else min(listing["busy_from"], a["start"]),
            "busy_until": a["termEnd"] if first else max(listing["busy_until"], a["termEnd"]),
        },
    )
    row: Row = {
        "lease_id": lease_id,
        "site_id": site_id,
        "listing_id": a["listingId"],
        "version": a["version"],
        "holder": a["holder"],
        "opened_by": a["payer"],
        "opened_at": log.time,
        "gpus": a["gpus"],
        "start_at": a["start"],
        "term_end": a["termEnd"],
        "end_at": a["termEnd"],
        "closing_at": None,
        "code": 0,
        "price": a["price"],
        "fee_bps": a["feeBps"],
        "bond_locked": locked,
        "deposited": deposit,
        "rent_total": 0,
        "fee_total": 0,
        "shares_total": 0,
        "unshared_net": 0,
        "settled_until": a["start"],
        "available": 0,
        "due": 0,
        "compensation": 0,
        "penalty": 0,
        "collected": 0,
        "finalised": False,
        "released": False,
    }
    row = _put(books, row)
    token = _token(books, row)
    _pay_in(books, log, row, token, deposit)
    _note(books, log, row, "opened", account=a["holder"], amount=deposit)


def funded(books: Books, log: Log, a: Args) -> None:
    row = _put(books, {**_lease(books, a), "deposited": a["deposited"]})
    if row["end_at"] != a["end"]:
        raise FoldBreach(
            "the event states another end", account=escrow(row["lease_id"]), amount=a["end"] - row["end_at"]
        )
    _pay_in(books, log, row, _token(books, row), a["amount"])
    _note(books, log, row, "funded", account=a["payer"], amount=a["amount"])


def _pay_in(books: Books, log: Log, row: Row, token: str, amount: int) -> None:
    books.journal.entry(log, token, (clearing(LEASEBOOK), amount), (escrow(row["lease_id"]), -amount))
    _check_escrow(books, row, token)
    books.owe(log.address, token, amount)


def transferred(books: Books, log: Log, a: Args) -> None:
    """The lease's token moved. The mint tells nothing that `LeaseOpened` does not, whichever comes first."""
    sender, receiver, lease_id = a["from"], a["to"], a["tokenId"]
    if sender == NOBODY:
        return
    if receiver == NOBODY:
        books.burnt[lease_id] = sender
        books.state.change("lease", (lease_id,), holder=None)
        return
    row = books.state.change("lease", (lease_id,), holder=receiver)
    _note(books, log, row, "transferred", account=receiver, amount=0)


def closing(books: Books, log: Log, a: Args) -> None:
    row = _put(books, {**_lease(books, a), "closing_at": a["end"], "code": a["code"]})
    _note(books, log, row, "closing", account=a["by"], amount=0)


def reclaimed(books: Books, log: Log, a: Args) -> None:
    old, paid = _lease(books, a), a["compensation"]
    site_id = old["site_id"]
    row = _put(
        books,
        {
            **old,
            "closing_at": a["end"],
            "code": a["code"],
            "compensation": old["compensation"] + paid,
            "bond_locked": old["bond_locked"] - paid,
        },
    )
    _set_locked(books, site_id, -paid, a["lockedBond"])
    _pay_from_bond(books, log, row, compensation(site_id), amount=paid, bond_after=a["bond"])
    _note(books, log, row, "reclaimed", account=a["by"], amount=paid)


def settled(books: Books, log: Log, a: Args) -> None:
    old, owner = _lease(books, a), a["owner"]
    fee, shares, owner_part = a["fee"], a["shares"], a["ownerPart"]
    rent = fee + shares + owner_part
    lease_id, site_id = old["lease_id"], old["site_id"]
    if off := a["rentTotal"] - old["rent_total"] - rent:
        raise FoldBreach("the event states another rent", account=escrow(lease_id), amount=off)
    row = _put(
        books,
        {
            **old,
            "settled_until": a["settledUntil"],
            "available": a["available"],
            "due": a["due"],
            "rent_total": a["rentTotal"],
            "fee_total": old["fee_total"] + fee,
            "shares_total": old["shares_total"] + shares,
            "unshared_net": a["unsharedNet"],
        },
    )
    token, turnover = _token(books, row), revenue(site_id, "lease")
    books.journal.entry(
        log,
        token,
        (escrow(lease_id), rent),
        (turnover, -rent),
        (turnover, rent),
        (FEE, -fee),
        (credit(owner), -owner_part),
        (clearing(LEASEBOOK), -shares),
    )
    _check_escrow(books, row, token)
    _earn(books, token, fee, owner, owner_part)
    books.owe(log.address, token, -shares)
    entry: Row = {
        "block_number": log.block,
        "log_index": log.index,
        "time": log.time,
        "tx_hash": log.tx_hash,
        "lease_id": lease_id,
        "site_id": site_id,
        "owner": owner,
        "settled_until": a["settledUntil"],
        "available": a["available"],
        "due": a["due"],
        "rent": rent,
        "fee": fee,
        "shares": shares,
        "owner_part": owner_part,
    }
    books.state.append("settlement", entry)
    _note(books, log, row, "settled", account=owner, amount=rent)


def _earn(books: Books, token: str, fee: int, owner: str, owner_part: int) -> None:
    state = books.state
    if fee:
        due = state.get("fees", (token,)) or {"token": token, "amount": 0}
        state.put("fees", (token,), {**due, "amount": due["amount"] + fee})
    if owner_part:
        key = (token, owner)
        held = state.get("credit", key) or {"token": token, "account": owner, "amount": 0}
        state.put("credit", key, {**held, "amount": held["amount"] + owner_part})


def finalised(books: Books, log: Log, a: Args) -> None:
    old, paid = _lease(books, a), a["penalty"]
    row = _put(books, {**old, "penalty": paid, "code": a["code"], "finalised": True, "bond_locked": 0})
    _set_locked(books, row["site_id"], -old["bond_locked"], a["lockedBond"])
    _pay_from_bond(books, log, row, sla(row["site_id"]), amount=paid, bond_after=a["bond"])
    _note(books, log, row, "finalised", account=None, amount=paid)


def _pay_from_bond(books: Books, log: Log, row: Row, turnover: str, *, amount: int, bond_after: int) -> None:
    site_id, lease_id = row["site_id"], row["lease_id"]
    token = books.state.change("site", (site_id,), bond=bond_after)["token"]
    books.journal.entry(
        log, token, (bond(site_id), amount), (turnover, -amount), (turnover, amount), (escrow(lease_id), -amount)
    )
    books.journal.expect(bond(site_id), token, bond_after)
    _check_escrow(books, row, token)


def released(books: Books, log: Log, a: Args) -> None:
    row = books.state.change("lease", (a["leaseId"],), released=True)
    idle = {} if a["leased"] else {"busy_from": 0, "busy_until": 0}
    books.state.change("listing", (a["listingId"],), leased=a["leased"], **idle)
    _note(books, log, row, "released", account=None, amount=0)


def collected(books: Books, log: Log, a: Args) -> None:
    row = books.state.change("lease", (a["leaseId"],), collected=a["collected"])
    token, lease_id, amount = _token(books, row), row["lease_id"], a["amount"]
    books.journal.entry(log, token, (escrow(lease_id), amount), (clearing(LEASEBOOK), -amount))
    _check_escrow(books, row, token)
    books.owe(log.address, token, -amount)
    holder = row["holder"] or books.burnt[lease_id]
    payout(
        books,
        log,
        kind="collect",
        token=token,
        account=holder,
        recipient=a["to"],
        subject=f"lease/{lease_id}",
        amount=amount,
    )
    _note(books, log, row, "collected", account=a["to"], amount=amount)


def _lease(books: Books, a: Args) -> Row:
    return books.state.need("lease", (a["leaseId"],))


def _put(books: Books, row: Row) -> Row:
    row["end_at"] = formulas.end_of(row)
    books.state.put("lease", (row["lease_id"],), row)
    return row


def _token(books: Books, row: Row) -> str:
    token: str = books.state.need("site", (row["site_id"],))["token"]
    return token


def _check_escrow(books: Books, row: Row, token: str) -> None:
    books.journal.expect(escrow(row["lease_id"]), token, formulas.escrow(row))


def _set_locked(books: Books, site_id: int, delta: int, after: int) -> None:
    """Take a site's locked bond from the event, if it is what the lease's part makes of it."""
    site = books.state.need("site", (site_id,))
    if off := after - site["locked_bond"] - delta:
        raise FoldBreach("the event states another locked bond", account=bond(site_id), token=site["token"], amount=off)
    books.state.put("site", (site_id,), {**site, "locked_bond": after})


def _note(books: Books, log: Log, row: Row, kind: str, *, account: str | None, amount: int) -> None:
    entry: Row = {
        "block_number": log.block,
        "log_index": log.index,
        "time": log.time,
        "tx_hash": log.tx_hash,
        "lease_id": row["lease_id"],
        "site_id": row["site_id"],
        "kind": kind,
        "account": account,
        "amount": amount,
        "end_at": row["end_at"],
        "code": row["code"],
    }
    books.state.append("lease_event", entry)


HANDLERS: dict[str, Handler] = {
    "LeaseOpened": opened,
    "LeaseFunded": funded,
    "Transfer": transferred,
    "LeaseClosing": closing,
    "LeaseReclaimed": reclaimed,
    "LeaseSettled": settled,
    "LeaseFinalised": finalised,
    "LeaseReleased": released,
    "LeaseCollected": collected,
}
