"""The books catch what is missing, changed or swapped, and name the account."""

from collections.abc import Callable
from typing import Any

import pytest

from indexer.fold import FoldBreach, Log, journal
from indexer.fold.journal import Journal
from indexer.fold.state import State
from tests.indexer.fold_kit import (
    DAY,
    HOUR,
    LEASEBOOK,
    OWNER,
    SHARE,
    STRANGER,
    TENANT,
    TOKEN,
    Story,
    book,
    cash,
    share,
)

MILLION = 1_000_000


def settled(rent: int = 100 * MILLION, *, shares: int = 60 * MILLION, deferred: bool = False) -> list[Any]:
    """A settlement of lease 1 whose shares' part goes to the clone, or waits."""
    fee = rent // 100
    tale = [
        book(
            "LeaseSettled",
            leaseId=1,
            siteId=1,
            owner=OWNER,
            settledUntil=DAY + 15 * HOUR,
            available=144_000,
            due=144_000,
            fee=fee,
            shares=shares,
            ownerPart=rent - fee - shares,
            rentTotal=rent,
            unsharedNet=0,
        )
    ]
    if deferred:
        return [*tale, book("SharesDeferred", siteId=1, leaseId=1, amount=shares, pending=shares)]
    return [*tale, distributed(shares, source=0, payer=LEASEBOOK), cash(LEASEBOOK, SHARE, shares)]


def distributed(amount: int, *, source: int, payer: str, owed: int | None = None) -> Any:
    return share(
        "Distributed",
        payer=payer,
        source=source,
        ref=1,
        amount=amount,
        index=0,
        indexEnd=amount * 10**12,
        streamStart=DAY,
        streamEnd=DAY + 86_400,
        owed=amount if owed is None else owed,
    )


@pytest.fixture
def story() -> Story:
    story = Story()
    story.opened_site()
    story.issue()
    story.open(480 * MILLION, at=DAY + 10 * HOUR)
    return story


def breach_of(story: Story, *tale: Any, change: Callable[[list[Log]], list[Log]] = lambda logs: logs) -> FoldBreach:
    """Fold one transaction after `change` tampered with its logs, and return the breach."""
    logs = change(story.told(*tale))
    with pytest.raises(FoldBreach) as caught:
        story.fold.fold_block(story.state, logs)
    assert caught.value.block == story.block
    assert caught.value.tx_hash == "0x" + f"{story.block:064x}"
    assert f"block {story.block}" in str(caught.value)
    return caught.value


def change_cash(log: Log, by: int) -> Log:
    """Change the amount of a token's Transfer."""
    return log._replace(data=(int.from_bytes(log.data) + by).to_bytes(32))


# ------------------------------------------------------------------------------------------------ what is right passes


def test_every_entry_sums_to_zero_and_each_posting_shows_its_balance(story: Story) -> None:
    story.tx(*settled())
    entries: dict[tuple[int, int, str], int] = {}
    balances: dict[tuple[str, str], int] = {}
    for posting in story.state.postings:
        entries[posting.block, posting.log_index, posting.token] = (
            entries.get((posting.block, posting.log_index, posting.token), 0) + posting.amount
        )
        balances[posting.account, posting.token] = balances.get((posting.account, posting.token), 0) + posting.amount
        assert posting.balance == balances[posting.account, posting.token]
    assert set(entries.values()) == {0}
    ordinals = [posting.ordinal for posting in story.state.postings if posting.block == story.block]
    assert ordinals[:6] == [0, 1, 2, 3, 4, 5]


def test_revenue_is_turnover_and_no_balance(story: Story) -> None:
    story.tx(*settled())
    lines = [posting for posting in story.state.postings if posting.account == "revenue:site/1/lease"]
    assert [(line.amount, line.balance) for line in lines] == [(-100 * MILLION, -100 * MILLION), (100 * MILLION, 0)]
    story.tx(distributed(7, source=2, payer=STRANGER, owed=60 * MILLION + 7), cash(STRANGER, SHARE, 7))
    lines = [posting for posting in story.state.postings if posting.account == "revenue:site/1/demand_response"]
    assert [line.amount for line in lines] == [-7, 7]


def test_what_a_clone_refuses_waits_and_is_pushed_later(story: Story) -> None:
    story.tx(*settled(deferred=True))
    assert story.row("site", 1)["pending_shares"] == story.owed("deferred:site/1") == 60 * MILLION
    assert story.row("owed", LEASEBOOK, TOKEN)["amount"] == 10_000_000_000 + 480 * MILLION
    story.tx(
        book("SharesPushed", siteId=1, amount=60 * MILLION),
        distributed(60 * MILLION, source=0, payer=LEASEBOOK),
        cash(LEASEBOOK, SHARE, 60 * MILLION),
    )
    assert story.row("site", 1)["pending_shares"] == story.owed("deferred:site/1") == 0
    assert story.owed("pool:offering/1") == story.row("offering", SHARE)["owed"] == 60 * MILLION


def test_a_strangers_coin_is_unsolicited_and_no_alarm(story: Story) -> None:
    story.tx(cash(STRANGER, LEASEBOOK, 5))
    story.tx(distributed(9, source=1, payer=STRANGER), cash(STRANGER, SHARE, 9), cash(STRANGER, SHARE, 2))
    assert story.owed("unsolicited:leasebook") == 5
    assert story.owed("unsolicited:offering/1") == 2
    last = story.state.postings[-1]
    assert (last.account, last.log_index) == ("unsolicited:offering/1", 2)
    assert story.trial_balance()["cash:offering/1"] == 11


def test_transfers_among_strangers_leave_no_trace(story: Story) -> None:
    before = len(story.state.postings)
    story.tx(cash(STRANGER, TENANT, 5))
    assert len(story.state.postings) == before


def test_credits_fees_and_bonds_leave_by_their_events(story: Story) -> None:
    story.tx(*settled())
    credit, fee = 39 * MILLION, MILLION
    story.tx(
        book("CreditWithdrawn", token=TOKEN, account=OWNER, to=STRANGER, amount=credit),
        cash(LEASEBOOK, STRANGER, credit),
    )
    story.tx(book("FeesWithdrawn", token=TOKEN, to=STRANGER, amount=fee), cash(LEASEBOOK, STRANGER, fee))
    story.tx(
        book("BondWithdrawn", siteId=1, to=OWNER, amount=1_000_000_000, bond=9_000_000_000),
        cash(LEASEBOOK, OWNER, 1_000_000_000),
    )
    assert story.row("credit", TOKEN, OWNER)["amount"] == story.row("fees", TOKEN)["amount"] == 0
    owed = story.row("owed", LEASEBOOK, TOKEN)["amount"]
    assert owed == story.trial_balance()["cash:leasebook"] == 9_000_000_000 + 380 * MILLION
    payouts = [row for table, row in story.state.appends if table == "payout"]
    assert [(row["kind"], row["account"], row["subject"]) for row in payouts] == [
        ("credit", OWNER, ""),
        ("fees", LEASEBOOK, ""),
        ("bond", OWNER, "site/1"),
    ]


def test_a_reclaim_moves_compensation_from_bond_to_escrow(story: Story) -> None:
    end = DAY + 16 * HOUR
    bond, locked, paid = 10_000_000_000, 400 * MILLION, 36 * MILLION
    story.tx(
        book(
            "LeaseReclaimed",
            leaseId=1,
            by=OWNER,
            code=10_001,
            end=end,
            compensation=paid,
            bond=bond - paid,
            lockedBond=locked - paid,
        )
    )
    lease, site = story.row("lease", 1), story.row("site", 1)
    assert (lease["end_at"], lease["code"], lease["bond_locked"]) == (end, 10_001, locked - paid)
    assert (site["bond"], site["locked_bond"]) == (bond - paid, locked - paid)
    assert story.owed("escrow:lease/1") == 480 * MILLION + paid
    assert story.owed("bond:site/1") == bond - paid


# ------------------------------------------------------------------------------------------------- what is wrong halts


def test_an_amount_changed_by_one_names_the_clearing_account(story: Story) -> None:
    tale = [book("BondPosted", siteId=1, payer=OWNER, amount=5, bond=10_000_000_005), cash(OWNER, LEASEBOOK, 5)]
    breach = breach_of(story, *tale, change=lambda logs: [logs[0], change_cash(logs[1], -1)])
    assert (breach.account, breach.amount) == ("clearing:leasebook", 1)


def test_one_unit_too_much_is_a_gift_that_only_the_chain_can_deny(story: Story) -> None:
    tale = [book("BondPosted", siteId=1, payer=OWNER, amount=5, bond=10_000_000_005), cash(OWNER, LEASEBOOK, 5)]
    logs = story.told(*tale)
    story.fold.fold_block(story.state, [logs[0], change_cash(logs[1], 1)])
    assert story.owed("unsolicited:leasebook") == 1, "reconciliation compares cash:leasebook with balanceOf"


def test_cash_that_an_event_promised_and_that_did_not_come(story: Story) -> None:
    tale = [book("BondPosted", siteId=1, payer=OWNER, amount=5, bond=10_000_000_005), cash(OWNER, LEASEBOOK, 5)]
    breach = breach_of(story, *tale, change=lambda logs: logs[:1])
    assert (breach.account, breach.amount) == ("clearing:leasebook", 5)


def test_cash_that_left_without_an_event(story: Story) -> None:
    breach = breach_of(story, cash(LEASEBOOK, STRANGER, 1))
    assert (breach.account, breach.amount) == ("clearing:leasebook", 1)


def test_more_cash_leaves_a_clone_than_it_has(story: Story) -> None:
    breach = breach_of(story, cash(SHARE, STRANGER, 1))
    assert breach.account == "cash:offering/1"


def test_a_dropped_payment_shows_at_the_next_event_of_its_account(story: Story) -> None:
    breach = breach_of(
        story, book("BondPosted", siteId=1, payer=OWNER, amount=5, bond=10_000_000_008), cash(OWNER, LEASEBOOK, 5)
    )
    assert (breach.account, breach.amount) == ("bond:site/1", 3)


def test_a_skipped_opening_names_the_lease(story: Story) -> None:
    tale = book("LeaseFunded", leaseId=2, payer=TENANT, amount=1, deposited=2, end=DAY)
    assert "no lease 2" in str(breach_of(story, tale))


def test_a_skipped_funding_names_the_escrow(story: Story) -> None:
    tale = [
        book("LeaseFunded", leaseId=1, payer=TENANT, amount=1, deposited=480 * MILLION + 2, end=DAY + 34 * HOUR),
        cash(TENANT, LEASEBOOK, 1),
    ]
    assert breach_of(story, *tale).account == "escrow:lease/1"


def test_a_skipped_opening_shows_in_the_locked_bond(story: Story) -> None:
    story.state.change("site", (1,), locked_bond=0)
    tale = book("LeaseFinalised", leaseId=1, siteId=1, code=20_000, penalty=0, bond=10_000_000_000, lockedBond=0)
    breach = breach_of(story, tale)
    assert (breach.account, breach.amount) == ("bond:site/1", 400 * MILLION)


def test_a_changed_settlement_names_the_escrow(story: Story) -> None:
    def one_more_for_the_owner(logs: list[Log]) -> list[Log]:
        words = [logs[0].data[i : i + 32] for i in range(0, len(logs[0].data), 32)]
        words[5] = (int.from_bytes(words[5]) + 1).to_bytes(32)
        return [logs[0]._replace(data=b"".join(words)), *logs[1:]]

    breach = breach_of(story, *settled(), change=one_more_for_the_owner)
    assert (breach.account, breach.amount) == ("escrow:lease/1", -1)


def test_a_skipped_distribution_names_the_pool(story: Story) -> None:
    breach = breach_of(story, distributed(9, source=1, payer=STRANGER, owed=10), cash(STRANGER, SHARE, 9))
    assert (breach.account, breach.amount) == ("pool:offering/1", 1)


def sabotage(monkeypatch: pytest.MonkeyPatch, change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
    """Let every entry of the journal be changed before it is posted."""
    honest = Journal.entry
    monkeypatch.setattr(Journal, "entry", lambda self, log, token, *lines: honest(self, log, token, *change(lines)))


def test_swapped_accounts_name_the_account(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    swap = {"escrow:lease/1": "escrow:lease/2"}
    sabotage(monkeypatch, lambda lines: tuple((swap.get(account, account), amount) for account, amount in lines))
    breach = breach_of(story, *settled())
    assert breach.account == "escrow:lease/2"
    assert breach.amount == 100 * MILLION


def test_a_credit_posted_to_another_is_found_when_it_is_drawn(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    swap = {f"credit:{OWNER}": f"credit:{STRANGER}"}
    with monkeypatch.context() as patch:
        sabotage(patch, lambda lines: tuple((swap.get(account, account), amount) for account, amount in lines))
        story.tx(*settled())
    amount = 39 * MILLION
    tale = [
        book("CreditWithdrawn", token=TOKEN, account=OWNER, to=OWNER, amount=amount),
        cash(LEASEBOOK, OWNER, amount),
    ]
    breach = breach_of(story, *tale)
    assert (breach.account, breach.amount) == (f"credit:{OWNER}", amount)


def test_a_posting_off_by_one_names_its_entry(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch, lambda lines: ((lines[0][0], lines[0][1] + 1), *lines[1:]))
    breach = breach_of(story, *settled())
    assert "does not sum to zero" in breach.reason
    assert breach.account.startswith("escrow:lease/1, revenue:site/1/lease")
    assert breach.amount == 1


def test_two_postings_off_by_one_name_the_balance(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(lines: tuple[Any, ...]) -> tuple[Any, ...]:
        return ((lines[0][0], lines[0][1] + 1), *lines[1:-1], (lines[-1][0], lines[-1][1] - 1))

    sabotage(monkeypatch, shifted)
    assert breach_of(story, *settled()).account == "escrow:lease/1"


def test_a_transit_account_must_not_keep_a_balance() -> None:
    state = State(lambda table, keys: {}, {})
    with pytest.raises(FoldBreach, match="transit account is not zero"):
        Journal(state).entry(LOG, TOKEN, ("revenue:site/1/lease", -5), ("clearing:leasebook", 5))


def test_an_account_outside_the_chart_is_refused() -> None:
    state = State(lambda table, keys: {}, {})
    with pytest.raises(FoldBreach, match="no such account"):
        Journal(state).entry(LOG, TOKEN, ("slush:fund", -5), ("clearing:leasebook", 5))


def test_every_account_of_the_chart_is_made_by_a_function_of_the_journal() -> None:
    made = [
        journal.cash("leasebook"),
        journal.clearing("leasebook"),
        journal.escrow(7),
        journal.bond(3),
        journal.credit(OWNER),
        journal.FEE,
        journal.deferred(3),
        journal.pool("offering/3"),
        journal.payable("offering/3", OWNER),
        journal.revenue(3, "mining"),
        journal.sla(3),
        journal.compensation(3),
        journal.unsolicited("leasebook"),
    ]
    assert len({name.partition(":")[0] for name in made}) == len(made)
    assert all(name.partition(":")[0] in (journal.__doc__ or "") for name in made)


LOG = Log(1, 0, 0, "0x", DAY, LEASEBOOK, (), b"")
