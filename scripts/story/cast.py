"""Who is in the story, and what they are about to do. Amounts in base units of TestUSD (6 decimals), times in hours."""

from __future__ import annotations

from dataclasses import dataclass

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

USD = 10**6
SHARE = 10**18
HOURS = 120
"""The story lasts five days."""

FEW_RACKS = 32
FLAG_INVESTOR, FLAG_SITE_OWNER, FLAG_ATTESTER = 2, 4, 8

ATTESTERS = ("Orla's meter", "Pavel's meter", "Quinn's meter")
QUORUM = 2
REVENUE_BPS = 6_000
SUPPLY = 1_000_000 * SHARE
SHARE_PRICE = USD // 10
"""What an investor agreed to pay the owner for a share, off chain."""

BLOCKED = "Xaver"
BLOCKED_AT = 34
STREAMED_OUT = 118
CLAIM_HOURS = (33, 50, 74, 98, STREAMED_OUT)
SETTLE_HOURS = (24, 48, 72, 96)
CREDIT_HOURS = (74, STREAMED_OUT)
CURTAILED_SITE = 3
CURTAILED_HOURS = range(41, 44)
MINING = (20, 1, "Hashrate Buyer", 85 * USD)
DEMAND_RESPONSE = (45, CURTAILED_SITE, "Grid Operator", 140 * USD)
GIFT = (26, 5, "Fran's bank", 24)
SALE = (30, 4, "Esther")


@dataclass(frozen=True)
class SitePlan:
    """A site, its owner, and who buys how many thousandths of its shares."""

    name: str
    region: str
    owner: str
    pue_bps: int
    investors: dict[str, int]


SITES = (
    SitePlan("Lofoten Hall 2", "NO", "Ingrid", 11_200, {"Hanna": 200, BLOCKED: 100, "Jonas": 50}),
    SitePlan("Ouray Canyon", "US-CO", "Mateo", 12_500, {"Kofi": 250, "Hanna": 50}),
    SitePlan("Kinsale Quay", "IE", "Aoife", 11_800, {"Lucia": 300, "Jonas": 100}),
)


@dataclass(frozen=True)
class LeasePlan:
    """A lease: who takes how many GPUs of which model (the first that the site has), when, and for how long.

    `paid_hours` of the term are deposited; `closed_at` is when the holder gives notice; a `gappy` lease gets GPUs that
    are not always there.
    """

    name: str
    tenant: str
    site: int
    models: tuple[str, ...]
    gpus: int
    opened_at: int
    term: int
    paid_hours: int
    closed_at: int | None = None
    gappy: bool = False


LEASES = (
    LeasePlan("runs its term", "Amber", 1, ("H800", "A100-SXM4-80GB"), 8, 1, 72, 72),
    LeasePlan("short of its SLA", "Boris", 2, ("A100-SXM4-80GB", "H800"), 8, 2, 48, 48, gappy=True),
    LeasePlan("runs dry", "Chiara", 3, ("A10",), 12, 3, 72, 30),
    LeasePlan("sold on", "Dario", 1, ("A100-SXM4-80GB", "A10"), 8, 4, 96, 96, closed_at=52),
    LeasePlan("topped up, closed", "Fran", 2, ("A10", "GPU-series-1"), 12, 5, 72, 24, closed_at=40),
    LeasePlan("curtailed for the grid", "Goran", 3, ("H800", "A100-SXM4-80GB"), 16, 6, 66, 66),
)


def account(seed: int, name: str) -> LocalAccount:
    """Return the key pair of a person; the same for the same seed."""
    made: LocalAccount = Account.from_key(keccak(text=f"drakewell demo {seed} {name}"))
    return made


def investors() -> set[str]:
    """Return everyone who buys shares."""
    return {name for site in SITES for name in site.investors}


def everyone() -> list[str]:
    """Return everyone who acts, in a fixed order."""
    names = {site.owner for site in SITES} | investors() | {lease.tenant for lease in LEASES} | set(ATTESTERS)
    return sorted(names | {MINING[2], DEMAND_RESPONSE[2], GIFT[2], SALE[2]})
