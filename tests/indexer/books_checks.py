"""What must hold of the books after every block, and what the formulas say an event must state before it is folded."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

from indexer import events, fold, formulas
from indexer.events import Log
from indexer.fold import Posting
from indexer.fold.journal import Args, Books
from tests.indexer.memory_mirror import MemoryMirror

OWED_BY_BOOK = ("escrow", "bond", "credit", "fee", "deferred")
ALWAYS_ZERO = ("clearing", "revenue", "sla", "compensation")


def check_books(mirror: MemoryMirror, posted: list[Posting], counts: Counter[str]) -> list[str]:
    """Name each rule of conservation that is broken."""
    found = [*_entries(posted), *_balances(mirror), *_shares(mirror), *_bonds(mirror)]
    counts["books.postings"] += len(posted)
    counts["books.balances"] += len(mirror.balances)
    return [f"block {mirror.next_block - 1}: {text}" for text in found]


def _entries(posted: list[Posting]) -> list[str]:
    sums: Counter[tuple[int, int, str]] = Counter()
    for posting in posted:
        sums[posting.block, posting.log_index, posting.token] += posting.amount
    return [f"the entry of log {key} is off by {off}" for key, off in sums.items() if off]


def _balances(mirror: MemoryMirror) -> list[str]:
    found: list[str] = []
    whole: Counter[str] = Counter()
    kinds: Counter[tuple[str, str, str]] = Counter()
    for (account, token), amount in mirror.balances.items():
        kind, _, rest = account.partition(":")
        whole[token] += amount
        if kind in ALWAYS_ZERO and amount:
            found.append(f"{account} is {amount}")
        home = "leasebook" if kind in OWED_BY_BOOK else "/".join(rest.split("/")[:2])
        kinds[home, "cash" if kind == "cash" else kind if kind == "unsolicited" else "owed", token] += amount
    found += [f"all accounts in {token} sum to {amount}" for token, amount in whole.items() if amount]
    names = {row["share"]: f"offering/{row['site_id']}" for row in mirror.table("offering").values()}
    for (contract, token), row in mirror.table("owed").items():
        home = names.get(contract, "leasebook")
        ours = -kinds[home, "owed", token]
        if ours != row["amount"]:
            found.append(f"{home} owes {row['amount']} in {token}, its accounts say {ours}")
        if kinds[home, "cash", token] + kinds[home, "unsolicited", token] != row["amount"]:
            found.append(f"cash of {home} in {token} less gifts is not what it owes")
    return found


def _shares(mirror: MemoryMirror) -> list[str]:
    found = []
    held: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in mirror.table("holding").values():
        held[row["share"]].append(row)
    for row in mirror.table("offering").values():
        share = row["share"]
        if sum(holding["balance"] for holding in held[share]) != row["supply"]:
            found.append(f"shares of {share} do not sum to the supply")
        if row["owed"] != row["distributed"] - row["claimed"]:
            found.append(f"{share} owes neither what came nor what went")
        claimable = sum(formulas.claimable(row, holding, mirror.time) for holding in held[share])
        if claimable + formulas.unstreamed(row, mirror.time) > row["owed"]:
            found.append(f"{share} promises more than it owes")
    return found


def _bonds(mirror: MemoryMirror) -> list[str]:
    locked: Counter[int] = Counter()
    leased: Counter[int] = Counter()
    for row in mirror.table("lease").values():
        locked[row["site_id"]] += row["bond_locked"]
        leased[row["listing_id"]] += 0 if row["released"] else row["gpus"]
    found = [
        f"site {key[0]} has {row['locked_bond']} locked, its leases {locked[key[0]]}"
        for key, row in mirror.table("site").items()
        if row["locked_bond"] != locked[key[0]] or row["locked_bond"] > row["bond"]
    ]
    return found + [
        f"listing {key[0]} has {row['leased']} leased, its leases {leased[key[0]]}"
        for key, row in mirror.table("listing").items()
        if row["leased"] != leased[key[0]] or row["leased"] > row["gpus"]
    ]


class EventChecks:
    """Holds the formulas that no view shows against what events state, on the rows before each event."""

    def __init__(self, counts: Counter[str]) -> None:
        """Count what was compared in `counts`."""
        self.counts = counts
        self.found: list[str] = []

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look at each event before its handler does."""
        for kind, name, check in (
            (events.LEASEBOOK, "LeaseOpened", self._opened),
            (events.LEASEBOOK, "LeaseReclaimed", self._reclaimed),
            (events.LEASEBOOK, "LeaseSettled", self._settled),
            (events.LEASEBOOK, "LeaseFinalised", self._finalised),
            (events.SHARE, "Distributed", self._distributed),
        ):
            handler = fold._HANDLERS[kind][name]

            def checked(books: Books, log: Log, a: Args, check=check, handler=handler) -> None:
                check(books, log, a)
                handler(books, log, a)

            monkeypatch.setitem(fold._HANDLERS[kind], name, checked)

    def _same(self, log: Log, what: str, ours: Any, theirs: Any) -> None:
        self.counts[f"event.{what}"] += 1
        if ours != theirs:
            self.found.append(f"block {log.block}, log {log.index}, {what}: the event says {theirs}, formulas {ours}")

    def _opened(self, books: Books, log: Log, a: Args) -> None:
        listing = books.state.need("listing", (a["listingId"],))
        site = books.state.need("site", (a["siteId"],))
        quote = formulas.quote(listing, site, a["gpus"], a["termEnd"] - a["start"], log.time)
        stated = (a["version"], a["price"], a["start"], a["termEnd"])
        self._same(log, "LeaseOpened", (quote.version, quote.price, quote.start, quote.term_end), stated)

    def _reclaimed(self, books: Books, log: Log, a: Args) -> None:
        lease, terms = _lease(books, a)
        paid = formulas.compensation(lease, terms, lease["end_at"], a["end"])
        self._same(log, "LeaseReclaimed", paid, a["compensation"])

    def _settled(self, books: Books, log: Log, a: Args) -> None:
        lease, _ = _lease(books, a)
        meter = books.state.get("meter", (a["leaseId"],))
        due = formulas.settlement_due(lease, meter, log.time)
        final = formulas.meter_settled(meter, log.time)
        stated = (a["settledUntil"], True, a["available"], a["due"])
        self._same(log, "LeaseSettled", (due.until, due.settles, final.available, final.due), stated)
        site = books.state.need("site", (a["siteId"],))
        shared = site["share"] is not None
        after = {**lease, "unshared_net": a["unsharedNet"]}
        split = formulas.settlement(after, site["revenue_bps"] if shared else 0, final.available)
        totals = (
            a["rentTotal"],
            lease["fee_total"] + a["fee"],
            lease["shares_total"] + a["shares"],
            lease["rent_total"] - lease["fee_total"] - lease["shares_total"] + a["ownerPart"],
        )
        self._same(log, "LeaseSettled split", tuple(split), totals)
        kept = lease["unshared_net"] if shared else split.rent - split.fee
        self._same(log, "LeaseSettled unshared", kept, a["unsharedNet"])

    def _finalised(self, books: Books, log: Log, a: Args) -> None:
        lease, terms = _lease(books, a)
        meter = books.state.get("meter", (a["leaseId"],))
        by_itself = formulas.TERM_ENDED if lease["end_at"] == lease["term_end"] else formulas.RAN_DRY
        taken = formulas.penalty_view(lease, meter, terms, log.time)
        self._same(log, "LeaseFinalised", (taken, lease["code"] or by_itself), (a["penalty"], a["code"]))

    def _distributed(self, books: Books, log: Log, a: Args) -> None:
        offering = books.state.need("offering", (log.address,))
        line = formulas.distributed(offering, a["amount"], log.time)
        stated = (a["index"], a["indexEnd"], a["streamStart"], a["streamEnd"])
        self._same(log, "Distributed", tuple(line), stated)


def _lease(books: Books, a: Args) -> tuple[dict[str, Any], dict[str, Any]]:
    lease = books.state.need("lease", (a["leaseId"],))
    return lease, books.state.need("listing_terms", (lease["listing_id"], lease["version"]))
