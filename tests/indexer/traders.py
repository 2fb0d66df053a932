"""Seeded traders: what they do is mostly allowed, often at the edge, and now and then nonsense.

They look at the mirror of the last block to choose; several of them act in one block, so that some come too late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from drakewell.reports import Entry
from tests.chain import ATTESTER, ATTESTERS, DAY, EVER, HOUR, INVESTOR, MEMBERS, SHARE, USD, Market, word
from tests.indexer.memory_mirror import MemoryMirror, Row

OWNERS = ("owner", "owner2")
TENANTS = ("tenant", "tenant2", "stranger")
HOLDERS = ("owner", "owner2", "investor", "investor2", "investor3", "custodian")
#: How long the next block waits, (least, most) seconds, and how often it does: days pass slower than lapses do harm.
PAUSES = {(0, 60): 40, (60, HOUR): 40, (HOUR, 3 * HOUR): 15, (5 * HOUR, 7 * HOUR): 4, (20 * HOUR, 26 * HOUR): 1}


class Act(NamedTuple):
    """One transaction to be sent."""

    sender: str
    contract: str
    function: str
    args: tuple[Any, ...]
    to: str = ""
    gas: int = 3_000_000


class Traders:
    """Everybody on the market, moved by one random number generator."""

    def __init__(self, market: Market, mirror: MemoryMirror, rng: Random, tokens: list[str]) -> None:
        """Trade on `market` in settlement `tokens`."""
        self.market, self.mirror, self.rng, self.tokens = market, mirror, rng, tokens
        self.names = {actor.address.lower(): name for name, actor in market.actors.items()}
        self.at = 0
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def trade(self, most: int) -> int:
        """Put up to `most` transactions into the next block, at a later time; return how many were sent."""
        self.at = self._next_time()
        acts = [act for _ in range(self.rng.randint(1, most)) for act in self._choose()]
        with self.market.block(self.at):
            hashes = [
                self.market.submit(act.sender, act.contract, act.function, *act.args, to=act.to, gas=act.gas)
                for act in acts
            ]
        receipts = self.market.rpc.batch([("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes])
        for act, receipt in zip(acts, receipts, strict=True):
            count = self.done if receipt["status"] == "0x1" else self.refused
            count[f"{act.contract}.{act.function}"] += 1
        return len(acts)

    def _next_time(self) -> int:
        """Return when the next block comes: often just when something ends, or a second beside it."""
        now, rng = self.mirror.time, self.rng
        if rng.random() < 0.3:
            edges = [at for at in self._edges() if now + 1 < at < now + 4 * HOUR]
            if edges:
                return rng.choice(edges) + rng.choice([-1, 0, 0, 0, 1])
        ((low, high),) = rng.choices(list(PAUSES), list(PAUSES.values()))
        return now + 1 + rng.randint(low, high)

    def _edges(self) -> Iterator[int]:
        """When leases begin and end, reports become final, what was voided lapses, streams run dry, hours are over."""
        yield (self.mirror.time // HOUR + 1) * HOUR
        for lease in self.mirror.table("lease").values():
            yield from (lease["start_at"], lease["end_at"])
        for meter in self.mirror.table("meter").values():
            yield meter["voided_at"] + DAY
            yield from (mark[3] + 6 * HOUR for mark in meter["ring"])
        for offering in self.mirror.table("offering").values():
            yield offering["stream_end"]

    def _choose(self) -> list[Act]:
        """Draw until somebody can do something."""
        while True:
            (chosen,) = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
            if acts := list(chosen(self)):
                return acts

    # ---------------------------------------------------------------- drawing

    def _row(self, table: str, **wanted: Any) -> Row | None:
        rows = [row for row in self.mirror.table(table).values() if all(row[k] == v for k, v in wanted.items())]
        return self.rng.choice(rows) if rows else None

    def _lease(self) -> Row | None:
        """Rather one that is not final yet."""
        open_ = self._row("lease", finalised=False)
        return open_ if open_ and self.rng.random() < 0.85 else self._row("lease")

    def _running(self) -> Row | None:
        """Rather one that neither has ended nor is closing at the next block's time."""
        rows = [row for row in self.mirror.table("lease").values() if row["end_at"] > self.at]
        rows = [row for row in rows if row["closing_at"] is None] or rows
        return self.rng.choice(rows) if rows and self.rng.random() < 0.9 else self._lease()

    def _holder_of(self, lease: Row) -> str:
        return self.names.get(lease["holder"] or "", "stranger") if self.rng.random() < 0.95 else "stranger"

    def _owner_of(self, site: Row) -> str:
        return self.names[site["owner"]] if self.rng.random() < 0.95 else self.rng.choice(OWNERS)

    def _amount(self, most: int) -> int:
        """Anything up to `most`, often all of it, seldom too much."""
        if most <= 0:
            return self.rng.randint(0, 3)
        kind = self.rng.random()
        if kind < 0.25:
            return most
        if kind < 0.3:
            return most + 1
        return self.rng.randint(1, most if kind < 0.8 else min(most, 10_000))

    def _someone(self) -> str:
        return self.rng.choice(list(self.market.actors))

    def _address(self, name: str) -> str:
        return self.market.address(name)

    # ------------------------------------------------------------------ sites

    def register_site(self) -> Iterator[Act]:
        if len(self.mirror.table("site")) < 5:
            args = (self.rng.choice(self.tokens), self.rng.randint(20, 100), word("FR-IDF"), "Seine")
            yield Act(self.rng.choice(OWNERS), "LeaseBook", "registerSite", args)

    def hand_over(self) -> Iterator[Act]:
        if site := self._row("site"):
            heir = self.rng.choice(OWNERS)
            yield Act(self._owner_of(site), "LeaseBook", "offerSite", (site["site_id"], self._address(heir)))
            if self.rng.random() < 0.7:
                yield Act(heir, "LeaseBook", "acceptSite", (site["site_id"],))

    def issue(self) -> Iterator[Act]:
        if site := self._row("site", share=None):
            supply = self.rng.choice([SHARE, 1_234_567 * SHARE, 10**30, self.rng.randint(10**18, 10**25)])
            args = (site["site_id"], self.rng.randint(1, 10_000), supply, "Capacity", "CAP")
            yield Act(self._owner_of(site), "LeaseBook", "issue", args)

    def post_bond(self) -> Iterator[Act]:
        if site := self._row("site"):
            args = (site["site_id"], self.rng.randint(1, 5_000 * USD))
            yield Act(self.rng.choice((*OWNERS, "stranger")), "LeaseBook", "postBond", args)

    def withdraw_bond(self) -> Iterator[Act]:
        if site := self._row("site"):
            amount = self._amount((site["bond"] - site["locked_bond"]) // 4)
            owner = self._owner_of(site)
            yield Act(owner, "LeaseBook", "withdrawBond", (site["site_id"], amount, self._address(owner)))

    # --------------------------------------------------------------- listings

    def _terms(self, gpus: int) -> tuple[Any, ...]:
        rng, floor = self.rng, self.rng.randint(1, 4 * USD)
        return self.market.terms(
            from_=self.at - self.at % HOUR + rng.choice([-HOUR, 0, 0, HOUR, 7 * HOUR + 123]),
            until=self.at + rng.randint(2, 40) * DAY + rng.randint(0, HOUR),
            floorPrice=floor,
            ceilingPrice=floor + rng.choice([0, rng.randint(0, 2 * USD)]),
            gpus=gpus,
            minTerm=rng.choice([HOUR, 2 * HOUR + 7]),
            maxTerm=rng.choice([DAY, 3 * DAY, 10 * DAY]),
            notice=rng.choice([0, HOUR, 5 * HOUR]),
            slaBps=rng.choice([0, 9_000, 9_999, 10_000]),
            penaltyBps=rng.choice([0, 15_000, 100_000, rng.randint(1, 99_999)]),
            curtailableBps=rng.choice([0, 500, 10_000]),
            reclaimWindow=rng.choice([0, 2 * HOUR, DAY]),
            compensationBps=rng.choice([0, 1_000, 9_999]),
            bondPerGpu=rng.choice([0, 1, 20 * USD, rng.randint(1, 60 * USD)]),
        )

    def list_(self) -> Iterator[Act]:
        if site := self._row("site"):
            terms = self._terms(self.rng.randint(1, max(1, site["gpus"] // 2)))
            yield Act(self._owner_of(site), "LeaseBook", "list", (site["site_id"], terms))

    def amend(self) -> Iterator[Act]:
        if listing := self._row("listing", withdrawn=False):
            site = self.mirror.table("site")[listing["site_id"],]
            terms = list(self._terms(max(listing["leased"], self.rng.randint(1, site["gpus"] // 2))))
            if listing["leased"] and self.rng.random() < 0.9:
                terms[0] = min(terms[0], listing["busy_from"])
                terms[1] = max(terms[1], listing["busy_until"])
            yield Act(self._owner_of(site), "LeaseBook", "amend", (listing["listing_id"], tuple(terms)))

    def withdraw_listing(self) -> Iterator[Act]:
        listing = self._row("listing", withdrawn=False)
        if listing and len(self.mirror.table("listing")) > 4:
            site = self.mirror.table("site")[listing["site_id"],]
            yield Act(self._owner_of(site), "LeaseBook", "withdrawListing", (listing["listing_id"],))

    # ----------------------------------------------------------------- leases

    def open(self) -> Iterator[Act]:
        listing, running = self._row("listing", withdrawn=False), self._row("lease", finalised=False)
        if not listing or (running and sum(not r["finalised"] for r in self.mirror.table("lease").values()) > 14):
            return
        free = listing["gpus"] - listing["leased"]
        start = max(self.at, listing["window_from"])
        longest = min(listing["max_term"], listing["window_until"] - start)
        if free < 1 or longest < listing["min_term"]:
            return
        gpus = self.rng.randint(1, min(free, 6))
        term = self.rng.randint(listing["min_term"], min(longest, listing["min_term"] + 2 * DAY))
        # At most what an empty fill would cost; a deposit out of bounds is refused.
        price = listing["floor_price"] + -(
            -(listing["ceiling_price"] - listing["floor_price"])
            * (2 * listing["leased"] + gpus)
            // (2 * listing["gpus"])
        )
        least, most = (-(-price * gpus * seconds // HOUR) for seconds in (listing["min_term"], term))
        deposit = self.rng.choice([least, most, self.rng.randint(least, most), self.rng.randint(least, most)])
        tenant = self.rng.choice(TENANTS)
        params = (listing["listing_id"], listing["version"], gpus, term, deposit, price, self._address(tenant), EVER)
        yield Act(tenant, "LeaseBook", "open", (params,))

    def fund(self) -> Iterator[Act]:
        if lease := self._running():
            most = lease["price"] * lease["gpus"] * (lease["term_end"] - lease["start_at"]) // HOUR
            args = (lease["lease_id"], self._amount(most - lease["deposited"]))
            yield Act(self.rng.choice(TENANTS), "LeaseBook", "fund", args)

    def close(self) -> Iterator[Act]:
        if lease := self._running():
            args = (lease["lease_id"], self.rng.choice([1, 9_999, 10_000]))
            yield Act(self._holder_of(lease), "LeaseBook", "close", args)

    def reclaim(self) -> Iterator[Act]:
        if lease := self._running():
            site = self.mirror.table("site")[lease["site_id"],]
            args = (lease["lease_id"], self.rng.choice([10_000, 19_999, 20_000]))
            yield Act(self._owner_of(site), "LeaseBook", "reclaim", args)

    def settle(self) -> Iterator[Act]:
        if lease := self._lease():
            # Too little gas must make it fail, never skip the share holders' part.
            gas = 3_000_000 if self.rng.random() < 0.9 else self.rng.randint(120_000, 450_000)
            yield Act(self._someone(), "LeaseBook", "settle", (lease["lease_id"],), gas=gas)

    def settle_many(self) -> Iterator[Act]:
        leases = [lease_id for (lease_id,) in self.mirror.table("lease")]
        if leases:
            chosen = self.rng.choices([*leases, 999], k=self.rng.randint(1, 6))
            yield Act(self._someone(), "LeaseBook", "settleMany", (chosen,), gas=5_000_000)

    def release(self) -> Iterator[Act]:
        if lease := self._row("lease", released=False):
            yield Act(self._someone(), "LeaseBook", "release", (lease["lease_id"],))

    def collect(self) -> Iterator[Act]:
        if lease := self._row("lease"):
            holder = self._holder_of(lease)
            yield Act(holder, "LeaseBook", "collect", (lease["lease_id"], self._address(holder)))

    def transfer_lease(self) -> Iterator[Act]:
        lease = self._lease()
        if lease and lease["holder"]:
            args = (lease["holder"], self._address(self.rng.choice((*TENANTS, "investor"))), lease["lease_id"])
            yield Act(self._holder_of(lease), "LeaseBook", "transferFrom", args)

    # ------------------------------------------------------------------ usage

    def report(self) -> Iterator[Act]:
        site = self._row("site")
        if not site:
            return
        leases = [row for row in self.mirror.table("lease").values() if row["site_id"] == site["site_id"]]
        leases = [row for row in leases if row["start_at"] < self.at and not row["finalised"]]
        self.rng.shuffle(leases)
        entries = [entry for lease in leases[:5] for entry in self._entries(lease)]
        if entries:
            signers = ATTESTERS if self.rng.random() < 0.2 else self.rng.sample(ATTESTERS, 2)
            contract, function, *args = self.market.report_call(site["site_id"], entries, signers=signers)
            yield Act(self._someone(), contract, function, tuple(args), gas=6_000_000)

    def _entries(self, lease: Row) -> Iterator[Entry]:
        """One or two spans that follow each other: gaps, lateness, hours not over, and claims too high among them."""
        rng = self.rng
        meter = self.mirror.table("meter").get((lease["lease_id"],)) or {"reported_to": 0, "round": 0}
        grace = (self.at - DAY) // HOUR
        first = max(meter["reported_to"] or lease["start_at"] // HOUR, rng.choice([0, grace, grace]))
        spans = rng.choice([1, 1, 1, 2, 2, 9])
        for _ in range(spans):
            first += rng.choice([0, 0, 0, 0, 1, 2, -1])
            ends = min(self.at // HOUR, -(-lease["end_at"] // HOUR))
            if ends <= first:
                return
            last = min(first + (1 if spans > 2 else rng.randint(1, 6)), ends + rng.choice([0, 0, 0, 0, 1]))
            seconds = max(0, min(last * HOUR, lease["end_at"]) - max(first * HOUR, lease["start_at"]))
            full = lease["gpus"] * seconds
            curtailed = rng.choice([0, 0, 0, rng.randint(0, full // 10)])
            rest = full - curtailed
            available = rng.choice([rest, rest, rng.randint(0, rest), rng.randint(rest * 9 // 10, rest)])
            available += rng.random() < 0.02
            busy = rng.randint(0, available) + (rng.random() < 0.02)
            round_ = meter["round"] + (rng.random() < 0.03)
            yield Entry(lease["lease_id"], first, last, round_, available, busy, curtailed, rng.randint(0, 10**9))
            first = last

    def void(self) -> Iterator[Act]:
        recent = [
            (row["lease_id"], mark[1])
            for row in self.mirror.table("meter").values()
            for mark in row["ring"]
            if mark[3] + 6 * HOUR >= self.at
        ]
        if recent:
            lease_id, start = self.rng.choice(recent)
            yield Act("challenger", "UsageMeter", "void", (lease_id, start + (self.rng.random() < 0.03)))

    # ----------------------------------------------------------------- shares

    def _holding(self) -> Row | None:
        return self._row("holding")

    def transfer(self) -> Iterator[Act]:
        if held := self._holding():
            sender, receiver = self.names[held["account"]], self.rng.choice((*HOLDERS, *HOLDERS, "stranger"))
            args = (self._address(receiver), self._amount(held["balance"]))
            yield Act(sender, "CapacityShare", "transfer", args, held["share"])

    def distribute(self) -> Iterator[Act]:
        if offering := self._row("offering"):
            payer = self.rng.choice((*OWNERS, "stranger"))
            spend = (self._address(offering["share"]), 2**255)
            yield Act(payer, "TestUSD", "approve", spend, offering["token"])
            args = (self._amount(2_000 * USD), self.rng.choice([1, 1, 2, 3, 0]), self.rng.randint(0, 2**200))
            yield Act(payer, "CapacityShare", "distribute", args, offering["share"])

    def claim(self) -> Iterator[Act]:
        if held := self._holding():
            holder = self.names[held["account"]]
            to = self._address(self.rng.choice((holder, "stranger")))
            yield Act(holder, "CapacityShare", "claim", (to,), held["share"])

    def claim_for(self) -> Iterator[Act]:
        if held := self._holding():
            yield Act(self._someone(), "CapacityShare", "claimFor", (held["account"],), held["share"])

    def seize(self) -> Iterator[Act]:
        """By force, sometimes to an account of the same party, which takes what was earned along."""
        if held := self._holding():
            sender, receiver = self.names[held["account"]], self.rng.choice(HOLDERS)
            if self.rng.random() < 0.5 and receiver != "custodian":
                party = self.mirror.table("identity").get((held["account"],), {"party": 1})["party"]
                identity = (EVER, 276, MEMBERS.get(receiver, INVESTOR), party)
                yield Act("officer", "IdentityRegistry", "register", (self._address(receiver), identity))
            args = (self._address(sender), self._address(receiver), self.rng.choice([0, self._amount(held["balance"])]))
            yield Act("enforcer", "CapacityShare", "forcedTransfer", args, held["share"])

    def freeze_tokens(self) -> Iterator[Act]:
        if held := self._holding():
            amount = self.rng.choice([0, 0, self._amount(held["balance"]), 2 * held["balance"] + 1])
            args = (held["account"], amount)
            yield Act("enforcer", "CapacityShare", "setFrozenTokens", args, held["share"])

    def push_shares(self) -> Iterator[Act]:
        if site := self._row("site"):
            yield Act(self._someone(), "LeaseBook", "pushShares", (site["site_id"],))

    # ----------------------------------------------------------------- people

    def freeze(self) -> Iterator[Act]:
        who = self.rng.choice((*HOLDERS, *TENANTS, "attester3"))
        yield Act("officer", "IdentityRegistry", "setFrozen", (self._address(who), True))

    def thaw(self) -> Iterator[Act]:
        frozen = [row for row in self.mirror.table("identity").values() if row["flags"] & 1]
        for row in frozen:
            yield Act("officer", "IdentityRegistry", "setFrozen", (row["account"], False))

    def renew(self) -> Iterator[Act]:
        """Write a member anew, for ever or for an hour, as himself or as of another's party."""
        who = self.rng.choice(list(MEMBERS))
        until, party = self.rng.choice([EVER, EVER, EVER, self.at + HOUR]), list(MEMBERS).index(who) + 1
        party = self.rng.choice([party, party, party, 1, 0])
        if MEMBERS[who] == ATTESTER:
            until, party = EVER, list(MEMBERS).index(who) + 1
        identity = (until, 276, MEMBERS[who], party)
        yield Act("officer", "IdentityRegistry", "register", (self._address(who), identity))

    # ------------------------------------------------------ policy, money, nonsense

    def withdraw_credit(self) -> Iterator[Act]:
        if held := self._row("credit"):
            owner = self.names[held["account"]]
            yield Act(owner, "LeaseBook", "withdrawCredit", (held["token"], self._address(owner)))

    def withdraw_fees(self) -> Iterator[Act]:
        args = (self.rng.choice(self.tokens), self._address("policy"))
        yield Act("policy", "LeaseBook", "withdrawFees", args)

    def set_fee(self) -> Iterator[Act]:
        yield Act("policy", "LeaseBook", "setFee", (self.rng.randint(0, 1_001),))

    def pause(self) -> Iterator[Act]:
        yield Act("guardian", "LeaseBook", "setEntriesPaused", (self.rng.random() < 0.5,))

    def resume(self) -> Iterator[Act]:
        if any(row["entries_paused"] for row in self.mirror.table("policy").values()):
            yield Act("guardian", "LeaseBook", "setEntriesPaused", (False,))

    def block_clone(self) -> Iterator[Act]:
        """The token's issuer blocks a clone: its part of rent is deferred."""
        if offering := self._row("offering"):
            yield Act("deployer", "TestUSD", "blacklist", (offering["share"],), offering["token"])

    def unblock_clone(self) -> Iterator[Act]:
        for offering in self.mirror.table("offering").values():
            yield Act("deployer", "TestUSD", "unBlacklist", (offering["share"],), offering["token"])

    def gift(self) -> Iterator[Act]:
        """Coins that no event of ours explains."""
        homes = [self.market.addresses["LeaseBook"], *(row["share"] for row in self.mirror.table("offering").values())]
        args = (self.rng.choice(homes), self.rng.randint(1, 3 * USD))
        yield Act("stranger", "TestUSD", "transfer", args, self.rng.choice(self.tokens))

    def nonsense(self) -> Iterator[Act]:
        """Anybody calls something that is not his, or with ids that do not exist."""
        any_id, me = self.rng.choice([0, 1, 2, 999]), self._someone()
        address = self._address(me)
        token = self.rng.choice(self.tokens)
        yield self.rng.choice(
            [
                Act(me, "LeaseBook", "settle", (any_id,)),
                Act(me, "LeaseBook", "withdrawBond", (any_id, 1, address)),
                Act(me, "LeaseBook", "withdrawFees", (token, address)),
                Act(me, "LeaseBook", "collect", (any_id, self.market.addresses["LeaseBook"])),
                Act(me, "LeaseBook", "acceptSite", (any_id,)),
                Act(me, "LeaseBook", "setFee", (1,)),
                Act(me, "UsageMeter", "void", (any_id, 0)),
                Act(me, "IdentityRegistry", "setFrozen", (address, True)),
                Act(me, "LeaseBook", "release", (any_id,)),
                Act(me, "LeaseBook", "fund", (any_id, 0)),
            ]
        )


#: How often each thing is tried.
WEIGHTS: dict[Callable[[Traders], Iterator[Act]], int] = {
    Traders.open: 14,
    Traders.report: 22,
    Traders.settle: 14,
    Traders.settle_many: 4,
    Traders.void: 4,
    Traders.fund: 5,
    Traders.close: 4,
    Traders.reclaim: 3,
    Traders.release: 5,
    Traders.collect: 6,
    Traders.transfer_lease: 3,
    Traders.transfer: 8,
    Traders.distribute: 5,
    Traders.claim: 5,
    Traders.claim_for: 3,
    Traders.seize: 2,
    Traders.freeze_tokens: 2,
    Traders.push_shares: 3,
    Traders.register_site: 1,
    Traders.hand_over: 1,
    Traders.issue: 2,
    Traders.post_bond: 3,
    Traders.withdraw_bond: 2,
    Traders.list_: 4,
    Traders.amend: 3,
    Traders.withdraw_listing: 1,
    Traders.withdraw_credit: 3,
    Traders.withdraw_fees: 1,
    Traders.set_fee: 1,
    Traders.pause: 1,
    Traders.resume: 4,
    Traders.freeze: 2,
    Traders.thaw: 4,
    Traders.renew: 2,
    Traders.block_clone: 2,
    Traders.unblock_clone: 2,
    Traders.gift: 1,
    Traders.nonsense: 3,
}
