"""Books against chain, block by block."""

import pytest

from indexer.reconcile import Reconciler, open_reconciler
from indexer.settings import Settings
from tests.indexer.conftest import follow_once, following, rows, to_tip
from tests.indexer.market import HOUR, USD, Market
from tests.indexer.proxy import RefusalError, proxy


def all_blocks(reconciler: Reconciler) -> list:
    found = []
    while results := reconciler.step():
        found += results
    return found


def test_every_block_is_compared_with_something_and_nothing_differs(market: Market, settings: Settings):
    market.story()
    market.mine(3)
    follow_once(settings)
    with open_reconciler(settings) as reconciler:
        results = all_blocks(reconciler)
        assert [result.block for result in results] == list(range(1, market.height() + 1))
        assert all(result.passed for result in results), [result for result in results if not result.passed]
        assert max(result.accounts_compared for result in results) >= 5
        assert reconciler.step() == [], "each block once"
    assert rows(settings, "SELECT count(*) FROM desk.reconciliation WHERE accounts_compared > 0") == [
        (market.height(),)
    ]


def test_it_goes_on_where_it_stopped_and_sweeps_on_its_way(market: Market, settings: Settings):
    market.story()
    market.mine(20)
    follow_once(settings)
    often = settings.model_copy(update={"sweep_blocks": 16})
    with open_reconciler(often) as reconciler:
        first = reconciler.step()
    with open_reconciler(often) as reconciler:
        rest = all_blocks(reconciler)
    results = first + rest
    assert [each.block for each in results if each.kind == "block"] == list(range(1, market.height() + 1))
    sweeps = [each for each in results if each.kind == "sweep"]
    assert [each.block for each in sweeps] == list(range(16, market.height() + 1, 16))
    assert all(each.passed for each in sweeps)


def test_no_sweep_is_lost_by_a_kill_between_two_results(
    market: Market, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    market.mine(4)
    follow_once(settings)
    often = settings.model_copy(update={"sweep_blocks": 2})
    keep = Reconciler._keep
    for killed_at in range(2, 8):  # each result is once the first that is not kept
        kept: list = []

        def kill(self: Reconciler, found, kept: list = kept, last: int = killed_at) -> None:
            if len(kept) == last - 1:
                raise KeyboardInterrupt
            kept.append(found)
            keep(self, found)

        rows(settings, "DELETE FROM desk.reconciliation RETURNING 1")
        monkeypatch.setattr(Reconciler, "_keep", kill)
        with open_reconciler(often) as reconciler, pytest.raises(KeyboardInterrupt):
            reconciler.step()
        monkeypatch.setattr(Reconciler, "_keep", keep)
        with open_reconciler(often) as reconciler:
            all_blocks(reconciler)
        swept = rows(settings, "SELECT block_number FROM desk.reconciliation WHERE kind = 'sweep' ORDER BY 1")
        assert swept == [(block,) for block in range(2, market.height() + 1, 2)]


def test_a_sweep_compares_every_kind_of_account(market: Market, settings: Settings):
    market.story()
    follow_once(settings)
    with open_reconciler(settings) as reconciler:
        result = reconciler.sweep()
    kinds = {name.split(":")[0] for (name,) in rows(settings, "SELECT name FROM mirror.account")}
    assert {"cash", "escrow", "bond", "credit", "fee", "pool", "payable", "unsolicited", "clearing", "revenue"} <= kinds
    compared = rows(
        settings,
        "SELECT count(*) FROM mirror.account "
        "WHERE split_part(name, ':', 1) IN ('cash', 'escrow', 'bond', 'credit', 'fee', 'payable', 'deferred')",
    )[0][0]
    assert result.passed
    assert result.accounts_compared == compared + 2  # and what each contract owes in all


def test_a_part_that_a_blocklisted_clone_refused_is_in_the_books(market: Market, settings: Settings):
    site = market.site()
    share = market.shares(site)
    lease = market.lease(market.listing(site))
    market.wait(3 * HOUR)
    market.report(site, lease, 2)
    market.wait(7 * HOUR)
    market.usd.send(market.admin, "blacklist", share.address)
    market.book.send(market.stranger, "settle", lease)
    with following(settings) as follower, open_reconciler(settings) as reconciler:
        to_tip(follower)
        assert rows(
            settings,
            "SELECT amount > 0 FROM mirror.balance b JOIN mirror.account a ON a.id = b.account "
            "WHERE a.name = 'deferred:site/1'",
        ) == [(False,)], "a liability: credit"
        assert all(result.passed for result in all_blocks(reconciler))
        market.usd.send(market.admin, "unBlacklist", share.address)
        market.book.send(market.stranger, "pushShares", site)
        to_tip(follower)
        assert all(result.passed for result in all_blocks(reconciler))
        assert reconciler.sweep().passed


def test_a_block_whose_state_is_gone_has_not_passed(market: Market, settings: Settings):
    market.site()
    follow_once(settings)
    with proxy(market.node.url) as between:

        def pruned(method, params, result):
            if method == "eth_call":
                raise RefusalError("missing trie node")
            return result

        between.tamper = pruned
        with open_reconciler(settings.model_copy(update={"rpc_url": between.url})) as reconciler:
            results = all_blocks(reconciler)
    assert results
    assert not any(result.passed for result in results)
    assert {result.accounts_compared for result in results} == {0}
    assert all("state_unavailable" in result.error and "missing trie node" in result.error for result in results)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_chain_that_holds_other_cash_is_a_difference(market: Market, settings: Settings, off: int):
    market.site(bond=77 * USD)
    follow_once(settings)
    with proxy(market.node.url) as between:

        def other(method, params, result):
            if method == "eth_call" and params[0]["data"].startswith("0x70a08231") and int(result, 16):
                return hex(int(result, 16) + off)
            return result

        between.tamper = other
        with open_reconciler(settings.model_copy(update={"rpc_url": between.url})) as reconciler:
            wrong = [result for result in all_blocks(reconciler) if not result.passed]
    assert [difference["account"] for difference in wrong[-1].differences] == ["cash:leasebook"]
    assert wrong[-1].differences[0]["books"] == str(77 * USD)
    assert wrong[-1].differences[0]["chain"] == str(77 * USD + off)
