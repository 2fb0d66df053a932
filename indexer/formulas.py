"""The contracts' arithmetic in exact integers: the only arithmetic on money of the fold and of the backend.

Rows are those of `indexer.fold.tables`; `t` is a block's time in unix seconds, amounts are base units of the settlement
token, prices base units per GPU-hour, usage GPU-seconds, ratios basis points. Each formula stands in the NatSpec of
`contracts/interfaces`, from where it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Row = Mapping[str, Any]

HOUR = 3600
BPS = 10_000
#: Index units a base unit a share unit: `claimable = balance * index / INDEX_SCALE`.
INDEX_SCALE = 10**36
#: A report is final this long after it was posted; unreported epochs lapse a grace after their end, or after a void.
CHALLENGE_WINDOW = 6 * HOUR
GRACE = 24 * HOUR
#: A distribution streams in over this long.
STREAM = 24 * HOUR

NONE, FORWARD, ACTIVE, CLOSING, RECLAIMING, ENDED, FINAL = (
    "none",
    "forward",
    "active",
    "closing",
    "reclaiming",
    "ended",
    "final",
)

TENANT_CODES = range(1, 10_000)
PROVIDER_CODES = range(10_000, 20_000)
TERM_ENDED, RAN_DRY = 20_000, 20_001


def div_up(numerator: int, denominator: int) -> int:
    """Return the quotient rounded up."""
    return -(-numerator // denominator)


# ------------------------------------------------------------------------------------------------------------- shares


def index(offering: Row, t: int) -> int:
    """Return the per-share index at `t`: on the line from the last distribution, rounded down; flat after its end."""
    start: int = offering["stream_start"]
    end: int = offering["stream_end"]
    low: int = offering["index"]
    high: int = offering["index_end"]
    if t >= end:
        return high
    return low + (high - low) * (t - start) // (end - start)


def earned(balance: int, paid_index: int, now_index: int) -> int:
    """Return what `balance` share units earned between two indexes, rounded down."""
    return balance * (now_index - paid_index) // INDEX_SCALE


def claimable(offering: Row, holding: Row, t: int) -> int:
    """Return what a holder could claim at `t`: attributed before, and earned since."""
    accrued: int = holding["accrued"]
    return accrued + earned(holding["balance"], holding["paid_index"], index(offering, t))


class Line(NamedTuple):
    """The line on which the index runs after a distribution."""

    index_now: int
    index_end: int
    stream_start: int
    stream_end: int


def distributed(offering: Row, amount: int, t: int) -> Line:
    """Return the line after `amount` came in at `t`: it ends at the mean of the old end and a day from now, weighted by
    what is left of the index and what is added; index and end rounded down.
    """
    now = index(offering, t)
    added = amount * INDEX_SCALE // offering["supply"]
    left = offering["index_end"] - now
    left_time = offering["stream_end"] - t if left else 0
    end = t + (left * left_time + added * STREAM) // (left + added)
    return Line(now, offering["index_end"] + added, t, end)


def unstreamed(offering: Row, t: int) -> int:
    """Return what was distributed and has not yet streamed in at `t`, rounded down."""
    left: int = (offering["index_end"] - index(offering, t)) * offering["supply"] // INDEX_SCALE
    return left


# ------------------------------------------------------------------------------------------------------------- leases


def end_of(lease: Row) -> int:
    """Return when a lease ends: the earliest of its term, what its deposit pays for, and its closing."""
    end: int = min(lease["term_end"], funded_until(lease))
    closing: int | None = lease["closing_at"]
    return end if closing is None else min(end, closing)


def funded_until(lease: Row) -> int:
    """Return the second up to which the deposit pays for all of the lease's GPUs."""
    start: int = lease["start_at"]
    bought: int = lease["deposited"] * HOUR // (lease["gpus"] * lease["price"])
    return start + bought


def escrow(lease: Row) -> int:
    """Return what the LeaseBook holds for a lease."""
    held: int = lease["deposited"] + lease["penalty"] + lease["compensation"] - lease["rent_total"] - lease["collected"]
    return held


def collectable(lease: Row) -> int:
    """Return what the holder may collect: the escrow less the price of time not yet settled, rounded up."""
    if lease["finalised"]:
        return escrow(lease)
    unsettled = max(0, lease["end_at"] - lease["settled_until"])
    return max(0, escrow(lease) - div_up(lease["price"] * lease["gpus"] * unsettled, HOUR))


def lease_state(lease: Row | None, t: int) -> str:
    """Return the state of a lease at `t`, as `LeaseBook.stateOf` does."""
    if lease is None:
        return NONE
    if lease["finalised"]:
        return FINAL
    # A lease that ends where it starts never runs: it is over at once.
    if t >= lease["end_at"] or lease["end_at"] == lease["start_at"]:
        return ENDED
    if lease["code"] in PROVIDER_CODES:
        return RECLAIMING
    if lease["closing_at"] is not None:
        return CLOSING
    return FORWARD if t < lease["start_at"] else ACTIVE


class Split(NamedTuple):
    """Where rent goes; totals since opening."""

    rent: int
    fee: int
    shares: int
    owner: int


def settlement(lease: Row, revenue_bps: int, available: int) -> Split:
    """Return a lease's totals for `available` GPU-seconds.

    `unshared_net` of the lease is the part of rent less fee that was settled before shares were issued. Each total is
    rounded down, so every sequence of settlements moves the same.
    """
    rent = lease["price"] * available // HOUR
    fee = rent * lease["fee_bps"] // BPS
    shares = (rent - fee - lease["unshared_net"]) * revenue_bps // BPS
    return Split(rent, fee, shares, rent - fee - shares)


def penalty(terms: Row, price_: int, *, available: int, due: int, limit: int) -> int:
    """Return what the SLA takes from the bond for `available` of `due` GPU-seconds, at most `limit`."""
    missing = max(0, terms["sla_bps"] * due - BPS * available)
    taken: int = min(limit, price_ * missing * terms["penalty_bps"] // (HOUR * BPS * BPS))
    return taken


def compensation(lease: Row, terms: Row, old_end: int, new_end: int) -> int:
    """Return what a reclaim pays from the bond: a share of the funded rent that it takes back."""
    taken = lease["price"] * lease["gpus"] * (old_end - new_end)
    paid: int = min(lease["bond_locked"], taken * terms["compensation_bps"] // (HOUR * BPS))
    return paid


def penalty_view(
    lease: Row, meter: Row | None, terms: Row, t: int, *, window: int = CHALLENGE_WINDOW, grace: int = GRACE
) -> int:
    """Return the penalty as it would be were the last settlement at `t`; the one paid once the lease is final."""
    if lease["finalised"]:
        paid: int = lease["penalty"]
        return paid
    final = meter_settled(meter, t, window, grace)
    return penalty(terms, lease["price"], available=final.available, due=final.due, limit=lease["bond_locked"])


# -------------------------------------------------------------------------------------------------------------- usage


class Settled(NamedTuple):
    """What is final of a lease: unix seconds up to which the meter has settled it (not clipped to its end), and
    GPU-seconds.
    """

    until: int
    available: int
    due: int


def lapsed_to(lease: Row, meter: Row | None, t: int, grace: int = GRACE) -> int:
    """Return the latest epoch boundary (unix hours) below which nothing can be reported any more at `t`."""
    return max(reported_to(lease, meter), _lapsed(meter, t, grace))


def reported_to(lease: Row, meter: Row | None) -> int:
    """Return the epoch boundary up to which reports count; before the first, the hour in which the lease starts."""
    reported: int = meter["reported_to"] if meter else 0
    return reported or lease["start_at"] // HOUR


def _lapsed(meter: Row | None, t: int, grace: int) -> int:
    # What a void opened again stays open for a grace.
    reported: int = meter["reported_to"] if meter else 0
    if meter and reported < meter["voided_to"] and t < meter["voided_at"] + grace:
        return reported
    return max(reported, (t - grace) // HOUR)


def meter_settled(meter: Row | None, t: int, window: int = CHALLENGE_WINDOW, grace: int = GRACE) -> Settled:
    """Return what the meter holds final of a lease at `t`, as `UsageMeter.settled` does."""
    available = due = 0
    for _, from_epoch, _, posted_at, available_after, due_after, *_ in meter["ring"] if meter else ():
        if posted_at + window > t:
            return Settled(from_epoch * HOUR, available, due)
        available, due = available_after, due_after
    return Settled(_lapsed(meter, t, grace) * HOUR, available, due)


class Due(NamedTuple):
    """What a settlement would do: up to when, whether it is the last, and whether there is anything to settle."""

    until: int
    last: bool
    settles: bool


def settlement_due(lease: Row, meter: Row | None, t: int, window: int = CHALLENGE_WINDOW, grace: int = GRACE) -> Due:
    """Return what `LeaseBook.settle` would do at `t`."""
    end: int = lease["end_at"]
    before: int = lease["settled_until"]
    reached = meter_settled(meter, t, window, grace).until
    empty = end == lease["start_at"]
    last = not lease["finalised"] and (t >= end or empty) and (reached >= end or empty)
    until = max(min(reached, end), before)
    return Due(until, last, last or (not lease["finalised"] and until > before))


# ----------------------------------------------------------------------------------------------------------- listings


class Quote(NamedTuple):
    """What `open` would charge; see the struct of the same name in `ILeaseBook`."""

    version: int
    price: int
    start: int
    term_end: int
    min_deposit: int
    max_deposit: int
    max_penalty: int
    bond: int
    bond_free: int


def price(terms: Row, leased: int, gpus: int) -> int:
    """Return the price of `gpus` more: linear from floor to ceiling in the occupancy averaged over the fill, up."""
    floor, ceiling, total = terms["floor_price"], terms["ceiling_price"], terms["gpus"]
    up: int = floor + div_up((ceiling - floor) * (2 * leased + gpus), 2 * total)
    return up


def cost_up(price_: int, gpus: int, seconds: int) -> int:
    """Return the price of `gpus` for `seconds`, rounded up."""
    return div_up(price_ * gpus * seconds, HOUR)


def quote(listing: Row, site: Row, gpus: int, term: int, t: int) -> Quote:
    """Return what the LeaseBook would quote at `t` for `gpus` GPUs over `term` seconds.

    Says nothing on whether the listing has the GPUs, the window the time or the site the bond: compare with its fields.
    """
    each = price(listing, listing["leased"], gpus)
    start = max(t, listing["window_from"])
    bond = gpus * listing["bond_per_gpu"]
    worst = penalty(listing, each, available=0, due=gpus * term, limit=bond)
    return Quote(
        version=listing["version"],
        price=each,
        start=start,
        term_end=start + term,
        min_deposit=cost_up(each, gpus, listing["min_term"]),
        max_deposit=cost_up(each, gpus, term),
        max_penalty=worst,
        bond=bond,
        bond_free=site["bond"] - site["locked_bond"],
    )
