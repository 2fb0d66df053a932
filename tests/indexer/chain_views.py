"""Every view of the contracts beside what rows and formulas say it must return at a block's time.

A view's answer is compared word by word: addresses, flags and amounts are all words, so nothing is decoded that could
hide a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, NamedTuple

from contracts import load_abi
from drakewell.codec import selector
from indexer import formulas
from indexer.fold.leasebook import TERMS
from tests.indexer.memory_mirror import MemoryMirror, Row

STATES = (
    formulas.NONE,
    formulas.FORWARD,
    formulas.ACTIVE,
    formulas.CLOSING,
    formulas.RECLAIMING,
    formulas.ENDED,
    formulas.FINAL,
)


class View(NamedTuple):
    """A call and the words that must come back; None where it must revert."""

    contract: str
    to: str
    function: str
    args: tuple[int | str, ...]
    expected: list[Any] | None

    def data(self) -> str:
        """Return the call's bytes; every argument is one word."""
        words = "".join(f"{_number(argument):064x}" for argument in self.args)
        return "0x" + selector(self.contract, self.function, len(self.args)).hex() + words


def compare(mirror: MemoryMirror, rng: Random, counts: Counter[str]) -> list[str]:
    """Ask the chain for every view at the mirror's block, count by function, and name each difference in a line."""
    market, block = mirror.market, mirror.next_block - 1
    views = list(_views(mirror, rng))
    requests = [("eth_call", ({"to": view.to, "data": view.data()}, hex(block))) for view in views]
    found: list[str] = []
    for view, answer in zip(views, market.rpc.answers(requests), strict=True):
        counts[f"{view.contract}.{view.function}"] += 1
        ours = None if view.expected is None else [_number(value) for value in view.expected]
        theirs = _words(answer)
        if ours != theirs:
            found.append(f"block {block} at {mirror.time}: {_told(view, ours, theirs)}")
    return found


def _views(mirror: MemoryMirror, rng: Random) -> Iterator[View]:
    market, t = mirror.market, mirror.time
    book, registry = market.addresses["LeaseBook"], market.addresses["IdentityRegistry"]
    tokens = [token for (token,) in mirror.table("token")]
    for table, function in (("site", "siteCount"), ("listing", "listingCount"), ("lease", "leaseCount")):
        yield View("LeaseBook", book, function, (), [len(mirror.table(table))])
    meter = market.addresses["UsageMeter"]
    yield View("UsageMeter", meter, "reportCount", (), [len(mirror.table("report"))])
    policy = mirror.table("policy")[book.lower(),]
    yield View("LeaseBook", book, "feeBps", (), [policy["fee_bps"]])
    yield View("LeaseBook", book, "entriesPaused", (), [policy["entries_paused"]])
    for account, row in _members(mirror):
        words = [row["valid_until"], row["country"], row["flags"], row["party"]]
        yield View("IdentityRegistry", registry, "identityOf", (account,), words)
    for row in mirror.table("site").values():
        yield from _site(book, row)
    for row in mirror.table("listing").values():
        yield from _listing(mirror, book, row, t, rng)
    for row in mirror.table("lease").values():
        # Nothing moves any more in a lease that is paid out: a sample of those will do.
        if row["released"] and row["holder"] is None and rng.random() < 0.9:
            continue
        yield from _lease(mirror, book, row, t)
        yield from _meter(mirror, meter, row, t)
    for row in mirror.table("offering").values():
        yield from _offering(mirror, row, t)
    for token in tokens:
        yield from _token(mirror, book, token)


def _members(mirror: MemoryMirror) -> Iterator[tuple[str, Row]]:
    unknown = {"valid_until": 0, "country": 0, "flags": 0, "party": 0}
    for actor in mirror.market.actors.values():
        account = actor.address.lower()
        yield account, mirror.table("identity").get((account,), unknown)


def _site(book: str, row: Row) -> Iterator[View]:
    words = [row[name] or 0 for name in ("owner", "gpus", "revenue_bps", "pending_owner", "token", "share", "bond")]
    yield View("LeaseBook", book, "siteOf", (row["site_id"],), [*words, row["locked_bond"]])
    yield View("LeaseBook", book, "pendingSharesOf", (row["site_id"],), [row["pending_shares"]])


def _listing(mirror: MemoryMirror, book: str, row: Row, t: int, rng: Random) -> Iterator[View]:
    listing_id = row["listing_id"]
    names = ("site_id", "version", "leased", "busy_from", "busy_until", "withdrawn")
    yield View("LeaseBook", book, "listingOf", (listing_id,), [row[name] for name in names])
    version = rng.randint(1, row["version"])
    terms = mirror.table("listing_terms")[listing_id, version]
    words = [terms[column] for column in TERMS.values()]
    yield View("LeaseBook", book, "termsOf", (listing_id, version), [*words[:-1], _name(words[-1])])
    free, longest = row["gpus"] - row["leased"], min(row["max_term"], row["window_until"] - max(t, row["window_from"]))
    if row["withdrawn"] or not free or longest < row["min_term"]:
        return
    gpus, term = rng.randint(1, free), rng.randint(row["min_term"], longest)
    quote = formulas.quote(row, mirror.table("site")[row["site_id"],], gpus, term, t)
    yield View("LeaseBook", book, "quote", (listing_id, gpus, term), [*quote])


def _lease(mirror: MemoryMirror, book: str, row: Row, t: int) -> Iterator[View]:
    lease_id, meter = row["lease_id"], mirror.table("meter").get((row["lease_id"],))
    terms = mirror.table("listing_terms")[row["listing_id"], row["version"]]
    before = ("site_id", "listing_id", "version", "gpus", "start_at", "term_end")
    after = ("price", "deposited", "fee_bps", "rent_total", "unshared_net", "settled_until", "collected")
    words = [
        *(row[name] for name in before),
        row["closing_at"] or 0,
        *(row[name] for name in ("code", "released", "finalised")),
        *(row[name] for name in after),
        row["compensation"],
        row["penalty"],
    ]
    yield View("LeaseBook", book, "leaseOf", (lease_id,), words)
    yield View("LeaseBook", book, "endOf", (lease_id,), [row["end_at"]])
    yield View("LeaseBook", book, "stateOf", (lease_id,), [STATES.index(formulas.lease_state(row, t))])
    yield View("LeaseBook", book, "collectable", (lease_id,), [formulas.collectable(row)])
    yield View("LeaseBook", book, "penaltyOf", (lease_id,), [formulas.penalty_view(row, meter, terms, t)])
    yield View("LeaseBook", book, "ownerOf", (lease_id,), row["holder"] and [row["holder"]])
    curtailable = row["gpus"] * (row["term_end"] - row["start_at"]) * terms["curtailable_bps"] // 10_000
    words = [row["site_id"], row["gpus"], row["start_at"], row["end_at"], curtailable]
    yield View("LeaseBook", book, "meterTerms", (lease_id,), words)
    settles = formulas.settlement_due(row, meter, t).settles
    yield View("LeaseBook", book, "settle", (lease_id,), [] if settles else None)


def _meter(mirror: MemoryMirror, meter: str, lease: Row, t: int) -> Iterator[View]:
    lease_id = lease["lease_id"]
    row = mirror.table("meter").get((lease_id,))
    counted = row or {"round": 0, "available": 0, "due": 0, "busy": 0, "curtailed": 0, "count": 0, "ring": []}
    words = [formulas.reported_to(lease, row)]
    words += [counted[name] for name in ("round", "available", "due", "busy", "curtailed")]
    yield View("UsageMeter", meter, "totals", (lease_id,), words)
    yield View("UsageMeter", meter, "settled", (lease_id,), [*formulas.meter_settled(row, t)])
    yield View("UsageMeter", meter, "lapsedTo", (lease_id,), [formulas.lapsed_to(lease, row, t)])
    ring = [
        (end, end - start, posted_at, available, due, busy, curtailed)
        for _, start, end, posted_at, available, due, busy, curtailed, _ in counted["ring"]
    ]
    words = [counted["count"], 64, len(ring), *(word for checkpoint in ring for word in checkpoint)]
    yield View("UsageMeter", meter, "checkpointsOf", (lease_id,), words)


def _offering(mirror: MemoryMirror, row: Row, t: int) -> Iterator[View]:
    share, token = row["share"], row["token"]
    line = [row[name] for name in ("index", "index_end", "stream_start", "stream_end")]
    yield View("CapacityShare", share, "stream", (), line)
    yield View("CapacityShare", share, "currentIndex", (), [formulas.index(row, t)])
    yield View("CapacityShare", share, "totalOwed", (token,), [row["owed"]])
    yield View("CapacityShare", share, "totalSupply", (), [row["supply"]])
    yield View("CapacityShare", share, "siteId", (), [row["site_id"]])
    yield View("CapacityShare", share, "settlementToken", (), [token])
    for actor in mirror.market.actors.values():
        account = actor.address.lower()
        held = mirror.table("holding").get((share, account))
        held = held or {"balance": 0, "paid_index": 0, "accrued": 0, "frozen": 0}
        yield View("CapacityShare", share, "balanceOf", (account,), [held["balance"]])
        words = [held["paid_index"], held["accrued"], held["frozen"] > 0]
        yield View("CapacityShare", share, "accountOf", (account,), words)
        yield View("CapacityShare", share, "claimableDown", (account,), [formulas.claimable(row, held, t)])
        yield View("CapacityShare", share, "getFrozenTokens", (account,), [held["frozen"]])


def _token(mirror: MemoryMirror, book: str, token: str) -> Iterator[View]:
    allowed = mirror.table("token")[token,]["allowed"]
    yield View("LeaseBook", book, "isTokenAllowed", (token,), [allowed])
    fees = mirror.table("fees").get((token,))
    yield View("LeaseBook", book, "feesOf", (token,), [fees["amount"] if fees else 0])
    yield View("LeaseBook", book, "totalOwed", (token,), [mirror.table("owed")[book.lower(), token]["amount"]])
    for actor in mirror.market.actors.values():
        account = actor.address.lower()
        held = mirror.table("credit").get((token, account))
        yield View("LeaseBook", book, "creditOf", (token, account), [held["amount"] if held else 0])
    holders = {"leasebook": book.lower()}
    holders |= {f"offering/{row['site_id']}": row["share"] for row in mirror.table("offering").values()}
    for name, holder in holders.items():
        cash = mirror.balances.get((f"cash:{name}", token), 0)
        yield View("TestUSD", token, "balanceOf", (holder,), [cash + mirror.early.get((holder, token), 0)])


# ------------------------------------------------------------------------------------------------------------- words


def _number(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _name(text: str) -> int:
    return int.from_bytes(text.encode("ascii").ljust(32, b"\0"), "big")


def _words(answer: dict[str, Any]) -> list[int] | None:
    """Return the answer's words, None where the contract refused.

    Raises:
        RuntimeError: the node itself failed.
    """
    if "error" in answer:
        if "revert" not in answer["error"]["message"]:
            raise RuntimeError(f"the node cannot answer: {answer['error']}")
        return None
    data = bytes.fromhex(answer["result"][2:])
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


def _told(view: View, ours: list[int] | None, theirs: list[int] | None) -> str:
    call = f"{view.contract}.{view.function}({', '.join(map(str, view.args))})"
    if ours is None or theirs is None or len(ours) != len(theirs):
        return f"{call}: the chain says {theirs}, fold and formulas {ours}"
    names = _fields(view.contract, view.function, len(view.args))
    off = [
        f"{names[i] if i < len(names) else f'word {i}'}: chain {theirs[i]}, ours {ours[i]}"
        for i in range(len(ours))
        if ours[i] != theirs[i]
    ]
    return f"{call}: {'; '.join(off)}"


@cache
def _fields(contract: str, function: str, arity: int) -> list[str]:
    """Return a name for each word that a view returns."""
    item = next(
        item
        for item in load_abi(contract)
        if item["type"] == "function" and item["name"] == function and len(item["inputs"]) == arity
    )
    outputs = item["outputs"]
    if len(outputs) == 1 and outputs[0]["type"] == "tuple":
        outputs = outputs[0]["components"]
    return [part["name"] or function for part in outputs]
