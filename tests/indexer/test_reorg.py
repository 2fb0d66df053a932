"""Chains that change their mind: after each, the mirror is what a fresh one would be."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from indexer.errors import Halted, RpcError
from indexer.reconcile import open_reconciler
from indexer.settings import Settings
from scripts.launch import anvil
from tests.indexer.conftest import SLOWNESS, await_block, faults, follow_once, following, process, rows, to_tip
from tests.indexer.market import USD, Market, environment


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    """A chain of its own: `anvil_reorg` loses the state of blocks before an `evm_revert`."""
    with anvil(accounts=10) as node:
        yield Market(node, tmp_path)


def replace(market: Market, blocks: int) -> None:
    """Replace the last blocks by as many empty ones."""
    before = market.head()
    market.node.rpc("anvil_reorg", blocks, [])
    after = market.head()
    assert after["number"] == before["number"]
    assert after["hash"] != before["hash"]


def busy(market: Market) -> int:
    """A site with shares, and a lease."""
    site = market.site()
    market.shares(site)
    market.lease(market.listing(site))
    return site


def test_a_tip_replaced_at_the_same_height(market: Market, settings: Settings):
    with following(settings) as follower:
        busy(market)
        to_tip(follower)
        leases = rows(settings, "SELECT count(*) FROM mirror.lease")
        replace(market, 1)
        to_tip(follower)
        assert rows(settings, "SELECT count(*) FROM mirror.lease") == [(leases[0][0] - 1,)]
    assert faults(settings) == []
    assert rows(settings, "SELECT ancestor, old_number, logs FROM desk.reorg") == [
        (market.height() - 1, market.height(), 3)
    ]
    # what was taken back is kept: LeaseOpened, the lease token's Transfer, and the deposit's
    assert rows(settings, "SELECT count(*), min(block_number) FROM desk.orphan_log") == [(3, market.height())]


def test_a_tip_that_goes_down(market: Market, settings: Settings):
    with following(settings) as follower:
        site = busy(market)
        snapshot = market.node.rpc("evm_snapshot")
        market.lease(1)
        market.share(site).send(market.owner, "transfer", market.investor, 10**22)
        to_tip(follower)
        market.node.rpc("evm_revert", snapshot)
        to_tip(follower)
        assert follower.cursor().number == market.height()
        assert rows(settings, "SELECT count(*) FROM mirror.lease") == [(1,)]
        market.share(site).send(market.owner, "transfer", market.investor, 10**21)
        to_tip(follower)
    assert faults(settings) == []


def test_ten_blocks_replaced_are_mended_in_a_quarter_of_a_second(market: Market, settings: Settings):
    with following(settings) as follower:
        site = busy(market)
        for number in range(10):
            market.share(site).send(market.stranger, "distribute", (number + 1) * USD, 1, number)
        to_tip(follower)
        replace(market, 10)
        began = time.monotonic()
        to_tip(follower)
        took = time.monotonic() - began
    assert faults(settings) == []
    assert rows(settings, "SELECT count(*) FROM mirror.distribution") == [(0,)]
    assert rows(
        settings, "SELECT action, to_block - from_block + 1 FROM desk.cursor_log ORDER BY seq DESC LIMIT 2"
    ) == [
        ("applied", 10),
        ("rolled_back", 10),
    ]
    assert took < 0.25 * SLOWNESS, f"mended in {took:.3f} s"


def test_a_clones_creation_taken_back_and_made_again(market: Market, settings: Settings):
    with following(settings) as follower:
        site = market.site()
        to_tip(follower)
        snapshot = market.node.rpc("evm_snapshot")
        share = market.shares(site)
        share.send(market.owner, "transfer", market.investor, 10**23)
        share.send(market.stranger, "distribute", 9 * USD, 1, 0)
        to_tip(follower)
        market.node.rpc("evm_revert", snapshot)
        market.usd.send(market.stranger, "transfer", share.address, 3)  # to nobody: there is no clone now
        market.mine(8)
        to_tip(follower)
        assert rows(settings, "SELECT count(*) FROM mirror.offering") == [(0,)]
        assert rows(settings, "SELECT count(*) FROM mirror.account WHERE name LIKE '%offering%'") == [(0,)]
        again = market.shares(site)
        assert again.address == share.address
        again.send(market.stranger, "distribute", 4 * USD, 2, 0)
        to_tip(follower)
    assert faults(settings) == []
    with open_reconciler(settings) as reconciler:
        while results := reconciler.step():
            assert all(result.passed for result in results), results


def test_a_reorg_while_it_was_down_is_seen_at_start(market: Market, settings: Settings):
    busy(market)
    follow_once(settings)
    replace(market, 3)
    follow_once(settings)
    assert faults(settings) == []
    assert rows(settings, "SELECT count(*) FROM desk.reorg") == [(1,)]


def test_reorg_upon_reorg(market: Market, settings: Settings):
    with following(settings) as follower:
        site = busy(market)
        for depth in (1, 4, 2, 6, 1):
            market.share(site).send(market.stranger, "distribute", depth * USD, 1, 0)
            market.mine(depth)
            to_tip(follower)
            replace(market, depth + 1)
            market.usd.send(market.stranger, "transfer", market.book.address, depth)
            to_tip(follower)
    assert faults(settings) == []
    # the outbox tells each step: whoever applies and retracts its ranges is where the mirror is
    height = 0
    for action, first, last in rows(settings, "SELECT action, from_block, to_block FROM desk.cursor_log ORDER BY seq"):
        if action == "applied":
            assert first == height + 1 or height == 0
            height = last
        else:
            assert last == height
            height = first - 1
    assert height == market.height()


def test_results_for_blocks_that_are_gone_do_not_count(market: Market, settings: Settings):
    from indexer.status import status
    from indexer.store import connect

    busy(market)
    with following(settings) as follower, open_reconciler(settings) as reconciler:
        to_tip(follower)
        while reconciler.step():
            pass
        replace(market, 5)
        to_tip(follower)
        with connect(settings.database_url) as connection:
            assert status(connection, 31337)["reconciliation"]["block"]["blocks_compared"] == market.height() - 5
            while reconciler.step():
                pass
            assert status(connection, 31337)["reconciliation"]["block"]["blocks_compared"] == market.height()


def test_killed_inside_a_rollback_it_finishes_the_rollback_at_start(market: Market, settings: Settings):
    with process(settings, "--no-reconcile") as follower:
        busy(market)
        await_block(settings, market.height())
        with psycopg.connect(settings.database_url) as holding:
            holding.execute("SELECT 1 FROM mirror.cursor FOR UPDATE")  # the rollback's last statement waits for this
            replace(market, 5)
            deadline = time.monotonic() + 10
            ours = "application_name = 'drakewell-indexer' AND wait_event = 'transactionid'"
            waiting = f"SELECT 1 FROM pg_stat_activity WHERE {ours}"
            while not rows(settings, waiting):
                assert time.monotonic() < deadline, "no rollback is under way"
                time.sleep(0.01)
            follower.kill()
            follower.wait()
    assert rows(settings, "SELECT count(*) FROM desk.reorg") == [(0,)], "nothing of half a rollback is left"
    follow_once(settings)
    assert faults(settings) == []
    assert rows(settings, "SELECT count(*) FROM desk.reorg") == [(1,)]


@pytest.fixture
def final(tmp_path, database):
    """A market on a chain whose finalized block is two behind its head."""
    with anvil(accounts=10, slots_in_an_epoch=1) as node:
        market = Market(node, tmp_path)
        yield (
            market,
            Settings(database_url=database, rpc_url=node.url, deployment=market.file, ws_url="", rpc_attempts=2),
        )


def test_past_finality_it_halts_and_stays_halted(final: tuple[Market, Settings]):
    market, settings = final
    with following(settings) as follower:
        busy(market)
        to_tip(follower)
        market.mine(3)
        to_tip(follower)
        before = rows(settings, "SELECT block_hash FROM mirror.cursor")
        replace(market, 8)
        with pytest.raises(Halted, match="reorganised past finality"):
            to_tip(follower)
    assert rows(settings, "SELECT block_hash FROM mirror.cursor") == before, "nothing was repaired silently"
    assert "past finality" in rows(settings, "SELECT halted FROM desk.follower")[0][0]
    with pytest.raises(Halted), following(settings):
        pass
    again = subprocess.run(
        [sys.executable, "-m", "indexer", "follow"],
        env=environment(settings.database_url, market),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert again.returncode == 3
    assert "python -m indexer reset" in again.stderr


def test_a_node_that_is_behind_is_waited_for_and_not_rolled_back_to(final: tuple[Market, Settings]):
    market, settings = final
    with following(settings) as follower:
        busy(market)
        snapshot = market.node.rpc("evm_snapshot")
        market.node.rpc("anvil_mine", "0x6")
        to_tip(follower)
        held = follower.cursor()
        market.node.rpc(
            "evm_revert", snapshot
        )  # as a node that has not caught up: less than was finalized, all of it ours
        with pytest.raises(RpcError, match="the node is behind"):
            to_tip(follower)
        assert follower.cursor() == held
    assert rows(settings, "SELECT halted FROM desk.follower") == [(None,)]


def test_finalized_is_never_lowered(final: tuple[Market, Settings]):
    market, settings = final
    with following(settings) as follower:
        market.mine(5)
        to_tip(follower)
        highest = follower.desk.finalized()
        follower.desk.remember_tip((9, 9), 1, (1, "0x1"))
        assert follower.desk.finalized() == highest


def test_events_that_contradict_the_books_halt_the_chain(market: Market, settings: Settings):
    busy(market)
    follow_once(settings)
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("DELETE FROM mirror.lease")
    market.book.send(market.tenant, "close", 1, 7)
    with following(settings) as follower, pytest.raises(Halted, match="no lease 1"):
        to_tip(follower)
    with pytest.raises(Halted, match="no lease 1"), following(settings):
        pass


def test_the_follower_knows_its_way_back_over_many_blocks(market: Market, settings: Settings):
    with following(settings) as follower:
        busy(market)
        market.mine(40)
        to_tip(follower)
        replace(market, 44)  # the lease and the listing go as well
        to_tip(follower)
    assert faults(settings) == []
