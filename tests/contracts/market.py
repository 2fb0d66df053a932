"""The whole market wired as on a real chain, and short ways to say what happens in it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import kit
from brownie import Contract
from eth_account import Account
from kit import DAY, HOUR, SHARE, USD

FEE_BPS = 100
QUORUM = 2
WINDOW = 6 * HOUR
GRACE = 24 * HOUR
REGION = b"eu-north".ljust(32, b"\0")
MODEL = b"H100-80G".ljust(32, b"\0")
TERM_FIELDS = (
    "start until floor ceiling gpus min_term max_term notice sla penalty curtailable watts pue reclaim compensation"
    " bond_per_gpu model"
).split()
SKIPS = (
    "None UnknownLease WrongSite WrongRound Overlap Lapsed NotOver EmptySpan OutsideLease AboveCapacity"
    " BusyAboveAvailable CurtailedAboveShare RingFull SpanTooLong"
).split()
STATES = "None Forward Active Closing Reclaiming Ended Final".split()
ENTRY = kit.struct(
    "uint256 leaseId",
    "uint32 fromEpoch",
    "uint32 toEpoch",
    "uint32 round",
    "uint64 available",
    "uint64 busy",
    "uint64 curtailed",
    "uint64 wattHours",
)
REPORT = {"Report": kit.struct("uint256 siteId", "bytes32 samplesRoot", "Entry[] entries"), "Entry": ENTRY}


def attester(seed):
    return Account.from_key(bytes([seed]) * 32)


# Signers go up by address.
ATTESTERS = sorted((attester(seed) for seed in (0xA1, 0xA2, 0xA3)), key=lambda account: int(account.address, 16))


def terms(**changes):
    """Return the `Terms` of a listing: 64 GPUs at 2.50 an hour, SLA 99 %, penalty 1.5 times, from now for 90 days."""
    values = {
        "start": kit.now(),
        "until": kit.now() + 90 * DAY,
        "floor": 2_500_000,
        "ceiling": 2_500_000,
        "gpus": 64,
        "min_term": HOUR,
        "max_term": 30 * DAY,
        "notice": HOUR,
        "sla": 9_900,
        "penalty": 15_000,
        "curtailable": 1_000,
        "watts": 700,
        "pue": 12_500,
        "reclaim": 2 * HOUR,
        "compensation": 2_000,
        "bond_per_gpu": 100 * USD,
        "model": MODEL,
    }
    unknown = changes.keys() - values.keys()
    assert not unknown, unknown
    values.update(changes)
    return tuple(values[name] for name in TERM_FIELDS)


def entry(lease, start, end, available, busy=None, curtailed=0, round_=0, watt_hours=1):
    """Return an `Entry`: hours (start, end] of the lease, epoch boundaries in unix hours."""
    return (lease, start, end, round_, available, available if busy is None else busy, curtailed, watt_hours)


@dataclass
class Market:
    """Contracts and people; every method sends one transaction, or two."""

    manager: object
    registry: object
    usd: object
    book: object
    meter: object
    people: SimpleNamespace
    share_abi: list
    root: bytes = field(default=b"\x11" * 32)

    def site(self, owner=None, gpus=64, bond=100_000 * USD, revenue_bps=None):
        """Register a site with its bond; with ``revenue_bps`` its shares are issued."""
        owner = owner or self.people.owner
        site = self.book.registerSite(self.usd, gpus, REGION, "Hall", {"from": owner}).return_value
        if bond:
            self.book.postBond(site, bond, {"from": owner})
        if revenue_bps:
            self.book.issue(site, revenue_bps, 1_000_000 * SHARE, "Hall", "HALL", {"from": owner})
        return site

    def share(self, site):
        return Contract.from_abi("CapacityShare", self.book.siteOf(site)["share"], self.share_abi)

    def listing(self, site, owner=None, **changes):
        return self.book.list(site, terms(**changes), {"from": owner or self.people.owner}).return_value

    def params(self, listing, gpus=8, term=DAY, deposit=None, holder=None, **changes):
        """Return `OpenParams`; by default the deposit pays for the whole term."""
        quote = self.book.quote(listing, gpus, term) if deposit is None else None
        values = {
            "listing": listing,
            "version": self.book.listingOf(listing)["version"],
            "gpus": gpus,
            "term": term,
            "deposit": quote["maxDeposit"] if deposit is None else deposit,
            "max_price": 2**72 - 1,
            "holder": holder or self.people.tenant,
            "deadline": kit.now() + HOUR,
        }
        unknown = changes.keys() - values.keys()
        assert not unknown, unknown
        return tuple({**values, **changes}.values())

    def open(self, listing, by=None, **params):
        return self.book.open(self.params(listing, **params), {"from": by or self.people.tenant}).return_value

    def sign(self, report, signers=ATTESTERS[:QUORUM]):
        site, root, entries = report
        names = [f["name"] for f in ENTRY]
        message = {
            "siteId": site,
            "samplesRoot": root,
            "entries": [dict(zip(names, values, strict=True)) for values in entries],
        }
        domain = {
            "name": "Drakewell UsageMeter",
            "version": "1",
            "chainId": 31337,
            "verifyingContract": self.meter.address,
        }
        return [kit.sign_typed(s.key, domain, REPORT, "Report", message).signature for s in signers]

    def report(self, site, *entries):
        """Post a report signed by the quorum, and return its transaction."""
        report = (site, self.root, list(entries))
        return self.meter.report(report, self.sign(report), {"from": self.people.stranger})

    def record(self, site, *entries):
        """Post a report of which every entry must count."""
        tx = self.report(site, *entries)
        assert kit.events(tx, "EntrySkipped") == []
        return tx

    def skipped(self, site, *entries):
        """Post a report and return the reasons, in order, for which its entries were skipped."""
        return [SKIPS[e.reason] for e in kit.events(self.report(site, *entries), "EntrySkipped")]

    def settle(self, lease):
        """Settle as a stranger and return the `LeaseSettled` event."""
        return kit.event(self.book.settle(lease, {"from": self.people.stranger}), "LeaseSettled")

    def state(self, lease):
        return STATES[self.book.stateOf(lease)]

    def owes_what_it_has(self):
        """Check that the book and the clones hold exactly what they owe."""
        assert self.usd.balanceOf(self.book) == self.book.totalOwed(self.usd)
        for site in range(1, self.book.siteCount() + 1):
            if self.book.siteOf(site)["share"] != kit.ZERO:
                share = self.share(site)
                assert self.usd.balanceOf(share) == share.totalOwed(self.usd)
