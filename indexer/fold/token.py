"""Transfers of settlement tokens to and from our contracts: the only source of cash postings."""

from __future__ import annotations

from indexer.events import Log
from indexer.fold.journal import Args, Books, Handler, cash, clearing
from indexer.fold.state import BALANCE, Key, Known


def holds_cash(known: dict[str, Known], address: str) -> str:
    """Return the name in the books of a contract of ours that holds cash (`leasebook`, `offering/3`), or nothing."""
    found = known.get(address)
    return found.name if found else ""


def transfer(books: Books, log: Log, a: Args) -> None:
    value = a["value"]
    known = books.state.known
    payer, payee = holds_cash(known, a["from"]), holds_cash(known, a["to"])
    lines = []
    if payer:
        lines += [(cash(payer), -value), (clearing(payer), value)]
    if payee:
        lines += [(cash(payee), value), (clearing(payee), -value)]
    books.journal.entry(log, log.address, *lines)


def keys(known: dict[str, Known], a: Args) -> list[tuple[str, Key]]:
    """Return the balances that a transfer touches."""
    names = [name for side in ("from", "to") if (name := holds_cash(known, a[side]))]
    return [(BALANCE, (account(name),)) for name in names for account in (cash, clearing)]


HANDLERS: dict[str, Handler] = {"Transfer": transfer}
