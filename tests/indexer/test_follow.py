"""Catching up and staying at the tip."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from indexer.dictionary import Dictionary
from indexer.errors import Locked, LostEpoch, WrongChain
from indexer.reconcile import open_reconciler
from indexer.reset import reset
from indexer.settings import Settings
from indexer.store import connect
from scripts.launch import anvil
from tests.indexer.conftest import SLOWNESS, await_block, faults, follow_once, following, process, rows, to_tip
from tests.indexer.market import USD, Market, environment


def test_a_whole_story_is_mirrored_and_no_table_is_empty(market: Market, settings: Settings):
    market.story()
    follow_once(settings)
    assert faults(settings, strict=True) == []


@pytest.mark.parametrize("blocks", [1, 5])
def test_how_blocks_are_cut_into_batches_changes_nothing(market: Market, settings: Settings, blocks: int):
    # block by block while the story runs, and once more in small ranges: the same rows and ids as fetched at once
    market.story()
    with following(settings.model_copy(update={"max_range": blocks})) as follower:
        follower.ranges.blocks = blocks
        to_tip(follower)
    assert faults(settings) == []


def test_following_at_the_tip_is_the_same_as_catching_up(market: Market, settings: Settings):
    with following(settings) as follower:
        to_tip(follower)
        site = market.site()
        to_tip(follower)
        market.shares(site)
        to_tip(follower)
        listing = market.listing(site)
        market.lease(listing)
        to_tip(follower)
        market.share(site).send(market.stranger, "distribute", 10 * USD, 1, 0)
        to_tip(follower)
    assert faults(settings) == []
    log = rows(settings, "SELECT action, from_block, to_block FROM desk.cursor_log ORDER BY seq")
    assert {action for action, _, _ in log} == {"applied"}
    assert [first for _, first, _ in log[1:]] == [last + 1 for _, _, last in log[:-1]], "no gap in the outbox"


@pytest.mark.parametrize("gap", [0, 1, 5])
def test_a_clone_is_read_from_its_first_log_whatever_range_it_falls_in(market: Market, settings: Settings, gap: int):
    site = market.site()
    before = market.height()
    share = market.shares(site)
    share.send(market.owner, "transfer", market.investor, 10**23)
    share.send(market.stranger, "distribute", 7 * USD, 2, 1)
    with following(settings.model_copy(update={"max_range": before - gap})) as follower:
        # the first range ends at or before the clone's block; the next was asked for meanwhile
        follower.ranges.blocks = before - gap
        to_tip(follower)
    assert faults(settings) == []
    assert rows(settings, "SELECT count(*) FROM mirror.holding") == [(2,)]


def test_a_coin_sent_before_a_clone_exists_is_no_difference(market: Market, settings: Settings):
    first = market.site()
    market.shares(first)
    second = market.site()
    snapshot = market.node.rpc("evm_snapshot")
    address = market.shares(second).address
    market.node.rpc("evm_revert", snapshot)
    market.usd.send(market.stranger, "transfer", address, 5)
    assert market.shares(second).address == address
    market.usd.send(market.stranger, "transfer", address, 2)
    follow_once(settings)
    assert faults(settings) == []
    with open_reconciler(settings) as reconciler:
        while results := reconciler.step():
            assert all(result.passed for result in results), results
    assert rows(settings, "SELECT account, amount FROM desk.opening WHERE amount > 0") == [("cash:offering/2", 5)]


def test_killed_by_minus_9_it_resumes_and_is_ready_in_two_seconds(market: Market, settings: Settings):
    with process(settings, "--no-reconcile") as first:
        site = market.site()
        await_block(settings, market.height())
        first.kill()
    market.shares(site)
    market.lease(market.listing(site))
    again = time.monotonic()
    with process(settings, "--no-reconcile") as second:
        took = time.monotonic() - again
        await_block(settings, market.height())
        second.send_signal(signal.SIGTERM)
        assert second.wait(10) == 0
    assert faults(settings) == []
    assert took < 2 * SLOWNESS, f"ready after {took:.2f} s"


def test_the_reconciler_beside_it_compares_every_block_and_dies_with_it(market: Market, settings: Settings):
    with process(settings) as follower:
        market.story()
        deadline = time.monotonic() + 20
        counted = (
            "SELECT count(*) FROM desk.reconciliation WHERE kind = 'block' AND error IS NULL AND differences = '[]'"
        )
        while rows(settings, counted) != [(market.height(),)]:
            assert time.monotonic() < deadline, rows(settings, counted)
            time.sleep(0.05)
        beside = subprocess.run(["pgrep", "-P", str(follower.pid)], capture_output=True, text=True, check=True)
        pid = Path("/proc") / beside.stdout.strip()
        assert b"reconcile" in (pid / "cmdline").read_bytes()
        follower.kill()
        follower.wait()
        deadline = time.monotonic() + 10
        while pid.exists():
            assert time.monotonic() < deadline, "the reconciler outlived the follower"
            time.sleep(0.01)


def test_status_says_where_everything_stands(market: Market, settings: Settings):
    follow_once(settings)
    done = subprocess.run(
        [sys.executable, "-m", "indexer", "status"],
        env=environment(settings.database_url, market),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["indexed_block"] == found["head_number"] == market.height()
    assert found["reconciliation"]["block"]["blocks_compared"] == 0


def test_a_mirror_of_another_fold_is_folded_again_and_swapped_in(market: Market, settings: Settings):
    market.story()
    follow_once(settings)
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("UPDATE mirror.chain SET fold_version = 'older'")
        connection.execute("UPDATE mirror.lease SET price = 1")
    follow_once(settings)
    assert rows(settings, "SELECT count(*) FROM mirror.lease WHERE price = 1") == [(0,)]
    assert rows(settings, "SELECT count(*) FROM mirror.chain WHERE fold_version = 'older'") == [(0,)]
    assert rows(settings, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'mirror_%'") == [(0,)]
    assert faults(settings, strict=True) == []


def test_ids_do_not_depend_on_how_blocks_were_cut(database: str):
    # (text, block, phase) in the order in which the store goes through a batch: phase by phase, each in chain order
    notes = [("a", 9, 0), ("x", 9, 1), ("y", 9, 1), ("y", 5, 3), ("x", 5, 3), ("b", 6, 3), ("a", 6, 3)]
    expected = {"y": 1, "x": 2, "b": 3, "a": 4}
    for blocks in ([range(5, 10)], [range(5, 6), range(6, 10)], [range(5, 7), range(7, 10)]):
        with connect(database) as connection:
            known = Dictionary(connection, 1, "mirror", "account", "name")
            for batch in blocks:
                for text, block, phase in notes:
                    if block in batch:
                        known.note(text, block, phase)
                known.settle()
            assert known.ids == expected


def test_a_second_writer_is_refused(market: Market, settings: Settings):
    with following(settings), connect(settings.database_url) as other:
        from indexer.desk import Desk

        with pytest.raises(Locked, match="another indexer follows chain 31337"):
            Desk(other, 31337).take_lock(0.1)


def test_a_writer_that_was_taken_over_stores_nothing(market: Market, settings: Settings):
    with following(settings) as follower:
        to_tip(follower)
        market.site()
        with psycopg.connect(settings.database_url) as other:
            other.execute("UPDATE desk.follower SET epoch = epoch + 1")
        height = follower.cursor()
        with pytest.raises(LostEpoch):
            to_tip(follower)
        assert follower.cursor() == height


def test_another_chain_is_refused_and_the_message_names_the_command(market: Market, settings: Settings, tmp_path):
    follow_once(settings)
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    with anvil(accounts=10, timestamp=1_600_000_000) as node:
        other = Market(node, other_folder)
        with (
            pytest.raises(WrongChain, match="genesis"),
            following(settings.model_copy(update={"rpc_url": node.url})),
        ):
            pass
        moved = settings.model_copy(update={"rpc_url": node.url, "deployment": other.file})
        with pytest.raises(WrongChain, match="python -m indexer reset"), following(moved):
            pass
        with connect(settings.database_url) as connection:
            reset(connection, 31337)
        follow_once(moved)
        assert faults(moved) == []
    with anvil(accounts=10, chain_id=5) as node:
        foreign = settings.model_copy(update={"rpc_url": node.url})
        with pytest.raises(WrongChain, match="serves chain 5"), following(foreign):
            pass
