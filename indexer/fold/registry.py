"""Events of the IdentityRegistry."""

from __future__ import annotations

from typing import Any

from indexer.events import Log
from indexer.fold.journal import Args, Books, Handler
from indexer.fold.state import Key


def set_policy(books: Books, contract: str, **fields: Any) -> None:
    """Change what a policy role sets on a contract: `entries_paused`, `fee_bps`."""
    row = books.state.get("policy", (contract,)) or {"contract": contract, "entries_paused": False, "fee_bps": 0}
    books.state.put("policy", (contract,), {**row, **fields})


def identity_set(books: Books, _log: Log, a: Args) -> None:
    account = a["account"]
    books.state.put(
        "identity",
        (account,),
        {
            "account": account,
            "party": a["party"],
            "valid_until": a["validUntil"],
            "country": a["country"],
            "flags": a["flags"],
        },
    )


def entries_paused(books: Books, log: Log, a: Args) -> None:
    set_policy(books, log.address, entries_paused=a["paused"])


def keys(name: str, _contract: str, log: Log, a: Args) -> list[tuple[str, Key]]:
    """Return what an event touches."""
    return [("identity", (a["account"],))] if name == "IdentitySet" else [("policy", (log.address,))]


HANDLERS: dict[str, Handler] = {"IdentitySet": identity_set, "EntriesPaused": entries_paused}
