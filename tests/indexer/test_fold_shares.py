"""Streams and holdings: what was distributed is claimed, claimable, unstreamed or dust, whoever transfers when."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import formulas
from indexer.fold import FoldBreach
from tests.indexer.fold_kit import HOLDER, NOBODY, OWNER, SHARE, STRANGER, SUPPLY, TOKEN, Story, cash, share

HOLDERS = [OWNER, HOLDER, STRANGER]


class Market(Story):
    """An offering whose clone emits what the contract's formulas say."""

    def __init__(self) -> None:
        super().__init__()
        self.opened_site()
        self.issue()
        #: A plain model beside it: what each holder earned, exact, by walking every distribution's seconds.
        self.exact = dict.fromkeys(HOLDERS, Fraction(0))
        self.claims = dict.fromkeys(HOLDERS, 0)
        self.steps = 0

    @property
    def offering(self) -> dict[str, Any]:
        return self.row("offering", SHARE)

    def holding(self, account: str) -> dict[str, Any]:
        empty = {"balance": 0, "paid_index": 0, "accrued": 0}
        return self.state.get("holding", (SHARE, account)) or empty

    def claimable(self, account: str) -> int:
        return formulas.claimable(self.offering, self.holding(account), self.time)

    def wait(self, seconds: int) -> None:
        before = formulas.index(self.offering, self.time)
        self.time += seconds
        after = formulas.index(self.offering, self.time)
        assert after >= before, "the index never falls"
        for account in HOLDERS:
            self.exact[account] += Fraction(self.holding(account)["balance"] * (after - before), formulas.INDEX_SCALE)

    def distribute(self, amount: int) -> None:
        line = formulas.distributed(self.offering, amount, self.time)
        self.tx(
            share(
                "Distributed",
                payer=STRANGER,
                source=1,
                ref=0,
                amount=amount,
                index=line.index_now,
                indexEnd=line.index_end,
                streamStart=line.stream_start,
                streamEnd=line.stream_end,
                owed=self.offering["owed"] + amount,
            ),
            cash(STRANGER, SHARE, amount),
        )
        self.steps += 1

    def move(self, sender: str, receiver: str, value: int) -> None:
        before = {account: self.claimable(account) for account in HOLDERS}
        self.tx(share("Transfer", **{"from": sender, "to": receiver, "value": value}))
        assert before == {account: self.claimable(account) for account in HOLDERS}, "a transfer changes no claimable"
        self.steps += 2

    def claim(self, account: str) -> None:
        amount = self.claimable(account)
        if not amount:
            return
        owed = self.offering["owed"] - amount
        self.tx(share("Claimed", account=account, to=account, amount=amount, owed=owed), cash(SHARE, account, amount))
        assert self.claimable(account) == 0
        self.claims[account] += amount
        self.steps += 1

    def check(self) -> None:
        offering = self.offering
        claimable = sum(self.claimable(account) for account in HOLDERS)
        rest = offering["distributed"] - offering["claimed"] - claimable - formulas.unstreamed(offering, self.time)
        # Each attribution rounds down by less than a unit, each distribution's index by less than a unit in all.
        assert 0 <= rest <= 2 * self.steps + len(HOLDERS) + 1
        assert offering["owed"] == offering["distributed"] - offering["claimed"]
        assert offering["owed"] == self.row("owed", SHARE, TOKEN)["amount"]
        payables = {account: self.owed(f"payable:offering/1/{account}") for account in HOLDERS}
        assert payables == {account: self.holding(account)["accrued"] for account in HOLDERS}
        assert self.owed("pool:offering/1") + sum(payables.values()) == offering["owed"]
        assert self.state.balance("cash:offering/1", TOKEN) == offering["owed"]
        assert sum(self.holding(account)["balance"] for account in HOLDERS) == offering["supply"]
        for account in HOLDERS:
            paid = self.claims[account] + self.claimable(account)
            assert self.exact[account] - self.steps - 1 <= paid <= self.exact[account]


SECONDS = st.one_of(st.integers(0, 5), st.integers(0, 3 * 86_400))
AMOUNTS = st.one_of(st.integers(1, 50), st.integers(1, 10**13))
ACTIONS = st.one_of(
    st.tuples(st.just("wait"), SECONDS),
    st.tuples(st.just("distribute"), AMOUNTS),
    st.tuples(st.just("move"), st.sampled_from(HOLDERS), st.sampled_from(HOLDERS), st.integers(0, 10**4)),
    st.tuples(st.just("claim"), st.sampled_from(HOLDERS)),
)


@given(st.lists(ACTIONS, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_distributed_is_claimed_claimable_unstreamed_or_dust(actions: list[tuple[Any, ...]]) -> None:
    market = Market()
    for action, *args in actions:
        if action == "move":
            sender, receiver, parts = args
            market.move(sender, receiver, market.holding(sender)["balance"] * parts // 10**4)
        else:
            getattr(market, action)(*args)
        market.check()


def test_buying_just_before_a_payment_gains_nothing() -> None:
    market = Market()
    market.distribute(1_000_000)
    market.wait(86_400)
    market.move(OWNER, HOLDER, SUPPLY // 2)
    market.distribute(1_000_000)
    assert (market.claimable(OWNER), market.claimable(HOLDER)) == (1_000_000, 0)
    market.wait(43_200)
    assert (market.claimable(OWNER), market.claimable(HOLDER)) == (1_250_000, 250_000)


def test_dust_stretches_no_stream() -> None:
    market = Market()
    market.distribute(1_000_000)
    market.wait(86_000)
    end = market.offering["stream_end"]
    market.distribute(1)
    assert market.offering["stream_end"] - end < 20


def test_a_self_transfer_changes_nothing_but_what_is_attributed() -> None:
    market = Market()
    market.distribute(1_000)
    market.wait(43_200)
    market.move(OWNER, OWNER, SUPPLY)
    assert market.holding(OWNER) == {
        "share": SHARE,
        "account": OWNER,
        "balance": SUPPLY,
        "paid_index": market.offering["index_end"] // 2,
        "accrued": 500,
        "frozen": 0,
        "claimed": 0,
    }


def test_a_lost_wallet_takes_what_it_earned_along() -> None:
    market = Market()
    market.distribute(1_000)
    market.wait(86_400)
    market.tx(
        share("Frozen", account=OWNER, amount=SUPPLY // 4),
        share("Transfer", **{"from": OWNER, "to": HOLDER, "value": SUPPLY // 2}),
        share("ClaimableMoved", **{"from": OWNER, "to": HOLDER, "amount": 1_000}),
        share("ForcedTransfer", **{"from": OWNER, "to": HOLDER, "amount": SUPPLY // 2}),
    )
    assert (market.claimable(OWNER), market.claimable(HOLDER)) == (0, 1_000)
    assert market.owed(f"payable:offering/1/{HOLDER}") == 1_000
    assert market.holding(OWNER)["frozen"] == SUPPLY // 4


def test_a_claim_of_another_amount_names_the_holder() -> None:
    market = Market()
    market.distribute(1_000)
    market.wait(86_400)
    logs = market.told(share("Claimed", account=OWNER, to=OWNER, amount=999, owed=1), cash(SHARE, OWNER, 999))
    with pytest.raises(FoldBreach) as caught:
        market.fold.fold_block(market.state, logs)
    assert (caught.value.account, caught.value.amount) == (f"payable:offering/1/{OWNER}", -1)


def test_shares_that_nobody_had_name_the_holder() -> None:
    market = Market()
    with pytest.raises(FoldBreach) as caught:
        market.tx(share("Transfer", **{"from": HOLDER, "to": OWNER, "value": 3}))
    assert (caught.value.account, caught.value.amount) == (f"shares:offering/1/{HOLDER}", 3)


def test_a_mint_before_the_issue_is_announced_counts() -> None:
    """A clone may log before `SharesIssued` of its own transaction; nothing of it is lost."""
    story = Story()
    story.opened_site()
    issued, mint = story.issuing()
    story.tx(mint, issued)
    assert story.row("holding", SHARE, OWNER)["balance"] == SUPPLY
    assert [version.log_index for version in story.state.versions if version.table == "holding"] == [0]


def test_a_clones_log_without_an_issue_is_not_ours() -> None:
    story = Story()
    story.opened_site()
    story.tx(share("Transfer", **{"from": NOBODY, "to": OWNER, "value": SUPPLY}))
    story.issue()
    assert story.row("holding", SHARE, OWNER)["balance"] == SUPPLY, "the stray mint of an earlier block is left out"
