"""Settlement to the unit: both worked examples of the design, and that no order of settlements pays otherwise."""

import pytest
from kit import DAY, HOUR, SHARE, USD, event, events, forward, next_hour, now, refused, to
from market import WINDOW, entry


@pytest.fixture(scope="module")
def site(market):
    return market.site(revenue_bps=6_000)


def test_a_day_at_95_percent(market, site, people, usd):
    lease = market.open(market.listing(site), gpus=8, term=DAY)
    start = now()
    assert market.book.leaseOf(lease)["deposited"] == 480 * USD
    bond = market.book.siteOf(site)["bond"]
    hour = start // HOUR
    for n in range(24):
        to(start + (n + 1) * HOUR)
        market.record(site, entry(lease, hour + n, hour + n + 1, 8 * 3600 * 95 // 100))
    forward(WINDOW)
    tx = market.book.settle(lease, {"from": people.stranger})
    told = event(tx, "LeaseSettled")
    assert (told.due, told.available) == (691_200, 656_640)
    assert (told.rentTotal, told.fee, told.shares, told.ownerPart) == (456_000_000, 4_560_000, 270_864_000, 180_576_000)
    assert told.settledUntil == start + DAY
    last = event(tx, "LeaseFinalised")
    assert (last.code, last.penalty, last.bond, last.lockedBond) == (20_000, 28_800_000, bond - 28_800_000, 0)
    paid = event(market.book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected")
    assert paid.amount == 24_000_000 + 28_800_000
    assert market.book.creditOf(usd, people.owner) == 180_576_000
    assert market.book.feesOf(usd) == 4_560_000
    assert usd.balanceOf(market.share(site)) == 270_864_000
    market.owes_what_it_has()


def test_sold_closed_voided_and_never_reported(market, site, people, usd):
    midnight = next_hour() // DAY * DAY + DAY
    ten = midnight // HOUR + 10
    to(midnight + 10 * HOUR + 20 * 60)
    listing = market.listing(site, start=now())
    lease = market.open(listing, gpus=8, term=DAY, deposit=100 * USD)
    assert market.book.endOf(lease) == midnight + 15 * HOUR + 20 * 60

    to(midnight + 11 * HOUR)
    market.record(site, entry(lease, ten, ten + 1, 19_200))
    to(midnight + 12 * HOUR)
    market.record(site, entry(lease, ten + 1, ten + 2, 28_800))
    to(midnight + 13 * HOUR)
    market.record(site, entry(lease, ten + 2, ten + 3, 28_800))
    to(midnight + 13 * HOUR + 30 * 60)
    market.book.transferFrom(people.tenant, people.buyer, lease, {"from": people.tenant})
    market.meter.void(lease, ten + 2, {"from": people.challenger})
    market.record(site, entry(lease, ten + 2, ten + 3, 14_400, round_=1))
    to(midnight + 13 * HOUR + 45 * 60)
    closing = event(market.book.close(lease, 7, {"from": people.buyer}), "LeaseClosing")
    assert closing.end == market.book.endOf(lease) == midnight + 14 * HOUR + 45 * 60
    to(midnight + 15 * HOUR)
    market.record(site, entry(lease, ten + 4, ten + 5, 21_600, round_=1))

    forward(WINDOW)
    tx = market.book.settle(lease, {"from": people.stranger})
    told = event(tx, "LeaseSettled")
    assert (told.due, told.available) == (98_400, 84_000)
    assert (told.rentTotal, told.fee, told.shares, told.ownerPart) == (58_333_333, 583_333, 34_650_000, 23_100_000)
    last = event(tx, "LeaseFinalised")
    assert (last.code, last.penalty) == (7, 13_975_000)
    assert refused(market.book.collect, lease, people.tenant, by=people.tenant)[0] == "LeaseBook_NotHolder"
    paid = event(market.book.collect(lease, people.buyer, {"from": people.buyer}), "LeaseCollected")
    assert paid.amount == 55_641_667
    market.owes_what_it_has()


def test_every_order_of_settlements_pays_the_same(market, site, people, usd):
    """One lease is settled every hour, the other once; hours of odd seconds make every part round."""
    listing = market.listing(site, floor=1_234_567, ceiling=1_234_567)
    often, once = (market.open(listing, gpus=7, term=DAY) for _ in range(2))
    start = now()
    hour = start // HOUR
    parts = []
    for n in range(24):
        to(start + (n + 1) * HOUR)
        seconds = 20_000 + 97 * n
        market.record(site, entry(often, hour + n, hour + n + 1, seconds), entry(once, hour + n, hour + n + 1, seconds))
        if n >= 6:
            parts.append(market.settle(often))
    forward(WINDOW)
    parts.append(market.settle(often))
    whole = market.settle(once)
    assert len(parts) == 19
    for name in ("fee", "shares", "ownerPart"):
        assert sum(getattr(p, name) for p in parts) == getattr(whole, name)
    assert parts[-1].rentTotal == whole.rentTotal
    collected = [
        event(market.book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected").amount
        for lease in (often, once)
    ]
    assert collected[0] == collected[1]
    market.owes_what_it_has()


def test_rounding_is_always_down_and_the_rest_the_holders(market, site):
    listing = market.listing(site, floor=3_599_999, ceiling=3_599_999, sla=0)
    lease = market.open(listing, gpus=1, term=2 * HOUR)
    start = now()
    to(start + 2 * HOUR)
    market.record(site, entry(lease, start // HOUR, start // HOUR + 2, 6_001))
    forward(WINDOW)
    told = market.settle(lease)
    rent = 3_599_999 * 6_001 // 3_600
    fee = rent * 100 // 10_000
    shares = (rent - fee) * 6_000 // 10_000
    assert (told.rentTotal, told.fee, told.shares, told.ownerPart) == (rent, fee, shares, rent - fee - shares)
    deposited = market.book.leaseOf(lease)["deposited"]
    assert deposited == 7_199_998, "2 hours, rounded up"
    assert market.book.collectable(lease) == deposited - rent


def test_only_rent_settled_after_the_issue_is_shared(market, people, usd):
    site = market.site(revenue_bps=None)
    lease = market.open(market.listing(site), gpus=8, term=DAY)
    start = now()
    hour = start // HOUR
    to(start + 4 * HOUR)
    market.record(site, entry(lease, hour, hour + 4, 4 * 28_800))
    forward(WINDOW)
    told = market.settle(lease)
    assert (told.rentTotal, told.shares, told.ownerPart) == (80 * USD, 0, 79_200_000)
    assert told.unsharedNet == 79_200_000
    market.book.issue(site, 5_000, 10 * SHARE, "Late", "LATE", {"from": people.owner})
    to(start + 24 * HOUR)
    market.record(site, entry(lease, hour + 4, hour + 24, 20 * 28_800))
    forward(WINDOW)
    told = market.settle(lease)
    assert (told.fee, told.shares, told.ownerPart) == (4_000_000, 198_000_000, 198_000_000)
    assert told.unsharedNet == 79_200_000
    market.owes_what_it_has()


def test_unreported_time_past_the_grace_earns_nothing_and_costs_nothing(market, site, people):
    lease = market.open(market.listing(site), gpus=8, term=10 * HOUR)
    start = now()
    to(start + 10 * HOUR + DAY - HOUR)
    told = market.settle(lease)
    assert (told.settledUntil, told.rentTotal, told.available, told.due) == (start + 9 * HOUR, 0, 0, 0)
    assert market.state(lease) == "Ended"
    forward(HOUR)
    tx = market.book.settle(lease, {"from": people.stranger})
    assert event(tx, "LeaseFinalised").penalty == 0
    assert (
        event(market.book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected").amount == 200 * USD
    )


def test_attested_zero_earns_nothing_and_counts_against_the_sla(market, site):
    lease = market.open(market.listing(site), gpus=8, term=2 * HOUR)
    start = now()
    to(start + 2 * HOUR)
    market.record(site, entry(lease, start // HOUR, start // HOUR + 2, 0))
    assert market.book.penaltyOf(lease) == 0, "not yet final"
    forward(WINDOW)
    # 57,600 due at 99 % are 57,024 GPU-s short, at 2.50 and 1.5 times
    penalty = 57_024 * 2_500_000 * 15_000 // (3600 * 10_000)
    assert market.book.penaltyOf(lease) == penalty
    told = market.settle(lease)
    assert (told.rentTotal, told.available, told.due) == (0, 0, 57_600)
    assert market.book.penaltyOf(lease) == penalty
    assert market.book.collectable(lease) == 40 * USD + penalty


def test_the_penalty_is_bounded_by_the_lease_s_bond(market, site):
    lease = market.open(market.listing(site, bond_per_gpu=USD), gpus=8, term=2 * HOUR)
    start = now()
    to(start + 2 * HOUR)
    market.record(site, entry(lease, start // HOUR, start // HOUR + 2, 0))
    forward(WINDOW)
    market.settle(lease)
    assert market.book.leaseOf(lease)["penalty"] == 8 * USD


def test_curtailed_time_is_neither_due_nor_paid(market, site):
    lease = market.open(market.listing(site, curtailable=5_000), gpus=8, term=2 * HOUR)
    start = now()
    to(start + 2 * HOUR)
    market.record(site, entry(lease, start // HOUR, start // HOUR + 2, 28_800, curtailed=28_800))
    forward(WINDOW)
    told = market.settle(lease)
    assert (told.available, told.due, told.rentTotal) == (28_800, 28_800, 20 * USD)
    assert market.book.leaseOf(lease)["penalty"] == 0


def test_nothing_settles_inside_the_challenge_window(market, site):
    lease = market.open(market.listing(site), gpus=8, term=DAY)
    start = now()
    to(start + HOUR)
    market.record(site, entry(lease, start // HOUR, start // HOUR + 1, 28_800))
    posted = now()
    nothing = ("LeaseBook_NothingToSettle", lease, start)
    to(posted + WINDOW - 1)
    assert refused(market.book.settle, lease, by=market.people.stranger) == nothing
    to(posted + WINDOW)
    assert market.settle(lease).settledUntil == start + HOUR
    assert refused(market.book.settle, lease, by=market.people.stranger) == (
        "LeaseBook_NothingToSettle",
        lease,
        start + HOUR,
    )


def test_collecting_on_the_way_keeps_the_price_of_time_not_yet_settled(market, site, people):
    lease = market.open(market.listing(site), gpus=8, term=10 * HOUR)
    start = now()
    assert market.book.collectable(lease) == 0
    to(start + 4 * HOUR)
    market.record(site, entry(lease, start // HOUR, start // HOUR + 4, 57_600))
    forward(WINDOW)
    assert market.settle(lease).rentTotal == 40 * USD
    # 4 hours settled at 80 less 40 of rent; 6 hours at 20 an hour are still held
    assert market.book.collectable(lease) == 40 * USD
    assert (
        event(market.book.collect(lease, people.dave, {"from": people.tenant}), "LeaseCollected").collected == 40 * USD
    )
    assert refused(market.book.collect, lease, people.dave, by=people.tenant) == ("LeaseBook_NothingToCollect", lease)
    market.owes_what_it_has()


def test_many_at_once_skip_what_fails(market, site, people):
    listing = market.listing(site)
    ready, waiting = (market.open(listing, gpus=2, term=10 * HOUR) for _ in range(2))
    start = now()
    to(start + HOUR)
    market.record(site, entry(ready, start // HOUR, start // HOUR + 1, 7_200))
    forward(WINDOW)
    tx = market.book.settleMany([ready, waiting, 999], {"from": people.stranger})
    assert [e.leaseId for e in events(tx, "LeaseSettled")] == [ready]
    assert [e.leaseId for e in events(tx, "SettleSkipped")] == [waiting, 999]
