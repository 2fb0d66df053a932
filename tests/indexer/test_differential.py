"""Random trade on a chain, and after every block each view of the contracts beside the fold and its formulas.

A red run names its seed: DRAKEWELL_SEED=<seed> repeats it. DRAKEWELL_ACTIONS=<n> trades longer.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from drakewell import Deployment
from indexer import fold
from scripts.launch import anvil
from tests.chain import DAY, HOUR, INVESTOR, MEMBERS, RICH, SHARE, USD, WEALTH, Market, Reverted, deploy
from tests.indexer import chain_views
from tests.indexer.books_checks import EventChecks, check_books
from tests.indexer.memory_mirror import MemoryMirror
from tests.indexer.traders import Traders

GENESIS_TIME = 1_790_000_000
ACTIONS = int(os.environ.get("DRAKEWELL_ACTIONS", "500"))
MOST_IN_A_BLOCK = 4
SHOWN = 20

#: Functions of `chain_views` and checks of `books_checks` that a run must have used.
COMPARED = {
    *(f"LeaseBook.{name}Count" for name in ("site", "listing", "lease")),
    *(f"LeaseBook.{name}" for name in ("feeBps", "entriesPaused", "siteOf", "pendingSharesOf", "isTokenAllowed")),
    *(f"LeaseBook.{name}" for name in ("listingOf", "termsOf", "quote", "leaseOf", "endOf", "stateOf", "settle")),
    *(f"LeaseBook.{name}" for name in ("collectable", "penaltyOf", "ownerOf", "meterTerms")),
    *(f"LeaseBook.{name}" for name in ("feesOf", "totalOwed", "creditOf")),
    *(f"UsageMeter.{name}" for name in ("reportCount", "totals", "settled", "lapsedTo", "checkpointsOf")),
    *(f"CapacityShare.{name}" for name in ("stream", "currentIndex", "totalOwed", "totalSupply", "siteId")),
    *(f"CapacityShare.{name}" for name in ("settlementToken", "balanceOf", "accountOf", "claimableDown")),
    "CapacityShare.getFrozenTokens",
    "IdentityRegistry.identityOf",
    "TestUSD.balanceOf",
    "books.postings",
    "books.balances",
    "event.LeaseOpened",
    "event.LeaseReclaimed",
    "event.LeaseFinalised",
    "event.LeaseSettled",
    "event.LeaseSettled split",
    "event.LeaseSettled unshared",
    "event.Distributed",
}


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("DRAKEWELL_SEED") or random.SystemRandom().randrange(2**32))


@pytest.fixture
def market() -> Iterator[Market]:
    with anvil(timestamp=GENESIS_TIME) as node:
        yield deploy(node)


@dataclass
class Watch:
    """Compares a market with its mirror, and counts."""

    mirror: MemoryMirror
    checks: EventChecks
    rng: random.Random
    seed: int

    def compare(self) -> None:
        """Fold what is new and compare everything, as of the head."""
        posted = self.mirror.follow()
        wrong = check_books(self.mirror, posted, self.checks.counts)
        wrong = self.checks.found + wrong + chain_views.compare(self.mirror, self.rng, self.checks.counts)
        assert not wrong, f"DRAKEWELL_SEED={self.seed}:\n" + "\n".join(wrong[:SHOWN])


@pytest.fixture
def watch(market: Market, seed: int, monkeypatch: pytest.MonkeyPatch) -> Watch:
    print(f"DRAKEWELL_SEED={seed}")
    rng = random.Random(seed)
    checks = EventChecks(Counter())
    checks.watch(monkeypatch)
    return Watch(MemoryMirror(market, rng), checks, rng, seed)


def test_fold_and_formulas_say_what_every_view_says(market: Market, watch: Watch) -> None:
    mirror, counts = watch.mirror, watch.checks.counts
    tokens = [market.addresses["TestUSD"], second_token(market)]
    found_market(market, mirror, tokens)
    traders = Traders(market, mirror, watch.rng, tokens)
    watch.compare()
    sent = 0
    while sent < ACTIONS:
        sent += traders.trade(MOST_IN_A_BLOCK)
        watch.compare()
    print(f"{sent} actions in {market.number} blocks, {counts.total():,} comparisons")
    print("done", dict(traders.done.most_common()))
    print("refused", dict(traders.refused.most_common()))
    assert not (missing := COMPARED - counts.keys()), f"compared nothing of {sorted(missing)}"
    unseen = {f"{kind}.{name}" for kind, handlers in fold._HANDLERS.items() for name in handlers} - mirror.events.keys()
    assert not unseen, f"these never happened: {sorted(unseen)}"
    assert traders.done.total() > sent // 3, "most of the trade was refused: nothing was tested"


def test_meters_at_their_edges_hour_by_hour(market: Market, watch: Watch) -> None:
    """Voids upon voids, a full ring, a gap, a lapse, a lease that never runs: every view, at and beside each hour."""
    site = market.register_site(64)
    market.post_bond(site, 20_000 * USD)
    listing = market.list(site)
    never = market.open(market.list(site, from_=market.now + 30 * HOUR), 4, 10 * HOUR)
    market.reclaim(never)
    voided, crowded, silent = (market.open(listing, gpus, 40 * HOUR) for gpus in (5, 3, 2))
    first = market.now // HOUR
    market.mine((first + 20) * HOUR)
    market.report(voided, hours=20)
    # Of nine reports at once the ninth would overwrite the last one that may yet be voided.
    market.report_entries(site, [market.entry(crowded, hours=1, from_epoch=first + hour) for hour in range(9)])
    assert market.call("UsageMeter", "checkpointsOf", crowded)[0] == 8
    watch.compare()
    # The second void reaches less far than the first: all that the first opened stays open for a grace.
    for _ in range(2):
        market.void(voided, first)
        market.report(voided, hours=3)
        watch.compare()
    voided_at = watch.mirror.table("meter")[voided,]["voided_at"]
    market.void(crowded, first + 6)
    market.report(crowded, hours=3, from_epoch=first + 8, available=0)
    edges = [(first + hour) * HOUR for hour in range(21, 72)]
    for at in sorted({edge + beside for edge in (*edges, voided_at + DAY) for beside in (-1, 0, 1)}):
        market.mine(max(at, market.now + 1))
        watch.compare()
        if at // HOUR % 7 == 0:
            for lease in (voided, crowded, silent, never):
                settle_if_due(market, lease)
    assert {row["finalised"] for row in watch.mirror.table("lease").values()} == {True}


def second_token(market: Market) -> str:
    """Deploy and allow another TestUSD, so that nothing is owed in the wrong token; return its address."""
    token = market.create("TestUSD")
    market.send("policy", "LeaseBook", "setTokenAllowed", token, True)
    for name in RICH:
        market.send("deployer", "TestUSD", "mint", market.address(name), WEALTH, to=token)
        market.send(name, "TestUSD", "approve", market.addresses["LeaseBook"], 2**255, to=token)
    return token


def found_market(market: Market, mirror: MemoryMirror, tokens: list[str]) -> None:
    """Make every event happen once, so that each view has something to show from the start."""
    first = market.register_site(64)
    market.send("owner2", "LeaseBook", "registerSite", tokens[1], 50, bytes(32), "Loire")
    second = first + 1
    supply = 1_234_567 * SHARE + 1
    # Somebody pays a clone before it is there: its address is known to everybody.
    clone = Deployment(0, market.addresses).share_of(first, tokens[0], supply)
    market.send("stranger", "TestUSD", "transfer", clone, 7)
    mirror.early[clone.lower(), tokens[0].lower()] = 7
    market.post_bond(first, 20_000 * USD)
    market.post_bond(second, 20_000 * USD, payer="owner2")
    listings = [
        market.list(first, floorPrice=1_234_567, ceilingPrice=2_345_679),
        market.list(second, owner="owner2", gpus=40),
    ]
    leases = [market.open(listing, gpus, 20 * HOUR + 123) for listing in listings for gpus in (7, 3)]
    brief = market.open(listings[0], 1, 2 * HOUR, deposit=2 * USD)
    market.fund(brief, 1)
    market.warp(3 * HOUR)
    for lease in leases:
        market.report(lease, hours=2)
    market.report(brief, hours=1)
    market.report(brief, hours=1, available=1)
    market.warp(6 * HOUR)
    market.settle(leases[0])
    market.issue(first, 3_333, supply=supply)
    let_go(market, leases, brief, second)
    trade_shares(market, first, leases[1])
    for sender, function, *args in (
        ("owner", "withdrawCredit", tokens[0], market.address("owner")),
        ("policy", "withdrawFees", tokens[0], market.address("policy")),
        ("owner", "withdrawBond", first, USD, market.address("owner")),
        ("policy", "setFee", 123),
        ("guardian", "setEntriesPaused", True),
        ("guardian", "setEntriesPaused", False),
    ):
        market.send(sender, "LeaseBook", function, *args)
    market.send("guardian", "IdentityRegistry", "setEntriesPaused", False)


def let_go(market: Market, leases: list[int], brief: int, second: int) -> None:
    """Hand over a site; end leases in each of the ways."""
    for giver, taker in (("owner2", "owner"), ("owner", "owner2")):
        market.send(giver, "LeaseBook", "offerSite", second, market.address(taker))
        market.send(taker, "LeaseBook", "acceptSite", second)
    market.send("owner2", "LeaseBook", "withdrawListing", market.list(second, owner="owner2", gpus=1))
    market.settle(brief)
    market.release(brief)
    market.collect(brief)
    market.report(leases[0], hours=1)
    market.void(leases[0], market.call("UsageMeter", "totals", leases[0])[0] - 1)
    market.close(leases[1])
    market.reclaim(leases[2], owner="owner2")
    market.transfer_lease(leases[3], "tenant2")


def trade_shares(market: Market, site: int, lease: int) -> None:
    """Move shares and money, by will and by force; a blocked clone makes its part wait."""
    share, token = market.share(site), "TestUSD"
    market.transfer(site, "investor", 1_000 * SHARE + 1)
    market.distribute(site, 123_456_789)
    market.send("deployer", token, "blacklist", share)
    market.settle(lease)
    market.send("deployer", token, "unBlacklist", share)
    market.send("stranger", "LeaseBook", "pushShares", site)
    market.warp(HOUR)
    market.claim(site, holder="investor")
    market.warp(60)
    market.register("investor3", INVESTOR, party=1 + [*MEMBERS].index("investor"))
    old, new = market.address("investor"), market.address("investor3")
    market.send("enforcer", "CapacityShare", "setFrozenTokens", old, 500 * SHARE, to=share)
    market.send("enforcer", "CapacityShare", "forcedTransfer", old, new, 600 * SHARE, to=share)


def test_any_order_of_settlements_pays_the_same(market: Market, seed: int) -> None:
    """The same reports under three schedules: at every chance, now and then, and once at the end in another order."""
    print(f"DRAKEWELL_SEED={seed}")
    rng = random.Random(seed)
    site = market.register_site(64)
    market.post_bond(site, 20_000 * USD)
    share = market.issue(site, 6_667)
    listing = market.list(site, floorPrice=1_234_567, ceilingPrice=1_999_999, gpus=60)
    leases = [
        market.open(listing, rng.randint(1, 6), rng.randint(5, 30) * HOUR + rng.randint(0, HOUR)) for _ in "12345"
    ]
    plan = [(hour, rng.choice(leases), rng.random()) for hour in range(2, 80, 2)]
    snapshot, start = market.rpc("evm_snapshot"), market.now
    outcomes, settlements = [], []
    for chance in (1.0, 0.2, 0.0):
        settled = 0
        for hour, lease, part in plan:
            market.mine(start + hour * HOUR)
            settled += report_and_settle(market, lease, part, settle=part < chance)
        market.mine(start + 80 * HOUR + 2 * DAY)
        for lease in rng.sample(leases, len(leases)):
            settle_if_due(market, lease)
        outcomes.append(totals(market, site, share, leases))
        settlements.append(settled)
        market.rpc("evm_revert", snapshot)
        snapshot = market.rpc("evm_snapshot")
    assert settlements[0] > settlements[1] >= settlements[2] == 0
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0]["rents"].count(0) < len(leases), "no rent was earned: nothing was tested"


def report_and_settle(market: Market, lease: int, part: float, *, settle: bool) -> int:
    """Report what can be reported of a lease, a part of it available; settle if asked for and there is anything."""
    _, _, _, end, _ = market.call("LeaseBook", "meterTerms", lease)
    first = market.call("UsageMeter", "lapsedTo", lease)
    hours = min(market.now // HOUR, -(-end // HOUR)) - first
    if hours > 0:
        entry = market.entry(lease, hours=hours, from_epoch=first)
        market.report(lease, hours=hours, from_epoch=first, available=int(entry.available * part))
    return settle_if_due(market, lease) if settle else 0


def settle_if_due(market: Market, lease: int) -> int:
    """Settle a lease unless there is nothing to settle; return how many settlements that made."""
    try:
        market.settle(lease)
    except Reverted as refused:
        if refused.name != "LeaseBook_NothingToSettle":
            raise
        return 0
    return 1


def totals(market: Market, site: int, share: str, leases: list[int]) -> dict[str, Any]:
    """Return everything that was paid and is owed, by whom and to whom, once all leases are final."""
    token = market.addresses["TestUSD"]
    rows = [market.call("LeaseBook", "leaseOf", lease) for lease in leases]
    assert all(row[9] for row in rows), "a lease is not final"
    return {
        "rents": [row[13] for row in rows],
        "leases": rows,
        "collectable": [market.call("LeaseBook", "collectable", lease) for lease in leases],
        "fees": market.call("LeaseBook", "feesOf", token),
        "credit": market.call("LeaseBook", "creditOf", token, market.address("owner")),
        "shares": market.call("CapacityShare", "totalOwed", token, to=share),
        "site": market.call("LeaseBook", "siteOf", site),
        "owed": market.call("LeaseBook", "totalOwed", token),
    }
