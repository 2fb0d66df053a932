"""The contracts' arithmetic, by the numbers of their design and at the edges."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import formulas

HOUR = 3600
MILLION = 1_000_000
DAY = 1_790_000_000 // 86_400 * 86_400


def lease(**changed: Any) -> dict[str, Any]:
    row = {
        "lease_id": 1,
        "gpus": 8,
        "price": 2_500_000,
        "fee_bps": 100,
        "start_at": DAY,
        "term_end": DAY + 24 * HOUR,
        "closing_at": None,
        "code": 0,
        "bond_locked": 400 * MILLION,
        "deposited": 480 * MILLION,
        "rent_total": 0,
        "unshared_net": 0,
        "settled_until": DAY,
        "compensation": 0,
        "penalty": 0,
        "collected": 0,
        "finalised": False,
    }
    row |= changed
    return {"end_at": formulas.end_of(row), **row}


TERMS = {"sla_bps": 9_900, "penalty_bps": 15_000, "compensation_bps": 1_000}


def meter(*ring: tuple[int, int, int, int, int], **changed: Any) -> dict[str, Any]:
    """A meter with checkpoints (from, to, posted at, available, due)."""
    marks = [[i + 1, *mark, 0, 0, 0] for i, mark in enumerate(ring)]
    row = {"reported_to": ring[-1][1] if ring else 0, "voided_to": 0, "voided_at": 0, "ring": marks}
    return row | changed


# ------------------------------------------------------------------------------------------------------------- prices


def test_the_price_of_the_worked_example() -> None:
    terms = {"floor_price": 2 * MILLION, "ceiling_price": 4 * MILLION, "gpus": 64}
    assert formulas.price(terms, 16, 8) == 2_625_000


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(1, 500), st.data())
def test_splitting_an_order_changes_nothing_but_rounding(
    floor: int, rise: int, total: int, data: st.DataObject
) -> None:
    leased = data.draw(st.integers(0, total - 1))
    gpus = data.draw(st.integers(1, total - leased))
    first = data.draw(st.integers(0, gpus))
    terms = {"floor_price": floor, "ceiling_price": floor + rise, "gpus": total}
    whole = gpus * formulas.price(terms, leased, gpus)
    parts = first * formulas.price(terms, leased, first) if first else 0
    parts += (gpus - first) * formulas.price(terms, leased + first, gpus - first) if gpus > first else 0
    assert abs(parts - whole) <= gpus
    assert floor <= formulas.price(terms, leased, gpus) <= floor + rise


def test_a_quote_names_what_open_charges() -> None:
    listing = {
        "version": 3,
        "leased": 16,
        "floor_price": 2 * MILLION,
        "ceiling_price": 4 * MILLION,
        "gpus": 64,
        "window_from": DAY,
        "min_term": 2 * HOUR,
        "bond_per_gpu": 50 * MILLION,
        **TERMS,
    }
    site = {"bond": 1_000 * MILLION, "locked_bond": 300 * MILLION}
    quote = formulas.quote(listing, site, 8, 24 * HOUR, DAY - HOUR)
    assert quote == (
        3,
        2_625_000,
        DAY,
        DAY + 24 * HOUR,
        42 * MILLION,
        504 * MILLION,
        400 * MILLION,  # an SLA missed in all would cost 748.44, more than the bond
        400 * MILLION,
        700 * MILLION,
    )
    assert formulas.quote(listing, site, 1, HOUR, DAY + 5).start == DAY + 5
    assert formulas.quote(listing, site, 1, HOUR, DAY).max_penalty == 2_515_625 * 99 * 15 // 1_000


# ------------------------------------------------------------------------------------------------------------- leases


def test_a_lease_ends_at_the_earliest_of_term_funds_and_closing() -> None:
    assert lease()["end_at"] == DAY + 24 * HOUR
    assert lease(deposited=100 * MILLION)["end_at"] == DAY + 5 * HOUR
    assert lease(deposited=100 * MILLION - 1)["end_at"] == DAY + 5 * HOUR - 1
    assert lease(deposited=100 * MILLION, closing_at=DAY + 3 * HOUR)["end_at"] == DAY + 3 * HOUR


def test_collectable_keeps_the_price_of_unsettled_time_rounded_up() -> None:
    assert formulas.collectable(lease()) == 0
    assert formulas.collectable(lease(closing_at=DAY + 10 * HOUR)) == 280 * MILLION
    assert formulas.collectable(lease(closing_at=DAY + 10 * HOUR + 1)) == 280 * MILLION - 5_556
    half_a_unit = lease(price=1, gpus=1, deposited=24, closing_at=DAY + 23 * HOUR + 1800)
    assert formulas.collectable(half_a_unit) == 0, "23.5 rounds up to 24"
    assert formulas.collectable(lease(rent_total=456 * MILLION, penalty=28_800_000, finalised=True)) == 52_800_000
    assert formulas.collectable(lease(collected=480 * MILLION)) == 0, "never below zero"


@pytest.mark.parametrize(
    ("changed", "at", "state"),
    [
        ({}, DAY - 1, formulas.FORWARD),
        ({}, DAY, formulas.ACTIVE),
        ({}, DAY + 24 * HOUR - 1, formulas.ACTIVE),
        ({}, DAY + 24 * HOUR, formulas.ENDED),
        ({"closing_at": DAY + 5 * HOUR, "code": 9_999}, DAY - 1, formulas.CLOSING),
        ({"closing_at": DAY + 5 * HOUR, "code": 10_000}, DAY, formulas.RECLAIMING),
        ({"closing_at": DAY + 5 * HOUR, "code": 10_000}, DAY + 5 * HOUR, formulas.ENDED),
        ({"closing_at": DAY, "code": 10_000}, DAY - HOUR, formulas.ENDED),
        ({"finalised": True, "code": 20_000}, DAY, formulas.FINAL),
    ],
)
def test_the_state_of_a_lease(changed: dict[str, Any], at: int, state: str) -> None:
    assert formulas.lease_state(lease(**changed), at) == state


def test_no_lease_has_no_state() -> None:
    assert formulas.lease_state(None, DAY) == formulas.NONE


@given(
    st.lists(st.integers(0, 691_200), max_size=6), st.integers(1, 10**10), st.integers(0, 1_000), st.integers(0, 10**4)
)
def test_every_order_of_settlements_pays_the_same(seen: list[int], price: int, fee: int, revenue_bps: int) -> None:
    row = lease(price=price, fee_bps=fee)
    at_once = formulas.settlement(row, revenue_bps, 691_200)
    moved = [0, 0, 0, 0]
    before: formulas.Split | None = None
    for available in [*sorted(seen), 691_200]:
        after = formulas.settlement(row, revenue_bps, available)
        step = [b - a for a, b in zip(before or (0, 0, 0, 0), after, strict=True)]
        assert min(step) >= 0, "settled totals never fall"
        moved = [total + part for total, part in zip(moved, step, strict=True)]
        before = after
    assert tuple(moved) == at_once
    assert at_once.rent == at_once.fee + at_once.shares + at_once.owner


def test_rent_settled_before_the_issue_is_the_owners_alone() -> None:
    row = lease(unshared_net=100 * MILLION)
    split = formulas.settlement(row, 6_000, 691_200)
    assert split.shares == (480 * MILLION - 4_800_000 - 100 * MILLION) * 6 // 10


def test_the_penalties_of_the_worked_examples() -> None:
    assert formulas.penalty(TERMS, 2_500_000, available=656_640, due=691_200, limit=10**12) == 28_800_000
    assert formulas.penalty(TERMS, 2_500_000, available=84_000, due=98_400, limit=10**12) == 13_975_000
    assert formulas.penalty(TERMS, 2_500_000, available=84_000, due=98_400, limit=13) == 13
    assert formulas.penalty(TERMS, 2_500_000, available=990, due=1_000, limit=10**12) == 0


def test_compensation_is_a_share_of_the_rent_taken_back_up_to_the_bond() -> None:
    row = lease()
    assert formulas.compensation(row, TERMS, DAY + 24 * HOUR, DAY + 6 * HOUR) == 36 * MILLION
    assert formulas.compensation(row | {"bond_locked": 5}, TERMS, DAY + 24 * HOUR, DAY + 6 * HOUR) == 5
    tiny = lease(price=1, gpus=1, deposited=24)
    # One rounding alone: a tenth of 9.5 hours is 0, not a tenth of a rounded rent.
    assert formulas.compensation(tiny, {"compensation_bps": 9_999}, DAY + 7_201, DAY) == 2


# -------------------------------------------------------------------------------------------------------------- meter


def test_nothing_reported_lapses_a_grace_after_its_hour() -> None:
    hour = DAY // HOUR
    assert formulas.lapsed_to(lease(), None, DAY + HOUR) == hour
    assert formulas.lapsed_to(lease(), None, DAY + 25 * HOUR - 1) == hour
    assert formulas.lapsed_to(lease(), None, DAY + 25 * HOUR) == hour + 1
    assert formulas.meter_settled(None, DAY + 30 * HOUR) == (DAY + 6 * HOUR, 0, 0)


def test_settled_time_stops_at_the_first_report_not_final() -> None:
    hour = DAY // HOUR
    row = meter((hour, hour + 1, DAY + HOUR, 10, 20), (hour + 1, hour + 3, DAY + 3 * HOUR, 30, 60))
    assert formulas.meter_settled(row, DAY + 7 * HOUR - 1) == (DAY, 0, 0)
    assert formulas.meter_settled(row, DAY + 7 * HOUR) == (DAY + HOUR, 10, 20)
    assert formulas.meter_settled(row, DAY + 9 * HOUR) == (DAY + 3 * HOUR, 30, 60)
    assert formulas.meter_settled(row, DAY + 30 * HOUR) == (DAY + 6 * HOUR, 30, 60), "the rest has lapsed"


def test_a_void_opens_its_hours_for_a_grace_again() -> None:
    hour = DAY // HOUR
    row = meter(reported_to=hour + 2, voided_to=hour + 3, voided_at=DAY + 8 * HOUR)
    late = DAY + 30 * HOUR
    assert formulas.lapsed_to(lease(), row, late) == hour + 2, "not hour + 6: what was voided can be reported again"
    assert formulas.lapsed_to(lease(), row, DAY + 32 * HOUR) == hour + 8
    assert formulas.lapsed_to(lease(), row | {"reported_to": hour + 3}, late) == hour + 6


def test_the_last_settlement_waits_for_the_meter() -> None:
    hour = DAY // HOUR
    row = lease(deposited=20 * MILLION)
    full = meter((hour, hour + 1, DAY + HOUR, 28_800, 28_800))
    assert formulas.settlement_due(row, full, DAY + HOUR) == (DAY, False, False)
    assert formulas.settlement_due(row, full, DAY + 7 * HOUR) == (DAY + HOUR, True, True)
    assert formulas.settlement_due(row | {"finalised": True}, full, DAY + 7 * HOUR).settles is False
    empty = lease(closing_at=DAY, code=10_000)
    assert formulas.settlement_due(empty, None, DAY - HOUR) == (DAY, True, True)


def test_the_penalty_so_far_counts_only_what_is_final() -> None:
    hour = DAY // HOUR
    row = meter((hour, hour + 1, DAY + HOUR, 0, 28_800))
    assert formulas.penalty_view(lease(), row, TERMS, DAY + HOUR) == 0
    assert formulas.penalty_view(lease(), row, TERMS, DAY + 7 * HOUR) == 20 * MILLION * 99 * 15 // 1_000
    assert formulas.penalty_view(lease(finalised=True, penalty=7), row, TERMS, DAY + 7 * HOUR) == 7


# ------------------------------------------------------------------------------------------------------------- streams


def offering(**changed: Any) -> dict[str, Any]:
    row = {"supply": 10**24, "index": 0, "index_end": 0, "stream_start": 0, "stream_end": 0}
    return row | changed


def test_the_index_runs_on_a_line_and_stops() -> None:
    row = offering(index=100, index_end=200, stream_start=DAY, stream_end=DAY + 10)
    assert [formulas.index(row, DAY + second) for second in (0, 1, 5, 9, 10, 99)] == [100, 110, 150, 190, 200, 200]
    assert formulas.index(offering(), DAY) == 0


def test_merged_streams_end_at_their_weighted_mean() -> None:
    first = formulas.distributed(offering(), 1_000, DAY)
    assert first == (0, 1_000 * 10**12, DAY, DAY + 86_400)
    row = offering() | dict(zip(("index", "index_end", "stream_start", "stream_end"), first, strict=True))
    second = formulas.distributed(row, 500, DAY + 43_200)
    assert second == (500 * 10**12, 1_500 * 10**12, DAY + 43_200, DAY + 43_200 + (43_200 + 86_400) // 2)


def test_claimable_adds_what_was_attributed() -> None:
    row = offering(index=0, index_end=10**15, stream_start=DAY, stream_end=DAY + 86_400)
    held = {"balance": 10**23, "paid_index": 0, "accrued": 7}
    assert formulas.claimable(row, held, DAY + 86_400) == 107
    assert formulas.unstreamed(row, DAY) == 1_000
