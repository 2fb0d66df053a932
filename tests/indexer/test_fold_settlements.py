"""Both worked settlements of the contracts' design through the fold, to the cent."""

from indexer import formulas
from tests.indexer.fold_kit import BUYER, DAY, HOUR, LEASEBOOK, OWNER, SHARE, TENANT, TOKEN, Story, book, cash, share

MILLION = 1_000_000


def settle(story: Story, at: int, *, lease_id: int = 1) -> formulas.Split:
    """Emit what `LeaseBook.settle` emits at `at`, computed by the formulas."""
    lease, site = story.row("lease", lease_id), story.row("site", 1)
    meter = story.state.get("meter", (lease_id,))
    due = formulas.settlement_due(lease, meter, at)
    assert due.settles
    final = formulas.meter_settled(meter, at)
    after = formulas.settlement(lease, site["revenue_bps"], final.available)
    before = formulas.Split(
        lease["rent_total"],
        lease["fee_total"],
        lease["shares_total"],
        lease["rent_total"] - lease["fee_total"] - lease["shares_total"],
    )
    moved = formulas.Split(*(b - a for a, b in zip(before, after, strict=True)))
    tale = [
        book(
            "LeaseSettled",
            leaseId=lease_id,
            siteId=1,
            owner=OWNER,
            settledUntil=due.until,
            available=final.available,
            due=final.due,
            fee=moved.fee,
            shares=moved.shares,
            ownerPart=moved.owner,
            rentTotal=after.rent,
            unsharedNet=0,
        )
    ]
    if due.last:
        terms = story.row("listing_terms", 1, 1)
        paid = formulas.penalty_view(lease, meter, terms, at)
        code = lease["code"] or (20_000 if lease["end_at"] == lease["term_end"] else 20_001)
        tale.append(
            book(
                "LeaseFinalised",
                leaseId=lease_id,
                siteId=1,
                code=code,
                penalty=paid,
                bond=site["bond"] - paid,
                lockedBond=site["locked_bond"] - lease["bond_locked"],
            )
        )
    if moved.shares:
        offering = story.row("offering", SHARE)
        line = formulas.distributed(offering, moved.shares, at)
        tale += [
            share(
                "Distributed",
                payer=LEASEBOOK,
                source=0,
                ref=lease_id,
                amount=moved.shares,
                index=line.index_now,
                indexEnd=line.index_end,
                streamStart=line.stream_start,
                streamEnd=line.stream_end,
                owed=offering["owed"] + moved.shares,
            ),
            cash(LEASEBOOK, SHARE, moved.shares),
        ]
    story.tx(*tale, at=at)
    return moved


def collect(story: Story, to: str, at: int) -> int:
    """Collect all of a final lease, as `LeaseBook.collect` does: burn, event, cash."""
    amount = formulas.collectable(story.row("lease", 1))
    story.tx(
        book("Transfer", **{"from": to, "to": "0x" + "0" * 40, "tokenId": 1}),
        book("LeaseCollected", leaseId=1, to=to, amount=amount, collected=amount),
        cash(LEASEBOOK, to, amount),
        at=at,
    )
    return amount


def test_a_day_at_95_percent_pays_rent_fee_shares_and_penalty() -> None:
    story = Story()
    story.opened_site()
    story.issue()
    start, first = DAY + 10 * HOUR, (DAY + 10 * HOUR) // HOUR
    story.open(480 * MILLION, at=start)
    assert story.row("lease", 1)["end_at"] == start + 24 * HOUR
    for hour in range(24):
        story.report(
            hour + 1, first + hour, first + hour + 1, available=27_360, due=28_800, at=start + (hour + 1) * HOUR
        )

    moved = settle(story, start + 31 * HOUR)

    assert moved == (456_000_000, 4_560_000, 270_864_000, 180_576_000)
    lease = story.row("lease", 1)
    assert lease["finalised"]
    assert (lease["available"], lease["due"], lease["penalty"]) == (656_640, 691_200, 28_800_000)
    assert lease["code"] == formulas.TERM_ENDED
    assert story.owed("fee:protocol") == story.row("fees", TOKEN)["amount"] == 4_560_000
    assert story.owed(f"credit:{OWNER}") == story.row("credit", TOKEN, OWNER)["amount"] == 180_576_000
    assert story.owed("pool:offering/1") == story.row("owed", SHARE, TOKEN)["amount"] == 270_864_000
    assert story.owed("bond:site/1") == 10_000_000_000 - 28_800_000
    assert story.row("site", 1)["locked_bond"] == 0
    assert collect(story, TENANT, start + 32 * HOUR) == 24_000_000 + 28_800_000
    assert story.row("lease", 1)["holder"] is None
    assert story.state.appends[-1][1]["kind"] == "collected"
    assert [row["account"] for table, row in story.state.appends if table == "payout"] == [TENANT]
    balances = story.trial_balance()
    assert sum(balances.values()) == 0
    assert balances["cash:leasebook"] == story.row("owed", LEASEBOOK, TOKEN)["amount"]


def test_a_lease_sold_closed_voided_and_in_part_never_reported() -> None:
    story = Story()
    story.opened_site()
    story.issue()
    ten, hour = DAY + 10 * HOUR, DAY // HOUR
    start = ten + 20 * 60
    story.open(100 * MILLION, at=start)
    assert story.row("lease", 1)["end_at"] == start + 5 * HOUR
    story.report(1, hour + 10, hour + 11, available=19_200, due=19_200, at=ten + HOUR)
    story.report(2, hour + 11, hour + 12, available=28_800, due=28_800, at=ten + 2 * HOUR)
    story.report(3, hour + 12, hour + 13, available=28_800, due=28_800, at=ten + 3 * HOUR)
    story.tx(book("Transfer", **{"from": TENANT, "to": BUYER, "tokenId": 1}), at=ten + 3 * HOUR + 30 * 60)
    end = ten + 4 * HOUR + 45 * 60
    story.tx(book("LeaseClosing", leaseId=1, by=BUYER, code=7, end=end), at=ten + 3 * HOUR + 45 * 60)
    assert story.row("lease", 1)["end_at"] == end
    story.void(hour + 12, hour + 13, at=ten + 4 * HOUR)
    assert story.row("meter", 1)["available"] == 48_000
    assert story.row("usage", 1, 3, hour + 12)["voided"]
    assert formulas.lapsed_to(story.row("lease", 1), story.row("meter", 1), ten + 5 * HOUR) == hour + 12
    story.report(4, hour + 12, hour + 13, available=14_400, due=28_800, at=ten + 5 * HOUR)
    story.report(5, hour + 14, hour + 15, available=21_600, due=21_600, at=ten + 6 * HOUR)
    first = settle(story, ten + 9 * HOUR)
    assert story.row("lease", 1)["settled_until"] == ten + 2 * HOUR, "hour 12 is posted but not final"

    rest = settle(story, ten + 12 * HOUR)

    assert [a + b for a, b in zip(first, rest, strict=True)] == [58_333_333, 583_333, 34_650_000, 23_100_000]
    lease = story.row("lease", 1)
    assert (lease["available"], lease["due"], lease["penalty"]) == (84_000, 98_400, 13_975_000)
    assert lease["code"] == 7
    assert collect(story, BUYER, ten + 13 * HOUR) == 55_641_667
    payouts = [row for table, row in story.state.appends if table == "payout"]
    assert [(row["kind"], row["account"], row["amount"]) for row in payouts] == [("collect", BUYER, 55_641_667)]
    assert "escrow:lease/1" not in story.trial_balance()
    assert not [posting for posting in story.state.postings if posting.account.startswith("unsolicited")]
